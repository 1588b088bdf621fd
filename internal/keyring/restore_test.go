package keyring

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// restore files material under its key id, since another key has its name.
func (v *vault) restore(root Root, m material) *corev1.Secret {
	v.t.Helper()
	id, err := m.id()
	if err != nil {
		v.t.Fatal(err)
	}
	secret := NewMaterialSecret(namespace, m.kind, SecretPrefix+string(id), wrap(v.t, root, m), root.ID())
	secret.Annotations = map[string]string{NameAnnotation: m.name}
	v.create(secret)
	return secret
}

// Keys of another vault, restored beside those of this one, keep their ids and
// with them what they sealed; order is that of the sequence numbers.
func TestRestoredMaterialBesideAKeyOfItsName(t *testing.T) {
	root := makeRoot(t, 32)
	tests := map[string]struct {
		sequence  uint64
		wantFirst bool
	}{
		"newer":               {sequence: 7},
		"older":               {sequence: 0, wantFirst: true},
		"of the same number:": {sequence: 1}, // by name then, and the id is the longer one
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			lost, v := makeVault(t), makeVault(t)
			m := material{kind: kindEncryptionKey, name: "v1", sequence: tt.sequence, key: key32(200)}
			lost.put(root, m)
			old := seal(t, lost.startedKeyring(), place, "old")
			k := v.startedKeyring()
			mine := seal(t, k, place, "mine")
			v.restore(root, m)
			reload(t, k)
			want := []string{"v1", keyID(old)}
			if tt.wantFirst {
				want = []string{keyID(old), "v1"}
			}
			for _, keyring := range []*Keyring{k, v.startedKeyring()} {
				checkNames(t, keyring, want...)
				checkOpens(t, keyring, old, place, "old")
				checkOpens(t, keyring, mine, place, "mine")
				if active, err := keyring.Active(); err != nil || active.Name != want[1] {
					t.Errorf("active is %q, error %v; want %s", active.Name, err, want[1])
				}
			}
			v.register(k)
			reload(t, k)
			if len(k.problems) != 0 {
				t.Errorf("problems are %v", k.problems)
			}
			if created, err := k.EnsureKey(context.Background(), keyID(old)); created || err != nil {
				t.Errorf("EnsureKey of the restored key = %t, %v", created, err)
			}
		})
	}
}

func TestVerify(t *testing.T) {
	root := makeRoot(t, 32)
	v := makeVault(t)
	v.startedKeyring(root)
	m := material{kind: kindEncryptionKey, name: "v1", sequence: 3, key: key32(200)}
	restored := v.restore(root, m)
	wrong := fmt.Sprintf(`wrong root key: encryption-key "v1" is wrapped by root key %s, but %s is configured; start the operator with the root key that the vault was made with`, root.ID(), makeRoot(t, 33).ID())
	tests := map[string]struct {
		secret    *corev1.Secret
		alter     func(*corev1.Secret)
		roots     []Root
		wantErr   error
		wantError string
	}{
		"an encryption key":  {secret: v.secret("encryption-key-v1"), roots: []Root{root}},
		"the identity key":   {secret: v.secret("value-identity-key"), roots: []Root{makeRoot(t, 33), root}},
		"a key under its id": {secret: restored, roots: []Root{root}},
		"another root key":   {secret: v.secret("encryption-key-v1"), roots: []Root{makeRoot(t, 33)}, wantErr: ErrWrongRootKey, wantError: wrong},
		"a KMS that does not answer": {
			secret: NewMaterialSecret(namespace, kindEncryptionKey, "encryption-key-v1", wrap(t, root, m), "kms://one"), roots: []Root{awayKMS(t, "kms://one")},
			wantErr: ErrRootUnavailable, wantError: `unwrapping encryption-key "v1": the root key cannot be reached: kms://one: connection refused`,
		},
		"altered": {
			secret: v.secret("encryption-key-v1"), alter: func(s *corev1.Secret) { s.Data["wrapped"][40] ^= 1 }, roots: []Root{root},
			wantErr: ErrTampered, wantError: `key material was altered: encryption-key "v1" does not unwrap; restore its Secret from a backup`,
		},
		"under another's key id": {
			secret: restored, alter: func(s *corev1.Secret) { s.Name = "encryption-key-v1-00000000" }, roots: []Root{root},
			wantErr: ErrTampered, wantError: `key material was altered: Secret "encryption-key-v1-00000000" holds the material of encryption-key "v1"; restore it from a backup`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			secret := tt.secret.DeepCopy()
			if tt.alter != nil {
				tt.alter(secret)
			}
			err := Verify(context.Background(), secret, tt.roots)
			if tt.wantErr == nil && err == nil {
				return
			}
			checkError(t, err, tt.wantErr, tt.wantError)
		})
	}
}
