package envelope

import (
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"fmt"

	"usersecrets.dev/operator/internal/erasing"
	"usersecrets.dev/operator/internal/secretvalue"
)

// UserKey opens the values of one owner that were sealed under one encryption
// key. It is safe for concurrent use.
type UserKey struct {
	owner  string
	public *PublicKey
	// private is a function so that nothing that prints by reflection finds the
	// seed in it; see secretvalue.Value.
	private func() hpke.PrivateKey
}

// DeriveUserKey derives owner's key from material, the 32 bytes of the
// encryption key keyID (section 4). Nothing of material is kept. Errors:
// ErrKeyID, ErrEncryptionKey, ErrBinding for an owner that cannot be, ErrSuite.
func DeriveUserKey(keyID KeyID, material []byte, owner string) (*UserKey, error) {
	if _, err := ParseKeyID(string(keyID)); err != nil {
		return nil, err
	}
	if len(material) != EncryptionKeySize {
		return nil, ErrEncryptionKey
	}
	if err := validateField("owner", owner, MaxOwnerLength); err != nil {
		return nil, err
	}
	if err := usable(); err != nil {
		return nil, err
	}
	var private hpke.PrivateKey
	var err error
	erasing.Do(func() { private, err = deriveKey(material, owner) })
	if err != nil {
		return nil, err
	}
	return &UserKey{
		owner:   owner,
		public:  &PublicKey{keyID: keyID, key: private.PublicKey()},
		private: func() hpke.PrivateKey { return private },
	}, nil
}

func deriveKey(material []byte, owner string) (hpke.PrivateKey, error) {
	seed, err := hkdf.Key(sha256.New, material, nil, userKeyLabel+"\x00"+owner, seedSize)
	if err != nil {
		return nil, fmt.Errorf("deriving a user key: %w", err)
	}
	defer clear(seed) // the KEM keeps a copy
	private, err := hpke.MLKEM768X25519().NewPrivateKey(seed)
	if err != nil {
		return nil, fmt.Errorf("expanding a user key: %w", err)
	}
	return private, nil
}

// PublicKey returns the key that seals what this one opens.
func (k *UserKey) PublicKey() *PublicKey { return k.public }

// Open returns the value of s, found at the place b. Errors: ErrBinding;
// ErrWrongKey where s names another key; ErrNotOpened where it was sealed for
// another owner, namespace, name or key, or altered. Which of those it was
// nobody can tell.
func (k *UserKey) Open(s Sealed, b Binding) (secretvalue.Value, error) {
	if err := b.Validate(); err != nil {
		return secretvalue.Value{}, err
	}
	if s.keyID != k.public.keyID {
		return secretvalue.Value{}, refuse(ErrWrongKey, fmt.Sprintf("with %q, and the key at hand is %q", s.keyID, k.public.keyID), sealAnew)
	}
	// The binding's owner is hashed into info, so another owner's would not open
	// anyway; this says so without asking the primitives.
	if b.Owner != k.owner {
		return secretvalue.Value{}, ErrNotOpened
	}
	var plaintext []byte
	var err error
	erasing.Do(func() {
		plaintext, err = hpke.Open(k.private(), hpke.HKDFSHA256(), hpke.AES256GCM(), b.info(s.keyID), s.payload)
	})
	if err != nil {
		return secretvalue.Value{}, ErrNotOpened
	}
	defer clear(plaintext)
	return secretvalue.New(plaintext), nil
}
