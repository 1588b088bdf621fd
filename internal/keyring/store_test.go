package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func TestWrongRootKey(t *testing.T) {
	v := makeVault(t)
	right, wrong, other := makeRoot(t, 32), makeRoot(t, 33), makeRoot(t, 34)
	bootstrap(t, v.keyring(right))
	tests := map[string]struct {
		roots     []Root
		wantError string
	}{
		"another": {
			roots:     []Root{wrong},
			wantError: fmt.Sprintf(`wrong root key: encryption-key "v1" is wrapped by root key %s, but %s is configured; start the operator with the root key that the vault was made with`, right.ID(), wrong.ID()),
		},
		"two others": {
			roots:     []Root{wrong, other},
			wantError: fmt.Sprintf(`wrong root key: encryption-key "v1" is wrapped by root key %s, but %s, %s is configured; start the operator with the root key that the vault was made with`, right.ID(), wrong.ID(), other.ID()),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			k := v.keyring(tt.roots...)
			err := k.Bootstrap(context.Background())
			if !errors.Is(err, ErrWrongRootKey) || errors.Is(err, ErrTampered) || err.Error() != tt.wantError {
				t.Errorf("error %v,\nwant %s", err, tt.wantError)
			}
			checkNoKeyBytes(t, err.Error(), key32(32), key32(33), key32(34))
			if len(k.Keys()) != 0 || len(v.secrets()) != 2 {
				t.Errorf("%d keys loaded, %d Secrets there", len(k.Keys()), len(v.secrets()))
			}
		})
	}
}

// The first root key wraps, all unwrap: that is how one replaces the other.
func TestSeveralRootKeys(t *testing.T) {
	v := makeVault(t)
	former, latter := makeRoot(t, 32), makeRoot(t, 33)
	bootstrap(t, v.keyring(former))
	k := v.keyring(latter, former)
	bootstrap(t, k)
	ensureKey(t, k, "v2")
	for name, want := range map[string]string{"encryption-key-v1": former.ID(), "encryption-key-v2": latter.ID()} {
		if got := string(v.secret(name).Data["rootKeyID"]); got != want {
			t.Errorf("%s is wrapped by %s, want %s", name, got, want)
		}
	}
}

// What lies in the cluster: wrapped, labelled, and no key in the clear.
func TestStoredSecrets(t *testing.T) {
	v := makeVault(t)
	k := v.keyring()
	bootstrap(t, k)
	for name, kind := range map[string]string{"encryption-key-v1": "encryption-key", "value-identity-key": "value-identity-key"} {
		secret := v.secret(name)
		wantLabels := map[string]string{MaterialLabel: kind, "app.kubernetes.io/part-of": "usersecret-operator"}
		if diff := cmp.Diff(wantLabels, secret.Labels); diff != "" || secret.Type != corev1.SecretTypeOpaque {
			t.Errorf("%s: type %s, labels (-want +got):\n%s", name, secret.Type, diff)
		}
		for field, data := range secret.Data {
			if bytes.Contains(data, k.versions[0].material.key) || bytes.Contains(data, k.identity.material.key) {
				t.Errorf("%s: field %s holds a key in the clear", name, field)
			}
		}
	}
}

// Only labelled Secrets of the operator's namespace are looked at.
func TestReloadPassesOthersOver(t *testing.T) {
	v := makeVault(t,
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "alice-flows", Name: "encryption-key-v1", Labels: map[string]string{MaterialLabel: "encryption-key"}}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "encryption-key-backup"}},
	)
	k := v.keyring()
	bootstrap(t, k)
	if keys := k.Keys(); len(keys) != 1 || keys[0].Name != "v1" {
		t.Errorf("keys are %v, want v1 alone", keys)
	}
}

// Creation times do not count, names only where sequence numbers are the same.
func TestKeysAreInOrderOfSequence(t *testing.T) {
	v, root := makeVault(t), makeRoot(t, 32)
	for name, sequence := range map[string]uint64{"v3": 1, "v1": 2, "b": 5, "a": 5, "v2": 1 << 63, "v0": 0} {
		v.put(root, newMaterial(kindEncryptionKey, name, sequence))
	}
	k := v.keyring(root)
	if err := k.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, key := range k.Keys() {
		names = append(names, key.Name)
	}
	if diff := cmp.Diff([]string{"v0", "v3", "v1", "a", "b", "v2"}, names); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if active, err := k.Active(); err != nil || active.Name != "v2" {
		t.Errorf("active is %v, error %v; want v2", active, err)
	}
}

func TestStoreFailures(t *testing.T) {
	down := errors.New("the API server is down")
	tests := map[string]struct {
		funcs     interceptor.Funcs
		wantError string
	}{
		"list": {
			funcs: interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
				return down
			}},
			wantError: `listing EncryptionKeys: the API server is down`,
		},
		"create": {
			funcs: interceptor.Funcs{Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
				return down
			}},
			wantError: `storing encryption-key "v1": the API server is down`,
		},
		"get what was there first": {
			funcs: interceptor.Funcs{
				Create: func(_ context.Context, _ client.WithWatch, object client.Object, _ ...client.CreateOption) error {
					return apierrors.NewAlreadyExists(schema.GroupResource{Resource: "secrets"}, object.GetName())
				},
				Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
					return down
				},
			},
			wantError: `reading Secret "encryption-key-v1": the API server is down`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v := makeVault(t)
			err := v.keyringOver(v.intercept(tt.funcs)).Bootstrap(context.Background())
			if !errors.Is(err, down) || err.Error() != tt.wantError {
				t.Errorf("error %v,\nwant %s", err, tt.wantError)
			}
		})
	}
	t.Run("wrap", func(t *testing.T) {
		err := makeVault(t).keyring(failingRoot{err: down}).Bootstrap(context.Background())
		if !errors.Is(err, down) || err.Error() != `wrapping encryption-key "v1": the API server is down` {
			t.Errorf("error %v", err)
		}
	})
}
