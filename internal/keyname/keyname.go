// Package keyname says what EncryptionKeys are called.
package keyname

import (
	"regexp"
	"strconv"
	"strings"

	"usersecrets.dev/operator/api/v1alpha1"
)

var pattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`)

// Valid says whether an EncryptionKey can have the name: 1 to 40 of a-z, 0-9 and
// "-", starting and ending with none.
func Valid(name string) bool { return pattern.MatchString(name) }

// Next is a name for the key after these: "v" and the next number.
func Next(objects []v1alpha1.EncryptionKey) string {
	highest := len(objects)
	for i := range objects {
		text, ok := strings.CutPrefix(objects[i].Name, "v")
		// A number too large to count on from is a name like any other.
		if n, err := strconv.ParseInt(text, 10, 32); ok && err == nil {
			highest = max(highest, int(n))
		}
	}
	return "v" + strconv.Itoa(highest+1)
}
