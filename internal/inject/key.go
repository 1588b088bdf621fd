package inject

import (
	"fmt"
	"regexp"
)

// MaxKeyLength is the longest key of a Secret, in bytes (Kubernetes' limit).
const MaxKeyLength = 253

// keyPattern is the portable set of names for environment variables (POSIX.1,
// base definitions, chapter 8.1, with lower case). It lies within what
// Kubernetes allows as a Secret's key, so that one name serves as file and as
// environment variable.
var keyPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// CheckKey says whether a key can name both a file of the volume and an
// environment variable. The error is ErrKey and does not repeat the key.
func CheckKey(key string) error {
	switch {
	case len(key) > MaxKeyLength:
		return fmt.Errorf("%w: %d characters, at most %d are allowed", ErrKey, len(key), MaxKeyLength)
	case !keyPattern.MatchString(key):
		return fmt.Errorf(`%w: a key is the name of an environment variable, such as "OPENAI_API_KEY": letters, digits and "_", no digit first, and never the value itself`, ErrKey)
	}
	return nil
}

// Keyed is an element together with the key that it goes to: its own, or the
// one in the catalogue.
type Keyed struct {
	Item Item
	Key  string
}

// CheckKeys refuses keys that are malformed (ErrKey) and two elements that go
// to the same key (ErrDuplicateKey), for which one value would silently win.
func CheckKeys(keyed []Keyed) error {
	keys := make([]string, len(keyed))
	for i, k := range keyed {
		if err := CheckKey(k.Key); err != nil {
			return fmt.Errorf("%s: %w", k.Item.Source(), err)
		}
		keys[i] = k.Key
	}
	if i, j, found := repeat(keys); found {
		return fmt.Errorf(`%w: %s and %s both go to %s: give one of them another, as in "%[2]s=OTHER_KEY"`,
			ErrDuplicateKey, keyed[i].Item.Source(), keyed[j].Item.Source(), keys[j])
	}
	return nil
}
