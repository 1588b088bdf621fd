package knownkeys

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Key is a sealing key as it was seen at one place.
type Key struct {
	// Source is the URL of the cluster's API server, or the file URL of the
	// file that the key was read from.
	Source string
	// Namespace is the one that the key seals for.
	Namespace string
	// KeyID is the id of the encryption key that the sealing key comes from.
	KeyID string
	// Fingerprint of the public key.
	Fingerprint string
	// Owner is the Kubernetes username that the namespace belonged to.
	Owner string
}

// errLine says that a line is no key.
var errLine = errors.New("it is no known key")

// fields of a line.
const fields = 5

func (k Key) line() string {
	return strings.Join([]string{k.Source, k.Namespace, k.KeyID, k.Fingerprint, url.PathEscape(k.Owner)}, " ")
}

func parseLine(line string) (Key, error) {
	parts := strings.Fields(line)
	if len(parts) != fields {
		return Key{}, fmt.Errorf("%w: it has %d fields instead of %d", errLine, len(parts), fields)
	}
	owner, err := url.PathUnescape(parts[4])
	if err != nil {
		return Key{}, fmt.Errorf("%w: its owner is not percent-encoded", errLine)
	}
	return Key{Source: parts[0], Namespace: parts[1], KeyID: parts[2], Fingerprint: parts[3], Owner: owner}, nil
}

// samePlace says whether both keys are of one namespace of one cluster or file.
func (k Key) samePlace(other Key) bool {
	return k.Source == other.Source && k.Namespace == other.Namespace
}
