package envelope

import (
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"usersecrets.dev/operator/internal/secretvalue"
)

// PublicKey is what values of one user are sealed with. It is public, but must
// come from a place that is trusted: whoever can replace it receives the next
// value. It is safe for concurrent use.
type PublicKey struct {
	keyID KeyID
	key   hpke.PublicKey
}

// NewPublicKey returns the public key of 1216 bytes (section 2.1) that belongs
// to the encryption key keyID. Errors: ErrKeyID, ErrPublicKey,
// ErrSuite.
func NewPublicKey(keyID KeyID, b []byte) (*PublicKey, error) {
	if _, err := ParseKeyID(string(keyID)); err != nil {
		return nil, err
	}
	if len(b) != PublicKeySize {
		return nil, refuse(ErrPublicKey, fmt.Sprintf("it has %d bytes instead of %d", len(b), PublicKeySize), retake)
	}
	if err := usable(); err != nil {
		return nil, err
	}
	key, err := hpke.MLKEM768X25519().NewPublicKey(b)
	if err != nil {
		return nil, refuse(ErrPublicKey, "it is no MLKEM768-X25519 key", retake)
	}
	return &PublicKey{keyID: keyID, key: key}, nil
}

// KeyID returns the id of the encryption key that it belongs to.
func (pk *PublicKey) KeyID() KeyID { return pk.keyID }

// Bytes returns the key's 1216 bytes.
func (pk *PublicKey) Bytes() []byte { return pk.key.Bytes() }

// Fingerprint returns what people compare, in OpenSSH's form (section 4.1):
// "SHA256:" and 43 characters of unpadded standard base64.
func (pk *PublicKey) Fingerprint() string {
	labelled := append([]byte(publicKeyLabel), 0)
	sum := sha256.Sum256(append(labelled, pk.Bytes()...))
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// Seal returns the text of value sealed for b (section 5). It is another text
// every time. The caller knows that the key belongs to b's owner: the key does
// not tell, and what is sealed with another's does not open. Errors: ErrBinding,
// ErrValueEmpty, ErrValueTooLong, ErrPublicKey.
func (pk *PublicKey) Seal(b Binding, value secretvalue.Value) (string, error) {
	if err := b.Validate(); err != nil {
		return "", err
	}
	switch n := value.Len(); {
	case n == 0:
		return "", ErrValueEmpty
	case n > MaxValueLength:
		return "", ErrValueTooLong
	}
	payload, err := hpke.Seal(pk.key, hpke.HKDFSHA256(), hpke.AES256GCM(), b.info(pk.keyID), value.Bytes())
	if err != nil {
		// The suite is usable, or there were no key: what is left to fail is
		// X25519 with a share of low order (RFC 7748, section 6.1).
		return "", refuse(ErrPublicKey, "nothing can be sealed with it", retake)
	}
	return Sealed{keyID: pk.keyID, payload: payload}.String(), nil
}
