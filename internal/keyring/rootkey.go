package keyring

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"usersecrets.dev/operator/internal/erasing"
)

// RootKeyVariable is the environment variable that the root key is read from.
const RootKeyVariable = "VAULT_ENCRYPTION_KEY"

// KeySize is the size of the root key and of every encryption key, in bytes.
const KeySize = 32

// exampleRootKey is printed in the documentation, so it protects nothing.
const exampleRootKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

// Refusals of a root key, each with its own words.
var (
	ErrRootKeyEmpty    = errors.New("the root key is empty")
	ErrRootKeyEncoding = errors.New("the root key is neither hexadecimal nor base64")
	ErrRootKeySize     = errors.New("the root key has the wrong size")
	ErrRootKeyKnown    = errors.New("the root key is a well-known value")
)

const rootKeyRemedy = "make one with 'openssl rand -hex 32'"

// Root wraps and unwraps encryption keys.
type Root interface {
	// ID identifies the root key without telling anything of it.
	ID() string
	// Wrap encrypts a few hundred bytes under the root key.
	Wrap(ctx context.Context, plaintext []byte) ([]byte, error)
	// Unwrap is the inverse of Wrap; any altered byte is an error. The error is
	// ErrRootUnavailable where the root key could not be asked.
	Unwrap(ctx context.Context, wrapped []byte) ([]byte, error)
}

// A root key in a KMS has an id with a URL's scheme; a local one has none.
func remoteID(id string) bool { return strings.Contains(id, "://") }

func isRemote(root Root) bool { return remoteID(root.ID()) }

// ParseRootKeys reads root keys, one a line: the first wraps, all unwrap. Empty
// lines are passed over. Errors are those of ParseRootKey, with the number of the
// line where there are several.
func ParseRootKeys(text string) ([]Root, error) {
	several := strings.Contains(strings.TrimSpace(text), "\n")
	var roots []Root
	for i, line := range strings.Split(text, "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		root, err := ParseRootKey(line)
		if err != nil && several {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if err != nil {
			return nil, err
		}
		roots = append(roots, root)
	}
	if len(roots) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrRootKeyEmpty, rootKeyRemedy)
	}
	return roots, nil
}

// LocalRoot is a root key held in memory: AES-256-GCM (NIST SP 800-38D) with a
// random 96-bit nonce, which precedes the ciphertext.
type LocalRoot struct {
	id   string
	aead cipher.AEAD
}

// ParseRootKey reads a root key of 32 bytes in hexadecimal or base64 (RFC 4648,
// sections 4 and 5, padded or not). White space around it is ignored.
func ParseRootKey(text string) (*LocalRoot, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, fmt.Errorf("%w: %s", ErrRootKeyEmpty, rootKeyRemedy)
	}
	key, err := decodeRootKey(text)
	if err != nil {
		return nil, err
	}
	if len(key) != KeySize {
		return nil, fmt.Errorf("%w: %d bytes instead of %d; %s", ErrRootKeySize, len(key), KeySize, rootKeyRemedy)
	}
	// Compared as bytes, since the example protects as little in base64.
	if hex.EncodeToString(key) == exampleRootKey {
		return nil, fmt.Errorf("%w (the documentation's example): %s", ErrRootKeyKnown, rootKeyRemedy)
	}
	if strings.Count(string(key), string(key[:1])) == KeySize {
		return nil, fmt.Errorf("%w (one byte repeated): %s", ErrRootKeyKnown, rootKeyRemedy)
	}
	return newLocalRoot(key)
}

// decodeRootKey prefers hexadecimal: 64 hexadecimal digits are base64 as well,
// but of 48 bytes.
func decodeRootKey(text string) ([]byte, error) {
	if key, err := hex.DecodeString(text); err == nil {
		return key, nil
	}
	unpadded := strings.TrimRight(text, "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if key, err := encoding.DecodeString(unpadded); err == nil {
			return key, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrRootKeyEncoding, rootKeyRemedy)
}

func newLocalRoot(key []byte) (*LocalRoot, error) {
	id, err := hkdf.Key(sha256.New, key, nil, "usersecrets.dev/root-key-id", 8)
	if err != nil {
		return nil, fmt.Errorf("deriving the root key's id: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("preparing AES: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("preparing GCM: %w", err)
	}
	return &LocalRoot{id: "local-" + hex.EncodeToString(id), aead: aead}, nil
}

// ID is "local-" and 16 hexadecimal digits derived one-way from the key.
func (r *LocalRoot) ID() string { return r.id }

// Wrap implements Root.
func (r *LocalRoot) Wrap(_ context.Context, plaintext []byte) ([]byte, error) {
	var wrapped []byte
	erasing.Do(func() {
		wrapped = r.aead.Seal(nil, nil, plaintext, nil) //nolint:gosec // G407: the AEAD draws a random nonce itself
	})
	return wrapped, nil
}

// Unwrap implements Root.
func (r *LocalRoot) Unwrap(_ context.Context, wrapped []byte) (plaintext []byte, err error) {
	erasing.Do(func() { plaintext, err = r.aead.Open(nil, nil, wrapped, nil) })
	return plaintext, err
}
