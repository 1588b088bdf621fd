// Package keyname says what EncryptionKeys are called.
package keyname

import (
	"cmp"
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

// Compare orders names as people count: v9 comes before v10.
func Compare(a, b string) int {
	prefixA, numberA := split(a)
	prefixB, numberB := split(b)
	return cmp.Or(strings.Compare(prefixA, prefixB), cmp.Compare(numberA, numberB), strings.Compare(a, b))
}

// split takes the number off the end of a name; -1 where there is none.
func split(name string) (prefix string, number int) {
	prefix = strings.TrimRight(name, "0123456789")
	number, err := strconv.Atoi(name[len(prefix):])
	if err != nil {
		return name, -1
	}
	return prefix, number
}
