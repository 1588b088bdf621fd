package envelope_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
)

func TestNewPublicKey(t *testing.T) {
	key := deriveKey(t, "v1", material(0), "alice")
	b := key.PublicKey().Bytes()
	if len(b) != envelope.PublicKeySize {
		t.Fatalf("the key has %d bytes, want %d", len(b), envelope.PublicKeySize)
	}
	// A coefficient of all ones is above ML-KEM's modulus (FIPS 203, section 7.2).
	unreduced := append([]byte{0xff, 0xff}, b[2:]...)
	const malformed, retake = "the public key is malformed: ", "; take it again from the SealingKey of the namespace"
	tests := map[string]struct {
		keyID     envelope.KeyID
		bytes     []byte
		wantErr   error
		wantError string
	}{
		"as it was made": {keyID: "v1-b85eb51d", bytes: b},
		"bad key id":     {keyID: "v1", bytes: b, wantErr: envelope.ErrKeyID, wantError: envelope.ErrKeyID.Error()},
		"no bytes":       {keyID: "v1-b85eb51d", wantErr: envelope.ErrPublicKey, wantError: malformed + "it has 0 bytes instead of 1216" + retake},
		"one byte less":  {keyID: "v1-b85eb51d", bytes: b[:1215], wantErr: envelope.ErrPublicKey, wantError: malformed + "it has 1215 bytes instead of 1216" + retake},
		"one byte more":  {keyID: "v1-b85eb51d", bytes: append(bytes.Clone(b), 0), wantErr: envelope.ErrPublicKey, wantError: malformed + "it has 1217 bytes instead of 1216" + retake},
		"unreduced":      {keyID: "v1-b85eb51d", bytes: unreduced, wantErr: envelope.ErrPublicKey, wantError: malformed + "it is no MLKEM768-X25519 key" + retake},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			pk, err := envelope.NewPublicKey(tt.keyID, tt.bytes)
			if tt.wantErr != nil {
				if !errors.Is(err, tt.wantErr) || err.Error() != tt.wantError || pk != nil {
					t.Errorf("NewPublicKey = %v, error %v, want %s", pk, err, tt.wantError)
				}
				return
			}
			if err != nil {
				t.Fatalf("NewPublicKey: %v", err)
			}
			if diff := cmp.Diff(b, pk.Bytes()); diff != "" {
				t.Errorf("Bytes() (-want +got):\n%s", diff)
			}
			if pk.KeyID() != tt.keyID || pk.Fingerprint() != key.PublicKey().Fingerprint() {
				t.Errorf("key id %q and fingerprint %q differ from the key's", pk.KeyID(), pk.Fingerprint())
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	alice, bob := deriveKey(t, "v1", material(0), "alice"), deriveKey(t, "v1", material(0), "bob")
	got := alice.PublicKey().Fingerprint()
	if want := referenceFingerprint(alice.PublicKey().Bytes()); got != want {
		t.Errorf("Fingerprint() = %q, want %q", got, want)
	}
	if len(got) != 50 || !strings.HasPrefix(got, "SHA256:") || strings.HasSuffix(got, "=") {
		t.Errorf("Fingerprint() = %q, which is not in OpenSSH's form", got)
	}
	if got == bob.PublicKey().Fingerprint() {
		t.Error("two owners' keys have one fingerprint")
	}
}

// A key that came over the wire seals as well as the derived one.
func TestSealWithParsedKey(t *testing.T) {
	key := deriveKey(t, "v1", material(0), "alice")
	pk, err := envelope.NewPublicKey(key.PublicKey().KeyID(), key.PublicKey().Bytes())
	if err != nil {
		t.Fatalf("NewPublicKey: %v", err)
	}
	text, err := pk.Seal(place, secretvalue.FromString("value"))
	if err != nil {
		t.Fatalf("Seal: %v", err)
	}
	value, err := openText(key, text, place)
	if err != nil || string(value.Bytes()) != "value" {
		t.Errorf("opened to %q, error %v", value.Bytes(), err)
	}
}

func TestSealRefuses(t *testing.T) {
	pk := deriveKey(t, "v1", material(0), "alice").PublicKey()
	lowOrder, err := envelope.NewPublicKey(pk.KeyID(), append(pk.Bytes()[:1184], make([]byte, 32)...))
	if err != nil {
		t.Fatalf("NewPublicKey: %v", err)
	}
	tests := map[string]struct {
		key       *envelope.PublicKey
		value     secretvalue.Value
		wantErr   error
		wantError string
	}{
		"zero value":    {key: pk, wantErr: envelope.ErrValueEmpty, wantError: "the value is empty; give a value of at least 1 byte"},
		"empty value":   {key: pk, value: secretvalue.FromString(""), wantErr: envelope.ErrValueEmpty, wantError: "the value is empty; give a value of at least 1 byte"},
		"one byte over": {key: pk, value: secretvalue.FromString(strings.Repeat("a", 65537)), wantErr: envelope.ErrValueTooLong, wantError: "the value is longer than 65536 bytes (64 KiB); store large data elsewhere, and the key that protects it here"},
		"key of low order": {key: lowOrder, value: secretvalue.FromString("value"), wantErr: envelope.ErrPublicKey,
			wantError: "the public key is malformed: nothing can be sealed with it; take it again from the SealingKey of the namespace"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			text, err := tt.key.Seal(place, tt.value)
			if !errors.Is(err, tt.wantErr) || err.Error() != tt.wantError || text != "" {
				t.Errorf("Seal = %q, error %v, want %s", text, err, tt.wantError)
			}
		})
	}
}

func TestSealIsRandomised(t *testing.T) {
	key := deriveKey(t, "v1", material(0), "alice")
	first, second := seal(t, key, place, []byte("value")), seal(t, key, place, []byte("value"))
	if first == second {
		t.Error("the same value sealed twice gave the same text")
	}
}
