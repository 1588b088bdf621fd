package envelope

import (
	"errors"
	"fmt"
)

// One sentinel for each failure class of section 9. What is returned wraps one
// of them, with details and the remedy where the sentinel has none; the texts
// are for the user who made the request.
var (
	// ErrVersion (version): the text is no us1 text at all.
	ErrVersion = errors.New("this is no sealed value")
	// ErrKeyID (key-id): a key id is missing or malformed.
	ErrKeyID = errors.New(`the key id is malformed: it is like "v1-3f9a2c1b", a name of at most 40 of a-z, 0-9 and "-" that neither starts nor ends with "-", then "-" and 8 of 0-9 and a-f`)
	// ErrEncoding (encoding): the payload is no canonical unpadded base64url.
	ErrEncoding = errors.New(`the sealed value is not one line of base64url (A-Z, a-z, 0-9, "-" and "_", without padding)`)
	// ErrTooShort (too-short): the payload has fewer bytes than any sealed value.
	ErrTooShort = errors.New("the sealed value is cut off")
	// ErrTooLong (too-long): the text is longer than any sealed value.
	ErrTooLong = errors.New("the sealed value is longer than that of the largest value, 64 KiB")
	// ErrBinding (binding): owner, namespace or name cannot be bound to.
	ErrBinding = errors.New("nothing can be sealed for this place")
	// ErrWrongKey (wrong-key): the text names another key than the one at hand.
	ErrWrongKey = errors.New("the value was sealed with another key")
	// ErrNotOpened (not-opened): another owner, namespace, name or key, or altered.
	ErrNotOpened = errors.New("the sealed value does not open here: it was sealed for another owner, namespace, name or key, or it was altered; seal the value again for this owner, namespace and name")
	// ErrValueEmpty (value-empty): there is nothing to seal.
	ErrValueEmpty = errors.New("the value is empty; give a value of at least 1 byte")
	// ErrValueTooLong (value-too-long): the value is longer than MaxValueLength.
	ErrValueTooLong = errors.New("the value is longer than 65536 bytes (64 KiB); store large data elsewhere, and the key that protects it here")
	// ErrPublicKey (public-key): the bytes are no public key.
	ErrPublicKey = errors.New("the public key is malformed")
	// ErrEncryptionKey (encryption-key): the material has the wrong size.
	ErrEncryptionKey = errors.New("an encryption key is exactly 32 random bytes")
)

// Remedies.
const (
	sealIt   = `seal the value with "kubectl usersecret seal"`
	copyAll  = `copy the whole output of "kubectl usersecret seal"`
	sealAnew = "seal the value again with the current sealing key of its namespace"
	retake   = "take it again from the SealingKey of the namespace"
)

// refuse returns an error of class with what was found and what to do.
func refuse(class error, found, remedy string) error {
	return fmt.Errorf("%w: %s; %s", class, found, remedy)
}
