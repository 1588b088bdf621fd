package sealingkey

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/internal/owner"
)

// world is one namespace, a vault with one key, and a count of the writes of
// SealingKeys.
type world struct {
	t      *testing.T
	client client.Client
	r      *Reconciler
	writes int
}

func newWorld(t *testing.T, annotations map[string]string) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{t: t}
	count := func(object client.Object) {
		if _, ok := object.(*v1alpha1.SealingKey); ok {
			w.writes++
		}
	}
	w.client = fake.NewClientBuilder().WithScheme(scheme).
		WithObjects(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "alice", Annotations: annotations}}).
		WithInterceptorFuncs(interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				count(o)
				return c.Create(ctx, o, opts...)
			},
			Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
				count(o)
				return c.Update(ctx, o, opts...)
			},
			Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
				count(o)
				return c.Delete(ctx, o, opts...)
			},
		}).Build()
	root, err := keyring.ParseRootKey("8f1d6c0a5b3e49728f1d6c0a5b3e4972000102030405060708090a0b0c0d0e0f")
	if err != nil {
		t.Fatal(err)
	}
	keys := keyring.New(keyring.Config{Client: w.client, Namespace: "usersecrets-system", Roots: []keyring.Root{root}})
	if err := keys.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.r = &Reconciler{
		Client: w.client, Keys: keys, Events: events.NewFakeRecorder(16),
		Owners: &owner.Resolver{Live: w.client, Annotation: v1alpha1.OwnerAnnotation},
	}
	return w
}

func (w *world) reconcile() {
	w.t.Helper()
	if _, err := w.r.Reconcile(w.t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: "alice"}}); err != nil {
		w.t.Fatalf("Reconcile: %v", err)
	}
}

// key is the SealingKey that is there, or nil.
func (w *world) key() *v1alpha1.SealingKey {
	w.t.Helper()
	key := &v1alpha1.SealingKey{}
	err := w.client.Get(w.t.Context(), types.NamespacedName{Namespace: "alice", Name: v1alpha1.SealingKeyName}, key)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return key
}

func (w *world) setOwner(name string) {
	w.t.Helper()
	ns := &corev1.Namespace{}
	if err := w.client.Get(w.t.Context(), types.NamespacedName{Name: "alice"}, ns); err != nil {
		w.t.Fatal(err)
	}
	ns.Annotations = map[string]string{v1alpha1.OwnerAnnotation: name}
	if err := w.client.Update(w.t.Context(), ns); err != nil {
		w.t.Fatal(err)
	}
}

func owned() map[string]string { return map[string]string{v1alpha1.OwnerAnnotation: "alice"} }

func TestPublishes(t *testing.T) {
	w := newWorld(t, owned())
	w.reconcile()
	public, err := w.r.Keys.PublicKey("alice")
	if err != nil {
		t.Fatal(err)
	}
	if got := w.key(); got == nil || got.Spec.Owner != "alice" || got.Spec.Fingerprint != public.Fingerprint() || string(got.Spec.PublicKey) != string(public.Bytes()) {
		t.Errorf("published %+v, want alice's key %s", got, public.Fingerprint())
	}
	w.reconcile()
	if w.writes != 1 {
		t.Errorf("%d writes where nothing changed, want the first alone", w.writes)
	}
}

func TestFollowsTheOwner(t *testing.T) {
	w := newWorld(t, owned())
	w.reconcile()
	before := w.key()
	w.setOwner("bob")
	w.reconcile()
	if got := w.key(); got.Spec.Owner != "bob" || got.Spec.Fingerprint == before.Spec.Fingerprint {
		t.Errorf("after a change of owner the key is %s's with fingerprint %s", got.Spec.Owner, got.Spec.Fingerprint)
	}
	w.setOwner("")
	w.reconcile()
	if got := w.key(); got != nil {
		t.Errorf("a namespace without owner has the key of %s", got.Spec.Owner)
	}
}

func TestPutsBackWhatSomebodyChanged(t *testing.T) {
	w := newWorld(t, owned())
	w.reconcile()
	forged := w.key()
	want := forged.Spec.Fingerprint
	forged.Spec.PublicKey, forged.Spec.Fingerprint = []byte("another"), "SHA256:another"
	if err := w.client.Update(t.Context(), forged); err != nil {
		t.Fatal(err)
	}
	w.reconcile()
	if got := w.key().Spec.Fingerprint; got != want {
		t.Errorf("the fingerprint is %s after a forgery, want %s", got, want)
	}
}

func TestNoOwnerNoKey(t *testing.T) {
	w := newWorld(t, nil)
	w.reconcile()
	if got := w.key(); got != nil || w.writes != 0 {
		t.Errorf("a namespace without owner got %v with %d writes", got, w.writes)
	}
}
