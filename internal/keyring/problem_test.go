package keyring

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/internal/envelope"
)

// alter changes one Secret by hand.
func (v *vault) alter(name string, change func(*corev1.Secret)) {
	v.t.Helper()
	secret := v.secret(name)
	change(secret)
	v.update(secret)
}

// copied puts what a Secret holds under another name.
func (v *vault) copied(from, to string) {
	v.t.Helper()
	secret := v.secret(from)
	v.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: to, Labels: secret.Labels, Annotations: secret.Annotations}, Data: secret.Data})
}

// A Secret that was changed by hand is a problem of its key alone: what is at
// hand stays, the others are used, and a start goes on with them.
func TestAlteredSecretsAreAProblemOfTheirKey(t *testing.T) {
	const doesNotUnwrap = `key material was altered: encryption-key "v1" does not unwrap; restore its Secret from a backup`
	const other = `key material was altered: encryption-key "v1" holds other material; restore its Secret from a backup`
	tests := map[string]struct {
		alter       func(v *vault)
		object      string // v1 where empty
		wantProblem string
		// wantKeys are at hand after a restart: v2 and v3 where nil.
		wantKeys []string
	}{
		"a bit flipped": {
			alter:       func(v *vault) { v.alter("encryption-key-v1", func(s *corev1.Secret) { s.Data["wrapped"][40] ^= 1 }) },
			wantProblem: doesNotUnwrap,
		},
		"emptied": {
			alter:       func(v *vault) { v.alter("encryption-key-v1", func(s *corev1.Secret) { delete(s.Data, "wrapped") }) },
			wantProblem: doesNotUnwrap,
		},
		"without its root key's id": {
			alter:       func(v *vault) { v.alter("encryption-key-v1", func(s *corev1.Secret) { delete(s.Data, "rootKeyID") }) },
			wantProblem: `key material was altered: Secret "encryption-key-v1" names no root key; restore it from a backup`,
		},
		"without any data": {
			alter:       func(v *vault) { v.alter("encryption-key-v1", func(s *corev1.Secret) { s.Data = nil }) },
			wantProblem: `key material was altered: Secret "encryption-key-v1" names no root key; restore it from a backup`,
		},
		"the identity key's for an encryption key's": {
			alter: func(v *vault) {
				v.alter("encryption-key-v1", func(s *corev1.Secret) { s.Data = v.secret("value-identity-key").Data })
			},
			wantProblem: other,
		},
		"a newer key's": {
			alter: func(v *vault) {
				v.alter("encryption-key-v1", func(s *corev1.Secret) { s.Data = v.secret("encryption-key-v2").Data })
			},
			wantProblem: other,
		},
		"another name annotated": {
			alter: func(v *vault) {
				v.alter("encryption-key-v1", func(s *corev1.Secret) { s.Annotations[NameAnnotation] = "v2" })
			},
			wantProblem: `key material was altered: encryption-key "v2" holds other material; restore its Secret from a backup`,
		},
		"a newer key's, with its name annotated": {
			alter: func(v *vault) {
				v.alter("encryption-key-v1", func(s *corev1.Secret) {
					s.Data, s.Annotations = v.secret("encryption-key-v2").Data, map[string]string{NameAnnotation: "v2"}
				})
			},
			wantProblem: `key material was altered: Secret "encryption-key-v1" holds the material of encryption-key "v2"; restore it from a backup`,
		},
		"labelled as the identity key": {
			alter: func(v *vault) {
				v.alter("encryption-key-v1", func(s *corev1.Secret) { s.Labels[MaterialLabel] = "value-identity-key" })
			},
			wantProblem: `key material was altered: Secret "encryption-key-v1" is labelled as "value-identity-key" but not named like one; restore it from a backup`,
		},
		"no longer labelled": {
			alter:       func(v *vault) { v.alter("encryption-key-v1", func(s *corev1.Secret) { s.Labels = nil }) },
			wantProblem: `key material is missing: Secret "encryption-key-v1" is gone or holds another key than KEYID; restore it from a backup`,
		},
		"deleted": {
			alter:       func(v *vault) { v.delete("encryption-key-v1") },
			wantProblem: `key material is missing: Secret "encryption-key-v1" is gone or holds another key than KEYID; restore it from a backup`,
		},
		"copied under another name": {
			alter:       func(v *vault) { v.copied("encryption-key-v1", "encryption-key-v0") },
			object:      "v0",
			wantProblem: `key material was altered: encryption-key "v0" holds other material; restore its Secret from a backup`,
			wantKeys:    []string{"v1", "v2", "v3"},
		},
		"copied under its key id": {
			alter: func(v *vault) {
				secret := v.secret("encryption-key-v1")
				v.copied("encryption-key-v1", SecretPrefix+secret.Annotations[KeyIDAnnotation])
				v.alter(SecretPrefix+secret.Annotations[KeyIDAnnotation], func(s *corev1.Secret) { s.Annotations[NameAnnotation] = "v1" })
			},
			object:      "KEYID",
			wantProblem: `key material was altered: Secret "encryption-key-KEYID" holds encryption key KEYID a second time; delete it`,
			wantKeys:    []string{"v1", "v2", "v3"},
		},
		"of a kind that is none": {
			alter: func(v *vault) {
				v.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "odd", Labels: map[string]string{MaterialLabel: "odd"}}, Data: v.secret("encryption-key-v1").Data})
			},
			object:      "odd",
			wantProblem: `key material was altered: odd "odd" holds other material; restore its Secret from a backup`,
			wantKeys:    []string{"v1", "v2", "v3"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v := makeVault(t)
			k := v.startedKeyring()
			old := seal(t, k, place, "old")
			ensureKey(t, k, "v2")
			ensureKey(t, k, "v3")
			v.register(k)
			tt.alter(v)
			fill := strings.NewReplacer("KEYID", keyID(old)).Replace
			object := tt.object
			if object == "" {
				object = "v1"
			}

			reload(t, k)
			checkError(t, k.Problem(fill(object)), errors.Unwrap(k.Problem(fill(object))), fill(tt.wantProblem))
			if problem := k.Problem(fill(object)); !errors.Is(problem, ErrTampered) && !errors.Is(problem, ErrMaterialLost) {
				t.Errorf("problem %v is neither of ErrTampered nor of ErrMaterialLost", problem)
			}
			checkNames(t, k, "v1", "v2", "v3")
			checkOpens(t, k, old, place, "old")
			checkOpens(t, k, seal(t, k, place, "new"), place, "new")
			checkOthersFine(t, k, fill(object))

			started := v.startedKeyring()
			wantKeys := tt.wantKeys
			if wantKeys == nil {
				wantKeys = []string{"v2", "v3"}
				checkDoesNotOpen(t, started, old, ErrUnknownKey, fill("unknown encryption key KEYID: "+tt.wantProblem))
			}
			checkNames(t, started, wantKeys...)
			checkOpens(t, started, seal(t, started, place, "new"), place, "new")
			checkOthersFine(t, started, fill(object))
		})
	}
}

// checkOthersFine: no problem is told of any key but one.
func checkOthersFine(t *testing.T, k *Keyring, but string) {
	t.Helper()
	if len(k.problems) != 1 || k.problems[but] == nil {
		t.Errorf("problems are %v, want only that of %s", k.problems, but)
	}
}

// Two Secrets whose material was swapped are broken both, and where nothing is
// left, a start fails.
func TestAStartFailsWhereNoKeyUnwraps(t *testing.T) {
	v := makeVault(t)
	k := v.startedKeyring()
	ensureKey(t, k, "v2")
	v.register(k)
	one, two := v.secret("encryption-key-v1"), v.secret("encryption-key-v2")
	one.Data, two.Data = two.Data, one.Data
	v.update(one)
	v.update(two)
	const problem = `key material was altered: encryption-key "%s" holds other material; restore its Secret from a backup`
	bootstrap(t, k)
	for _, name := range []string{"v1", "v2"} {
		checkError(t, k.Problem(name), ErrTampered, fmt.Sprintf(problem, name))
	}
	checkOpens(t, k, seal(t, k, place, "value"), place, "value")
	started := v.keyring()
	before := v.secrets()
	checkError(t, started.Bootstrap(context.Background()), ErrTampered, fmt.Sprintf(problem, "v1"))
	if diff := cmp.Diff(before, v.secrets()); diff != "" || len(started.Keys()) != 0 {
		t.Errorf("%d keys at hand, Secrets (-before +after):\n%s", len(started.Keys()), diff)
	}
}

// Without the identity key every value id would change, so a start needs it; who
// runs already goes on.
func TestAlteredIdentityKey(t *testing.T) {
	tests := map[string]struct {
		alter       func(*corev1.Secret)
		wantProblem string
	}{
		"a bit flipped": {
			alter:       func(s *corev1.Secret) { s.Data["wrapped"][40] ^= 1 },
			wantProblem: `key material was altered: value-identity-key "value-identity-key" does not unwrap; restore its Secret from a backup`,
		},
		"labelled as an encryption key": {
			alter:       func(s *corev1.Secret) { s.Labels[MaterialLabel] = "encryption-key" },
			wantProblem: `key material was altered: Secret "value-identity-key" is labelled as "encryption-key" but not named like one; restore it from a backup`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v := makeVault(t)
			k := v.startedKeyring()
			before := valueID(t, k, place, "value")
			v.alter("value-identity-key", tt.alter)
			bootstrap(t, k)
			checkError(t, k.Problem("value-identity-key"), ErrTampered, tt.wantProblem)
			if after := valueID(t, k, place, "value"); after != before {
				t.Errorf("value id was %s, now %s", before, after)
			}
			checkOpens(t, k, seal(t, k, place, "value"), place, "value")
			checkError(t, v.keyring().Bootstrap(context.Background()), ErrTampered, tt.wantProblem)
		})
	}
}

// The Secret of one key was replaced by that of another vault's key of the name.
func TestMaterialOfAnotherKeyOfTheName(t *testing.T) {
	v := makeVault(t)
	k := v.startedKeyring()
	old := seal(t, k, place, "value")
	v.register(k)
	v.delete("encryption-key-v1")
	v.put(makeRoot(t, 32), material{kind: kindEncryptionKey, name: "v1", sequence: 1, key: key32(200)})
	reload(t, k)
	wantProblem := `key material is missing: Secret "encryption-key-v1" is gone or holds another key than ` + keyID(old) + `; restore it from a backup`
	checkError(t, k.Problem("v1"), ErrMaterialLost, wantProblem)
	checkNames(t, k, "v1", "v1")
	checkOpens(t, k, old, place, "value")
	started := v.startedKeyring()
	checkNames(t, started, "v1")
	checkDoesNotOpen(t, started, old, ErrUnknownKey, "unknown encryption key "+keyID(old)+": "+wantProblem)
}

// Material whose name makes no key id, which nothing here stores.
func TestMaterialOfANameThatMakesNoKeyID(t *testing.T) {
	v, root := makeVault(t), makeRoot(t, 32)
	k := v.startedKeyring()
	name := strings.Repeat("v", 41)
	v.create(NewMaterialSecret(namespace, kindEncryptionKey, SecretPrefix+name, wrap(t, root, newMaterial(kindEncryptionKey, name, 2)), root.ID()))
	reload(t, k)
	checkError(t, k.Problem(name), envelope.ErrKeyID, `naming encryption-key "`+name+`": `+envelope.ErrKeyID.Error())
	checkNames(t, k, "v1")
	checkOpens(t, k, seal(t, k, place, "value"), place, "value")
}

// A problem ends with its cause.
func TestRestoredMaterialIsNoProblem(t *testing.T) {
	v := makeVault(t)
	k := v.startedKeyring()
	ensureKey(t, k, "v2")
	v.register(k)
	saved := v.secret("encryption-key-v1")
	v.delete("encryption-key-v1")
	started := v.startedKeyring()
	reload(t, k)
	saved.ResourceVersion = ""
	v.create(saved)
	for what, keyring := range map[string]*Keyring{"running on": k, "started without it": started} {
		reload(t, keyring)
		if len(keyring.problems) != 0 {
			t.Errorf("%s: problems are %v", what, keyring.problems)
		}
		checkNames(t, keyring, "v1", "v2")
	}
}
