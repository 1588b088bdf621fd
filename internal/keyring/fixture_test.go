package keyring

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
)

const namespace = "usersecrets-system"

var (
	place = envelope.Binding{Owner: "alice", Namespace: "alice-flows", Name: "openai"}
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// key32 is 32 bytes that count up from first.
func key32(first byte) []byte {
	key := make([]byte, KeySize)
	for i := range key {
		key[i] = first + byte(i)
	}
	return key
}

// makeRoot is a root key, another for each first.
func makeRoot(t testing.TB, first byte) *LocalRoot {
	t.Helper()
	root, err := ParseRootKey(hex.EncodeToString(key32(first)))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// vault is a fake cluster with keyrings on it.
type vault struct {
	t      testing.TB
	client client.WithWatch
	clock  *clocktesting.FakeClock
}

func makeVault(t testing.TB, objects ...client.Object) *vault {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return &vault{
		t: t, clock: clocktesting.NewFakeClock(noon),
		client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build(),
	}
}

// keyring is an empty keyring with the given root keys, or with the first one.
func (v *vault) keyring(roots ...Root) *Keyring {
	return v.keyringOver(v.client, roots...)
}

func (v *vault) keyringOver(c client.Client, roots ...Root) *Keyring {
	if len(roots) == 0 {
		roots = []Root{makeRoot(v.t, 32)}
	}
	return New(Config{Client: c, Namespace: namespace, Roots: roots, Clock: v.clock})
}

// intercept is a client for the same cluster with some calls replaced.
func (v *vault) intercept(funcs interceptor.Funcs) client.Client {
	return interceptor.NewClient(v.client, funcs)
}

func (v *vault) secret(name string) *corev1.Secret {
	v.t.Helper()
	var secret corev1.Secret
	if err := v.client.Get(context.Background(), types.NamespacedName{Namespace: namespace, Name: name}, &secret); err != nil {
		v.t.Fatal(err)
	}
	return &secret
}

func (v *vault) secrets() []corev1.Secret {
	v.t.Helper()
	var list corev1.SecretList
	if err := v.client.List(context.Background(), &list); err != nil {
		v.t.Fatal(err)
	}
	return list.Items
}

// put puts material of a known sequence into the cluster.
func (v *vault) put(root Root, m material) {
	v.t.Helper()
	s := store{client: v.client, namespace: namespace, roots: []Root{root}}
	if created, err := s.create(context.Background(), m); err != nil || !created {
		v.t.Fatalf("storing %s: created %t, error %v", m.name, created, err)
	}
}

func (v *vault) delete(name string) {
	v.t.Helper()
	if err := v.client.Delete(context.Background(), v.secret(name)); err != nil {
		v.t.Fatal(err)
	}
}

func (v *vault) update(secret *corev1.Secret) {
	v.t.Helper()
	if err := v.client.Update(context.Background(), secret); err != nil {
		v.t.Fatal(err)
	}
}

func (v *vault) create(object client.Object) {
	v.t.Helper()
	if err := v.client.Create(context.Background(), object); err != nil {
		v.t.Fatal(err)
	}
}

// register gives every key at hand its EncryptionKey, as the controller does.
func (v *vault) register(k *Keyring) {
	v.t.Helper()
	for _, key := range k.Keys() {
		object := makeEncryptionKey(key.Name)
		object.Status = v1alpha1.EncryptionKeyStatus{KeyID: string(key.ID), Sequence: int64(key.Sequence)}
		v.create(object)
	}
}

// counting counts the looks at the Secrets with key material.
func (v *vault) counting(looks *int) client.Client {
	return v.intercept(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, ok := list.(*corev1.SecretList); ok {
				*looks++
			}
			return c.List(ctx, list, opts...)
		},
	})
}

// startedKeyring is a keyring as after a start of the operator.
func (v *vault) startedKeyring(roots ...Root) *Keyring {
	v.t.Helper()
	k := v.keyring(roots...)
	bootstrap(v.t, k)
	return k
}

func reload(t testing.TB, k *Keyring) {
	t.Helper()
	if err := k.Reload(context.Background()); err != nil {
		t.Fatalf("reloading: %v", err)
	}
}

// names are those of the keys at hand, oldest first.
func names(k *Keyring) []string {
	var out []string
	for _, key := range k.Keys() {
		out = append(out, key.Name)
	}
	return out
}

func checkNames(t testing.TB, k *Keyring, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, names(k)); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

// checkError: an error is of a sentinel and has exactly this text.
func checkError(t testing.TB, err, want error, wantText string) {
	t.Helper()
	if !errors.Is(err, want) || err.Error() != wantText {
		t.Errorf("error %v,\nwant %s", err, wantText)
	}
}

// checkDoesNotOpen: a sealed value does not open, for the reason given.
func checkDoesNotOpen(t testing.TB, k *Keyring, text string, want error, wantText string) {
	t.Helper()
	value, err := k.OpenText(context.Background(), text, place)
	if value.Len() != 0 {
		t.Errorf("opened to %d bytes", value.Len())
	}
	checkError(t, err, want, wantText)
}

// keyID is the id that a sealed value names.
func keyID(text string) string { return strings.Split(text, ".")[1] }

func bootstrap(t testing.TB, k *Keyring) {
	t.Helper()
	if err := k.Bootstrap(context.Background()); err != nil {
		t.Fatalf("bootstrapping: %v", err)
	}
}

func ensureKey(t testing.TB, k *Keyring, name string) {
	t.Helper()
	if created, err := k.EnsureKey(context.Background(), name); err != nil || !created {
		t.Fatalf("EnsureKey(%q) = %t, %v", name, created, err)
	}
}

func seal(t testing.TB, k *Keyring, b envelope.Binding, value string) string {
	t.Helper()
	text, err := k.Seal(b, secretvalue.FromString(value))
	if err != nil {
		t.Fatalf("sealing: %v", err)
	}
	return text
}

// checkOpens: a sealed value opens to want.
func checkOpens(t testing.TB, k *Keyring, text string, b envelope.Binding, want string) {
	t.Helper()
	value, err := k.OpenText(context.Background(), text, b)
	if err != nil || !bytes.Equal(value.Bytes(), []byte(want)) {
		t.Errorf("opened to %q, error %v; want %q", value.Bytes(), err, want)
	}
}

// checkNoKeyBytes: a text shows none of the keys, in no usual encoding.
func checkNoKeyBytes(t testing.TB, text string, keys ...[]byte) {
	t.Helper()
	for _, key := range keys {
		for _, form := range []string{string(key), hex.EncodeToString(key), hex.EncodeToString(key[:8])} {
			if strings.Contains(strings.ToLower(text), strings.ToLower(form)) {
				t.Errorf("shows key bytes: %q", text)
			}
		}
	}
}

func makeUserSecret() *v1alpha1.UserSecret {
	return &v1alpha1.UserSecret{ObjectMeta: metav1.ObjectMeta{Namespace: place.Namespace, Name: place.Name}}
}

func makeEncryptionKey(name string) *v1alpha1.EncryptionKey {
	return &v1alpha1.EncryptionKey{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// kmsRoot is a root key in a KMS of the test's.
type kmsRoot struct {
	*LocalRoot
	id string
	// refusal is what the KMS answers instead, if anything.
	refusal error
	unwraps int
}

func makeKMS(t testing.TB, id string, first byte) *kmsRoot {
	t.Helper()
	return &kmsRoot{LocalRoot: makeRoot(t, first), id: id}
}

func (r *kmsRoot) ID() string { return r.id }

func (r *kmsRoot) Wrap(ctx context.Context, plaintext []byte) ([]byte, error) {
	if r.refusal != nil {
		return nil, r.refusal
	}
	return r.LocalRoot.Wrap(ctx, plaintext)
}

func (r *kmsRoot) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	r.unwraps++
	if r.refusal != nil {
		return nil, r.refusal
	}
	return r.LocalRoot.Unwrap(ctx, wrapped)
}

// away is what a KMS that cannot be reached comes to.
func (r *kmsRoot) away() {
	r.refusal = fmt.Errorf("%w: %s: connection refused", ErrRootUnavailable, r.id)
}
