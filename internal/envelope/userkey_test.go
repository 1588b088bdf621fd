package envelope_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
)

func TestDeriveUserKey(t *testing.T) {
	tests := map[string]struct {
		keyID     envelope.KeyID
		material  []byte
		owner     string
		wantErr   error
		wantError string
	}{
		"bad key id":     {keyID: "v1", material: material(0), owner: "alice", wantErr: envelope.ErrKeyID, wantError: envelope.ErrKeyID.Error()},
		"no material":    {keyID: "v1-b85eb51d", owner: "alice", wantErr: envelope.ErrEncryptionKey, wantError: "an encryption key is exactly 32 random bytes"},
		"short material": {keyID: "v1-b85eb51d", material: material(0)[:31], owner: "alice", wantErr: envelope.ErrEncryptionKey, wantError: "an encryption key is exactly 32 random bytes"},
		"long material":  {keyID: "v1-b85eb51d", material: make([]byte, 33), owner: "alice", wantErr: envelope.ErrEncryptionKey, wantError: "an encryption key is exactly 32 random bytes"},
		"no owner":       {keyID: "v1-b85eb51d", material: material(0), wantErr: envelope.ErrBinding, wantError: "nothing can be sealed for this place: its owner is empty, and must be known before sealing"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			key, err := envelope.DeriveUserKey(tt.keyID, tt.material, tt.owner)
			if !errors.Is(err, tt.wantErr) || err.Error() != tt.wantError || key != nil {
				t.Errorf("DeriveUserKey = %v, error %v, want %s", key, err, tt.wantError)
			}
		})
	}
}

func TestDeriveUserKeyIsRepeatable(t *testing.T) {
	m := material(0)
	first := deriveKey(t, "v1", m, "alice")
	text := seal(t, first, place, []byte("value"))
	second := deriveKey(t, "v1", m, "alice")
	clear(m) // nothing of it is kept
	for _, key := range []*envelope.UserKey{first, second} {
		value, err := openText(key, text, place)
		if err != nil || string(value.Bytes()) != "value" {
			t.Errorf("opened to %q, error %v", value.Bytes(), err)
		}
	}
}

func TestOpenGivesBackTheValue(t *testing.T) {
	key := deriveKey(t, "v1", material(0), longest().Owner)
	for _, n := range []int{1, 2, 3, 4, 1000, envelope.MaxValueLength} {
		want := bytes.Repeat([]byte{0, 0xff, '\n'}, n)[:n]
		value, err := openText(key, seal(t, key, longest(), want), longest())
		if err != nil || !bytes.Equal(value.Bytes(), want) {
			t.Errorf("value of %d bytes: opened to %d, error %v", n, value.Len(), err)
		}
	}
}

// What Open refuses is in the vectors; here is what they cannot show, and what
// it says.
func TestOpenRefuses(t *testing.T) {
	alice := deriveKey(t, "v1", material(0), "alice")
	bob := deriveKey(t, "v1", material(0), "bob")
	bobs := envelope.Binding{Owner: "bob", Namespace: place.Namespace, Name: place.Name}
	const notOpened = "the sealed value does not open here: it was sealed for another owner, namespace, name or key, or it was altered; seal the value again for this owner, namespace and name"
	tests := map[string]struct {
		key       *envelope.UserKey
		sealed    envelope.Sealed
		binding   envelope.Binding
		wantErr   error
		wantError string
	}{
		"the owner's key at another owner's place": {
			key: alice, sealed: parse(t, seal(t, alice, place, []byte("value"))), binding: bobs,
			wantErr: envelope.ErrNotOpened, wantError: notOpened,
		},
		"sealed with the key of this owner for the place of another": {
			key: alice, sealed: parse(t, seal(t, alice, bobs, []byte("value"))), binding: bobs,
			wantErr: envelope.ErrNotOpened, wantError: notOpened,
		},
		"sealed with another owner's key for this place": {
			key: alice, sealed: parse(t, seal(t, bob, place, []byte("value"))), binding: place,
			wantErr: envelope.ErrNotOpened, wantError: notOpened,
		},
		"another key id": {
			key: deriveKey(t, "v2", material(7), "alice"), sealed: parse(t, seal(t, alice, place, []byte("value"))), binding: place,
			wantErr:   envelope.ErrWrongKey,
			wantError: `the value was sealed with another key: with "v1-b85eb51d", and the key at hand is "v2-28c49c6e"; seal the value again with the current sealing key of its namespace`,
		},
		"nothing": {
			key: alice, binding: place, wantErr: envelope.ErrWrongKey,
			wantError: `the value was sealed with another key: with "", and the key at hand is "v1-b85eb51d"; seal the value again with the current sealing key of its namespace`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			value, err := tt.key.Open(tt.sealed, tt.binding)
			if !errors.Is(err, tt.wantErr) || err.Error() != tt.wantError {
				t.Errorf("error is %v,\nwant %s", err, tt.wantError)
			}
			if value.Len() != 0 {
				t.Errorf("%d bytes came out", value.Len())
			}
		})
	}
}

// checkInvalidEverywhere: no way in takes an invalid binding.
func checkInvalidEverywhere(t *testing.T, b envelope.Binding) {
	t.Helper()
	key := deriveKey(t, "v1", material(0), "alice")
	if _, err := key.PublicKey().Seal(b, secretvalue.FromString("value")); !errors.Is(err, envelope.ErrBinding) {
		t.Errorf("Seal: %v, want ErrBinding", err)
	}
	if _, err := key.Open(parse(t, seal(t, key, place, []byte("value"))), b); !errors.Is(err, envelope.ErrBinding) {
		t.Errorf("Open: %v, want ErrBinding", err)
	}
	if b.Owner != place.Owner {
		if _, err := envelope.DeriveUserKey("v1-b85eb51d", material(0), b.Owner); !errors.Is(err, envelope.ErrBinding) {
			t.Errorf("DeriveUserKey: %v, want ErrBinding", err)
		}
	}
}

func TestUserKeyPrintsNoSeed(t *testing.T) {
	key := deriveKey(t, "v1", material(0), "alice")
	seed := userSeed(material(0), "alice")
	decimals := strings.Trim(fmt.Sprint(seed), "[]")
	for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %c %U %t %w") {
		for _, arg := range []any{key, *key, struct{ key *envelope.UserKey }{key}, struct{ key envelope.UserKey }{*key}} {
			out := strings.ToLower(fmt.Errorf(verb, arg).Error())
			if strings.Contains(out, decimals) || strings.Contains(out, hex.EncodeToString(seed)) {
				t.Errorf("%s of %T prints the seed: %s", verb, arg, out)
			}
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	key := deriveKey(t, "v1", material(0), "alice")
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			want := bytes.Repeat([]byte{byte(i)}, 100)
			text, err := key.PublicKey().Seal(place, secretvalue.New(want))
			if err != nil {
				t.Errorf("sealing: %v", err)
				return
			}
			if value, err := openText(key, text, place); err != nil || !bytes.Equal(value.Bytes(), want) {
				t.Errorf("opened to %d bytes, error %v", value.Len(), err)
			}
		})
	}
	group.Wait()
}
