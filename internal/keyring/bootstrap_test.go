package keyring

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
)

func TestBootstrapMakesTheFirstKeyOnce(t *testing.T) {
	v := makeVault(t)
	k := v.keyring()
	bootstrap(t, k)
	keys := k.Keys()
	if len(keys) != 1 || keys[0].Name != "v1" || keys[0].Sequence != 1 || keys[0].ID.Name() != "v1" {
		t.Fatalf("keys are %v, want v1 with sequence 1", keys)
	}
	before := v.secrets()
	bootstrap(t, k)
	again := v.keyring()
	bootstrap(t, again)
	if diff := cmp.Diff(keys, again.Keys()); diff != "" {
		t.Errorf("keys after a restart (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(before, v.secrets()); diff != "" {
		t.Errorf("Secrets changed (-before +after):\n%s", diff)
	}
}

// A vault that is complete is only read: not even a create that would fail.
func TestNothingIsWrittenTwice(t *testing.T) {
	v := makeVault(t)
	bootstrap(t, v.keyring())
	reading := v.keyringOver(v.intercept(interceptor.Funcs{
		Create: func(_ context.Context, _ client.WithWatch, object client.Object, _ ...client.CreateOption) error {
			t.Errorf("%s was to be created again", object.GetName())
			return nil
		},
	}))
	bootstrap(t, reading)
	if created, err := reading.EnsureKey(context.Background(), "v1"); created || err != nil {
		t.Errorf("EnsureKey = %t, %v", created, err)
	}
}

// racing is a client whose first call of Create waits until before has run.
func (v *vault) racing(before func()) client.Client {
	var once sync.Once
	return v.intercept(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, opts ...client.CreateOption) error {
			once.Do(before)
			return c.Create(ctx, object, opts...)
		},
	})
}

func TestBootstrapRace(t *testing.T) {
	v := makeVault(t)
	first := v.keyring()
	second := v.keyringOver(v.racing(func() { bootstrap(t, first) }))
	bootstrap(t, second)
	if diff := cmp.Diff(first.Keys(), second.Keys()); diff != "" || len(first.Keys()) != 1 {
		t.Errorf("keys (-first +second):\n%s", diff)
	}
	one, err := first.ValueID(place, valueOf("value"))
	if err != nil {
		t.Fatal(err)
	}
	if two, err := second.ValueID(place, valueOf("value")); err != nil || one != two {
		t.Errorf("value ids are %s and %s, error %v", one, two, err)
	}
	checkOpens(t, second, seal(t, first, place, "value"), place, "value")
}

func TestBootstrapAllAtOnce(t *testing.T) {
	v := makeVault(t)
	keyrings := make([]*Keyring, 8)
	var group sync.WaitGroup
	for i := range keyrings {
		keyrings[i] = v.keyring()
		group.Go(func() {
			if err := keyrings[i].Bootstrap(context.Background()); err != nil {
				t.Errorf("bootstrapping: %v", err)
			}
		})
	}
	group.Wait()
	for _, k := range keyrings {
		if diff := cmp.Diff(keyrings[0].Keys(), k.Keys()); diff != "" || len(k.Keys()) != 1 {
			t.Errorf("keys differ:\n%s", diff)
		}
	}
}

// Between this replica's two looks, another one made the key and used it.
func TestBootstrapAfterAnotherWasFaster(t *testing.T) {
	v := makeVault(t)
	faster := v.keyring()
	var once sync.Once
	slower := v.keyringOver(v.intercept(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			err := c.List(ctx, list, opts...)
			once.Do(func() {
				bootstrap(t, faster)
				v.create(makeEncryptionKey("v1"))
			})
			return err
		},
	}))
	bootstrap(t, slower)
	if diff := cmp.Diff(faster.Keys(), slower.Keys()); diff != "" || len(slower.Keys()) != 1 {
		t.Errorf("keys (-faster +slower):\n%s", diff)
	}
}

func TestBootstrapNeverHidesALoss(t *testing.T) {
	lost := func(has string) string {
		return `key material is missing: namespace "usersecrets-system" holds no Secret labelled usersecrets.dev/key-material=encryption-key, yet the cluster has ` +
			has + `; restore the key material from a backup`
	}
	tests := map[string]struct {
		prepare   func(v *vault)
		wantError string
	}{
		"a UserSecret": {
			prepare:   func(v *vault) { v.create(makeUserSecret()) },
			wantError: lost("UserSecrets"),
		},
		"an EncryptionKey": {
			prepare:   func(v *vault) { v.create(makeEncryptionKey("v1")) },
			wantError: lost("EncryptionKeys"),
		},
		"an EncryptionKey that had material": {
			prepare: func(v *vault) {
				object := makeEncryptionKey("v1")
				object.Status.KeyID = "v1-3f9a2c1b"
				v.create(object)
			},
			wantError: `key material is missing: Secret "encryption-key-v1" is gone or holds another key than v1-3f9a2c1b; restore it from a backup`,
		},
		"both": {
			prepare: func(v *vault) {
				v.create(makeEncryptionKey("v1"))
				v.create(makeUserSecret())
			},
			wantError: lost("UserSecrets"),
		},
		"the identity key": {
			prepare: func(v *vault) {
				bootstrap(v.t, v.keyring())
				v.delete("encryption-key-v1")
			},
			wantError: lost("the identity key of its values"),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v := makeVault(t)
			tt.prepare(v)
			before := v.secrets()
			k := v.keyring()
			if err := k.Bootstrap(context.Background()); !errors.Is(err, ErrMaterialLost) || err.Error() != tt.wantError {
				t.Errorf("error %v,\nwant %s", err, tt.wantError)
			}
			if diff := cmp.Diff(before, v.secrets()); diff != "" || len(k.Keys()) != 0 {
				t.Errorf("a key was made:\n%s", diff)
			}
		})
	}
}

// A Secret that a careless restore left without its label is not overwritten,
// and not passed over.
func TestBootstrapMeetsSecretsOfOthers(t *testing.T) {
	tests := map[string]struct{ name, wantError string }{
		"in place of the first key": {
			name:      "encryption-key-v1",
			wantError: `key material was altered: Secret "encryption-key-v1" is labelled as "" but not named like one; restore it from a backup`,
		},
		"in place of the identity key": {
			name:      "value-identity-key",
			wantError: `key material was altered: Secret "value-identity-key" is labelled as "" but not named like one; restore it from a backup`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v := makeVault(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: tt.name}, Data: map[string][]byte{"a": []byte("b")}})
			before := v.secret(tt.name)
			if err := v.keyring().Bootstrap(context.Background()); !errors.Is(err, ErrTampered) || err.Error() != tt.wantError {
				t.Errorf("error %v,\nwant %s", err, tt.wantError)
			}
			if diff := cmp.Diff(before, v.secret(tt.name)); diff != "" {
				t.Errorf("the Secret changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestBootstrapFailures(t *testing.T) {
	down := errors.New("the API server is down")
	// failing fails the nth list of a kind.
	failing := func(v *vault, kind string, nth int) client.Client {
		lists := 0
		return v.intercept(interceptor.Funcs{
			List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
				if kindOf(list) == kind {
					if lists++; lists == nth {
						return down
					}
				}
				return c.List(ctx, list, opts...)
			},
		})
	}
	const listing = `listing key material in namespace "usersecrets-system": the API server is down`
	tests := map[string]struct {
		objects   []client.Object
		kind      string
		nth       int
		wantError string
	}{
		"before the first look":            {kind: "EncryptionKeyList", nth: 1, wantError: "listing EncryptionKeys: the API server is down"},
		"the first look":                   {kind: "SecretList", nth: 1, wantError: listing},
		"after the first look":             {kind: "EncryptionKeyList", nth: 2, wantError: "listing EncryptionKeys: the API server is down"},
		"looking for UserSecrets":          {kind: "any UserSecretList", nth: 1, wantError: "looking for UserSecrets: the API server is down"},
		"looking for EncryptionKeys":       {kind: "any EncryptionKeyList", nth: 1, wantError: "looking for EncryptionKeys: the API server is down"},
		"looking for the new key":          {kind: "SecretList", nth: 2, wantError: listing},
		"looking for the new identity key": {kind: "SecretList", nth: 3, wantError: listing},
		"looking once more":                {objects: []client.Object{makeUserSecret()}, kind: "SecretList", nth: 2, wantError: listing},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v := makeVault(t, tt.objects...)
			err := v.keyringOver(failing(v, tt.kind, tt.nth)).Bootstrap(context.Background())
			checkError(t, err, down, tt.wantError)
		})
	}
}

// kindOf is the kind of a list, after "any" where only its items' names matter.
func kindOf(list client.ObjectList) string {
	switch list := list.(type) {
	case *corev1.SecretList:
		return "SecretList"
	case *v1alpha1.EncryptionKeyList:
		return "EncryptionKeyList"
	default:
		return "any " + list.GetObjectKind().GroupVersionKind().Kind
	}
}

func TestEnsureKey(t *testing.T) {
	v, ctx := makeVault(t), context.Background()
	k := v.keyring()
	bootstrap(t, k)
	other := v.keyring()
	bootstrap(t, other)
	ensureKey(t, k, "v2")
	if active, err := k.Active(); err != nil || active.Name != "v2" || active.Sequence != 2 {
		t.Errorf("active is %v, error %v; want v2 with sequence 2", active, err)
	}
	before := v.secrets()
	for what, again := range map[string]*Keyring{"this": k, "another": other} {
		if created, err := again.EnsureKey(ctx, "v2"); created || err != nil {
			t.Errorf("EnsureKey of %s keyring, again = %t, %v", what, created, err)
		}
	}
	if diff := cmp.Diff(before, v.secrets()); diff != "" {
		t.Errorf("Secrets changed (-before +after):\n%s", diff)
	}
	// A key that is made after a gap is the newest all the same.
	v.put(makeRoot(t, 32), newMaterial(kindEncryptionKey, "v9", 9))
	ensureKey(t, other, "a")
	if active, err := other.Active(); err != nil || active.Name != "a" || active.Sequence != 10 {
		t.Errorf("active is %v, error %v; want a with sequence 10", active, err)
	}
}

func TestEnsureKeyInAnEmptyVault(t *testing.T) {
	k := makeVault(t).keyring()
	ensureKey(t, k, "v5")
	if active, err := k.Active(); err != nil || active.Sequence != 1 {
		t.Errorf("active is %v, error %v; want sequence 1", active, err)
	}
}

// Another leader, that has not noticed yet that it is none, was faster.
func TestEnsureKeyRace(t *testing.T) {
	v := makeVault(t)
	first := v.keyring()
	bootstrap(t, first)
	second := v.keyringOver(v.racing(func() { ensureKey(t, first, "v2") }))
	if created, err := second.EnsureKey(context.Background(), "v2"); created || err != nil {
		t.Errorf("EnsureKey = %t, %v; want false, since it was there", created, err)
	}
	if diff := cmp.Diff(first.Keys(), second.Keys()); diff != "" {
		t.Errorf("keys (-first +second):\n%s", diff)
	}
}

// Material of a name that no key id can have would keep every replica from
// loading any key.
func TestEnsureKeyRefusesNames(t *testing.T) {
	v := makeVault(t)
	k := v.keyring()
	bootstrap(t, k)
	for _, name := range []string{"", "V2", "-v2", "v2-", "v.2", strings.Repeat("v", 41)} {
		created, err := k.EnsureKey(context.Background(), name)
		if created || !errors.Is(err, envelope.ErrKeyID) || !strings.HasPrefix(err.Error(), `naming encryption key "`+name+`": the key id is malformed: `) {
			t.Errorf("EnsureKey(%q) = %t, %v; want ErrKeyID", name, created, err)
		}
	}
	if n := len(v.secrets()); n != 2 {
		t.Errorf("%d Secrets there, want 2", n)
	}
	bootstrap(t, v.keyring())
}

func TestEnsureKeyFailures(t *testing.T) {
	v := makeVault(t)
	bootstrap(t, v.keyring())
	down := errors.New("the API server is down")
	for name, funcs := range map[string]interceptor.Funcs{
		"list": {List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return down }},
		"create": {Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
			return down
		}},
	} {
		if created, err := v.keyringOver(v.intercept(funcs)).EnsureKey(context.Background(), "v2"); created || !errors.Is(err, down) {
			t.Errorf("%s: EnsureKey = %t, %v", name, created, err)
		}
	}
}
