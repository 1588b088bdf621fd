package keyring

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// twoKeys is a vault with v1 and v2, and a value sealed with each.
func twoKeys(t *testing.T) (v *vault, k *Keyring, first, second string) {
	t.Helper()
	v = makeVault(t)
	k = v.startedKeyring()
	first = seal(t, k, place, "first")
	ensureKey(t, k, "v2")
	second = seal(t, k, place, "second")
	v.register(k)
	return v, k, first, second
}

// Were an older key used in place of the newest, what a rotation was made to end
// would begin again.
func TestNothingIsSealedWhileTheNewestIsMissing(t *testing.T) {
	const altered = `key material was altered: encryption-key "v2" does not unwrap; restore its Secret from a backup`
	tests := map[string]struct {
		harm        func(v *vault)
		wantErr     error
		wantProblem string
	}{
		"deleted": {
			harm: func(v *vault) { v.delete("encryption-key-v2") }, wantErr: ErrMaterialLost,
			wantProblem: `key material is missing: Secret "encryption-key-v2" is gone or holds another key than KEYID; restore it from a backup`,
		},
		"altered": {
			harm:    func(v *vault) { v.alter("encryption-key-v2", func(s *corev1.Secret) { s.Data["wrapped"][40] ^= 1 }) },
			wantErr: ErrTampered, wantProblem: altered,
		},
		"altered, its sequence number in the clear too": {
			harm: func(v *vault) {
				v.alter("encryption-key-v2", func(s *corev1.Secret) {
					s.Data["wrapped"][40] ^= 1
					s.Annotations = nil
				})
			},
			wantErr: ErrTampered, wantProblem: altered,
		},
		"altered, and without an EncryptionKey": {
			harm: func(v *vault) {
				v.alter("encryption-key-v2", func(s *corev1.Secret) { s.Data["wrapped"][40] ^= 1 })
				if err := v.client.Delete(context.Background(), makeEncryptionKey("v2")); err != nil {
					v.t.Fatal(err)
				}
			},
			wantErr: ErrTampered, wantProblem: altered,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v, k, first, second := twoKeys(t)
			tt.harm(v)
			reload(t, k)
			checkOpens(t, k, seal(t, k, place, "value"), place, "value")

			started := v.startedKeyring()
			problem := strings.ReplaceAll(tt.wantProblem, "KEYID", keyID(second))
			wantError := "nothing is sealed while the newest encryption key is missing: " + problem
			_, err := started.Active()
			checkError(t, err, ErrNewestKey, wantError)
			checkError(t, err, tt.wantErr, wantError)
			_, err = started.Seal(place, valueOf("value"))
			checkError(t, err, ErrNewestKey, wantError)
			_, err = started.PublicKey("alice")
			checkError(t, err, ErrNewestKey, wantError)
			checkOpens(t, started, first, place, "first")
			checkDoesNotOpen(t, started, second, ErrUnknownKey, "unknown encryption key "+keyID(second)+": "+problem)
			if valueID(t, started, place, "value") != valueID(t, k, place, "value") {
				t.Error("the value id changed")
			}

			// A new key is newer still.
			ensureKey(t, started, "v3")
			if active, err := started.Active(); err != nil || active.Name != "v3" || active.Sequence != 3 {
				t.Errorf("after a rotation, active is %v, error %v; want v3 with sequence 3", active, err)
			}
			checkOpens(t, v.startedKeyring(), seal(t, started, place, "value"), place, "value")
		})
	}
}

// An older key that is missing keeps nobody from sealing.
func TestTheNewestSealsWhileAnOlderIsMissing(t *testing.T) {
	v, _, _, second := twoKeys(t)
	v.delete("encryption-key-v1")
	started := v.startedKeyring()
	checkOpens(t, started, second, place, "second")
	if active, err := started.Active(); err != nil || active.Name != "v2" {
		t.Errorf("active is %q, error %v; want v2", active.Name, err)
	}
}

// A key that had material is never made anew: that would hide the loss.
func TestEnsureKeyNeverMakesAKeyAnew(t *testing.T) {
	tests := map[string]struct {
		harm      func(v *vault)
		wantErr   error
		wantError string
	}{
		"deleted": {
			harm: func(v *vault) { v.delete("encryption-key-v1") }, wantErr: ErrMaterialLost,
			wantError: `key material is missing: Secret "encryption-key-v1" is gone or holds another key than KEYID; restore it from a backup`,
		},
		"altered": {
			harm:    func(v *vault) { v.alter("encryption-key-v1", func(s *corev1.Secret) { s.Data["wrapped"][40] ^= 1 }) },
			wantErr: ErrTampered, wantError: `key material was altered: encryption-key "v1" does not unwrap; restore its Secret from a backup`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v, k, first, _ := twoKeys(t)
			tt.harm(v)
			before := v.secrets()
			for what, keyring := range map[string]*Keyring{"running on": k, "started without it": v.startedKeyring()} {
				created, err := keyring.EnsureKey(context.Background(), "v1")
				if created || !errors.Is(err, tt.wantErr) {
					t.Errorf("%s: created %t", what, created)
				}
				checkError(t, err, tt.wantErr, strings.ReplaceAll(tt.wantError, "KEYID", keyID(first)))
			}
			if len(before) != len(v.secrets()) {
				t.Errorf("there were %d Secrets, now %d", len(before), len(v.secrets()))
			}
		})
	}
}
