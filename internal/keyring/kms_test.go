package keyring

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// What is at hand is not asked of the KMS again: not at every look, and not
// where something else about the Secret changed.
func TestMaterialIsUnwrappedOnce(t *testing.T) {
	v, root := makeVault(t), makeKMS(t, "kms://one", 32)
	k := v.startedKeyring(root)
	ensureKey(t, k, "v2")
	if root.unwraps != 3 {
		t.Errorf("three keys were unwrapped %d times", root.unwraps)
	}
	root.unwraps = 0
	v.alter("encryption-key-v1", func(s *corev1.Secret) { s.Annotations["example.com/note"] = "looked at" })
	for range 3 {
		reload(t, k)
	}
	if root.unwraps != 0 {
		t.Errorf("unchanged material was unwrapped %d times", root.unwraps)
	}
	// The same key in another wrap is another ciphertext.
	v.alter("encryption-key-v1", func(s *corev1.Secret) { s.Data["wrapped"] = wrap(t, root, k.versions[0].material) })
	reload(t, k)
	reload(t, k)
	if root.unwraps != 1 {
		t.Errorf("changed material was unwrapped %d times, want once", root.unwraps)
	}
	checkNames(t, k, "v1", "v2")
}

// The copy that another unwrapping takes the place of does not stay in memory.
func TestReplacedCopiesAreErased(t *testing.T) {
	v := makeVault(t)
	k := v.startedKeyring()
	key, identity := k.versions[0].material.key, k.identity.material.key
	for name, m := range map[string]material{"encryption-key-v1": k.versions[0].material, "value-identity-key": k.identity.material} {
		v.alter(name, func(s *corev1.Secret) { s.Data["wrapped"] = wrap(t, makeRoot(t, 32), m) })
	}
	text := seal(t, k, place, "value")
	reload(t, k)
	checkErased(t, "the encryption key", key)
	checkErased(t, "the identity key", identity)
	k.users.Purge()
	checkOpens(t, k, text, place, "value")
}

func checkErased(t *testing.T, what string, key []byte) {
	t.Helper()
	for _, b := range key {
		if b != 0 {
			t.Errorf("%s is still in memory", what)
			return
		}
	}
}

// A KMS key may go by several names, so where no root key has the id that is
// stored, every KMS is asked, and no local root key.
func TestRemoteRootsAreTriedWhereTheIDIsUnknown(t *testing.T) {
	v := makeVault(t)
	former := makeKMS(t, "kms://alias/former", 32)
	text := seal(t, v.startedKeyring(former), place, "value")
	const wrong = `wrong root key: encryption-key "v1" is wrapped by root key kms://alias/former, but %s is configured; start the operator with the root key that the vault was made with`
	tests := map[string]struct {
		roots     []Root
		wantErr   error
		wantError string
	}{
		"by another name":           {roots: []Root{makeKMS(t, "kms://arn/1234", 32)}},
		"by another name, the last": {roots: []Root{makeRoot(t, 33), makeKMS(t, "kms://else", 34), makeKMS(t, "kms://arn/1234", 32)}},
		"another key": {
			roots:   []Root{makeKMS(t, "kms://else", 34)},
			wantErr: ErrWrongRootKey, wantError: fmt.Sprintf(wrong, "kms://else"),
		},
		"the same key, but local": {
			roots:   []Root{makeRoot(t, 32)},
			wantErr: ErrWrongRootKey, wantError: fmt.Sprintf(wrong, makeRoot(t, 32).ID()),
		},
		"another key, and one that does not answer": {
			roots:   []Root{awayKMS(t, "kms://away"), makeKMS(t, "kms://else", 34)},
			wantErr: ErrRootUnavailable, wantError: `unwrapping encryption-key "v1": the root key cannot be reached: kms://away: connection refused`,
		},
		"one that does not answer, and the key": {roots: []Root{awayKMS(t, "kms://away"), makeKMS(t, "kms://arn/1234", 32)}},
		"none but the one of that id is asked": {
			roots:   []Root{makeKMS(t, "kms://arn/1234", 32), makeKMS(t, "kms://alias/former", 35)},
			wantErr: ErrTampered, wantError: `key material was altered: encryption-key "v1" does not unwrap; restore its Secret from a backup`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			k := v.keyring(tt.roots...)
			err := k.Bootstrap(context.Background())
			if tt.wantErr != nil {
				checkError(t, err, tt.wantErr, tt.wantError)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkOpens(t, k, text, place, "value")
		})
	}
}

// What a local root key wrapped is never sent to a KMS.
func TestLocalMaterialIsNotSentToAKMS(t *testing.T) {
	v := makeVault(t)
	v.startedKeyring(makeRoot(t, 32))
	root := makeKMS(t, "kms://one", 32)
	err := v.keyring(root).Bootstrap(context.Background())
	checkError(t, err, ErrWrongRootKey, fmt.Sprintf(`wrong root key: encryption-key "v1" is wrapped by root key %s, but kms://one is configured; start the operator with the root key that the vault was made with`, makeRoot(t, 32).ID()))
	if root.unwraps != 0 {
		t.Errorf("the KMS was asked %d times", root.unwraps)
	}
}

func awayKMS(t *testing.T, id string) *kmsRoot {
	root := makeKMS(t, id, 32)
	root.away()
	return root
}

// A KMS that is away says nothing about the material: a start waits, and whoever
// runs goes on with what is at hand.
func TestKMSAway(t *testing.T) {
	v, root := makeVault(t), makeKMS(t, "kms://one", 32)
	k := v.startedKeyring(root)
	text := seal(t, k, place, "value")
	v.register(k)
	root.away()
	const wantError = `unwrapping encryption-key "v1": the root key cannot be reached: kms://one: connection refused`
	checkError(t, v.keyring(root).Bootstrap(context.Background()), ErrRootUnavailable, wantError)
	reload(t, k)
	checkOpens(t, k, text, place, "value")
	if problem := k.Problem("v1"); problem != nil {
		t.Errorf("unchanged material: %v", problem)
	}
	// Another replica wrapped it anew, so it is not as it was unwrapped.
	v.alter("encryption-key-v1", func(s *corev1.Secret) { s.Data["wrapped"] = wrap(t, root.LocalRoot, k.versions[0].material) })
	reload(t, k)
	checkError(t, k.Problem("v1"), ErrRootUnavailable, wantError)
	checkOpens(t, k, text, place, "value")
	checkOpens(t, k, seal(t, k, place, "value"), place, "value")
	created, err := k.EnsureKey(context.Background(), "v2")
	if created {
		t.Error("a key was made without its root key")
	}
	checkError(t, err, ErrRootUnavailable, `wrapping encryption-key "v2": the root key cannot be reached: kms://one: connection refused`)
	root.refusal = nil
	reload(t, k)
	if problem := k.Problem("v1"); problem != nil {
		t.Errorf("once it answers: %v", problem)
	}
}
