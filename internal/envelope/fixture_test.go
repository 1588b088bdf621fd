package envelope_test

import (
	"errors"
	"testing"

	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
)

// place is the example's.
var place = envelope.Binding{Owner: "alice", Namespace: "alice-flows", Name: "openai"}

// material returns a key of 32 bytes, another for each b.
func material(b byte) []byte {
	key := make([]byte, envelope.EncryptionKeySize)
	for i := range key {
		key[i] = byte(i) + b
	}
	return key
}

func deriveKey(t testing.TB, name string, material []byte, owner string) *envelope.UserKey {
	t.Helper()
	id, err := envelope.NewKeyID(name, material)
	if err != nil {
		t.Fatalf("making a key id: %v", err)
	}
	key, err := envelope.DeriveUserKey(id, material, owner)
	if err != nil {
		t.Fatalf("deriving a user key: %v", err)
	}
	return key
}

func seal(t testing.TB, key *envelope.UserKey, b envelope.Binding, value []byte) string {
	t.Helper()
	text, err := key.PublicKey().Seal(b, secretvalue.New(value))
	if err != nil {
		t.Fatalf("sealing: %v", err)
	}
	return text
}

func parse(t testing.TB, text string) envelope.Sealed {
	t.Helper()
	sealed, err := envelope.Parse(text)
	if err != nil {
		t.Fatalf("parsing: %v", err)
	}
	return sealed
}

// openText parses and opens, as every caller does.
func openText(key *envelope.UserKey, text string, b envelope.Binding) (secretvalue.Value, error) {
	sealed, err := envelope.Parse(text)
	if err != nil {
		return secretvalue.Value{}, err
	}
	return key.Open(sealed, b)
}

// refusals are all that Parse and Open may answer.
var refusals = []error{
	envelope.ErrVersion, envelope.ErrKeyID, envelope.ErrEncoding, envelope.ErrTooShort, envelope.ErrTooLong,
	envelope.ErrBinding, envelope.ErrWrongKey, envelope.ErrNotOpened,
}

func isRefusal(err error) bool {
	for _, refusal := range refusals {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}
