package usersecret

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/internal/owner"
	"usersecrets.dev/operator/internal/secretvalue"
)

const (
	rootKey      = "8f1d6c0a5b3e49728f1d6c0a5b3e4972000102030405060708090a0b0c0d0e0f"
	otherRootKey = "0f0e0d0c0b0a09080706050403020100" + "72493e5b0a6c1d8f72493e5b0a6c1d8f"
	// canary is 24 characters, so that its last 4 are shown.
	canary = "sk-Canary0123456789abcdef"
)

// world is alice's namespace, a catalogue of openai alone, a vault with one key,
// a clock that stands at now, and the Events that were emitted.
type world struct {
	t        *testing.T
	client   client.WithWatch
	clock    *clocktesting.FakeClock
	recorder *events.FakeRecorder
	r        *Reconciler
	// beforeApply, where set, runs once, before the next write of a status, and
	// may fail it.
	beforeApply func() error
	applies     int
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	w := &world{t: t, clock: clocktesting.NewFakeClock(now), recorder: events.NewFakeRecorder(64)}
	w.client = newClient(t, interceptor.Funcs{SubResourceApply: w.apply}, append(objects,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "alice", Annotations: map[string]string{v1alpha1.OwnerAnnotation: "alice"}}},
		makeProvider("openai"))...)
	w.r = &Reconciler{
		Client: w.client, Keys: makeVault(t, rootKey), Events: w.recorder, Clock: w.clock,
		Owners: &owner.Resolver{Live: w.client, Annotation: v1alpha1.OwnerAnnotation},
	}
	return w
}

func newClient(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(funcs).
		WithStatusSubresource(&v1alpha1.UserSecret{}).WithObjects(objects...).Build()
}

// makeVault is a vault of its own, with one key.
func makeVault(t *testing.T, root string) *keyring.Keyring {
	t.Helper()
	wraps, err := keyring.ParseRootKey(root)
	if err != nil {
		t.Fatal(err)
	}
	keys := keyring.New(keyring.Config{
		Client: newClient(t, interceptor.Funcs{}), Namespace: v1alpha1.OperatorNamespace, Roots: []keyring.Root{wraps},
	})
	if err := keys.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	return keys
}

func (w *world) apply(ctx context.Context, c client.Client, subresource string, object runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
	if meanwhile := w.beforeApply; meanwhile != nil {
		w.beforeApply = nil
		if err := meanwhile(); err != nil {
			return err
		}
	}
	w.applies++
	return c.SubResource(subresource).Apply(ctx, object, opts...)
}

// makeProvider has the type api_key, of which a namespace has one.
func makeProvider(name string) *v1alpha1.SecretProvider {
	return &v1alpha1.SecretProvider{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.SecretProviderSpec{Types: []v1alpha1.ProviderType{{Type: v1alpha1.TypeAPIKey, Key: "API_KEY"}}},
	}
}

// makeSecret is a UserSecret of alice's, an hour old: openai/api_key.
func makeSecret(name string, change ...func(*v1alpha1.UserSecret)) *v1alpha1.UserSecret {
	us := &v1alpha1.UserSecret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "alice", Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))},
		Spec:       v1alpha1.UserSecretSpec{Provider: "openai", Type: v1alpha1.TypeAPIKey},
	}
	for _, c := range change {
		c(us)
	}
	return us
}

func aged(age time.Duration) func(*v1alpha1.UserSecret) {
	return func(us *v1alpha1.UserSecret) { us.CreationTimestamp = metav1.NewTime(now.Add(-age)) }
}

func expiring(in time.Duration) func(*v1alpha1.UserSecret) {
	return func(us *v1alpha1.UserSecret) { us.Spec.ExpiresAt = expires(in) }
}

func sealedIn(keys *keyring.Keyring, us *v1alpha1.UserSecret, value string) string {
	text, err := keys.Seal(envelope.Binding{Owner: "alice", Namespace: us.Namespace, Name: us.Name}, secretvalue.FromString(value))
	if err != nil {
		panic(err)
	}
	return text
}

// store creates UserSecrets with a value that opens, where they have none yet.
func (w *world) store(secrets ...*v1alpha1.UserSecret) {
	w.t.Helper()
	for _, us := range secrets {
		if us.Spec.EncryptedValue == "" {
			us.Spec.EncryptedValue = sealedIn(w.r.Keys, us, canary)
		}
		if err := w.client.Create(w.t.Context(), us.DeepCopy()); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) get(name string) *v1alpha1.UserSecret {
	w.t.Helper()
	us := &v1alpha1.UserSecret{}
	if err := w.client.Get(w.t.Context(), types.NamespacedName{Namespace: "alice", Name: name}, us); err != nil {
		w.t.Fatal(err)
	}
	return us
}

// change writes a UserSecret as others do.
func (w *world) change(name string, change func(*v1alpha1.UserSecret)) {
	w.t.Helper()
	us := w.get(name)
	change(us)
	if err := w.client.Update(w.t.Context(), us); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) delete(name string) {
	w.t.Helper()
	if err := w.client.Delete(w.t.Context(), w.get(name)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) setOwner(name string) {
	w.t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "alice", Annotations: map[string]string{v1alpha1.OwnerAnnotation: name}}}
	if err := w.client.Update(w.t.Context(), ns); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) reconcile(name string) ctrl.Result {
	w.t.Helper()
	result, err := w.r.Reconcile(w.t.Context(), w.get(name))
	if err != nil {
		w.t.Fatalf("Reconcile: %v", err)
	}
	return result
}

// checkReason: a condition of a UserSecret has this reason.
func (w *world) checkReason(name, conditionType, want string) {
	w.t.Helper()
	if c := condition(w.get(name).Status.Conditions, conditionType); c == nil || c.Reason != want {
		w.t.Errorf("%s: %s is %+v, want reason %s", name, conditionType, c, want)
	}
}

// checkTold: these Events, as type and reason, were emitted since the last check.
func (w *world) checkTold(want ...string) {
	w.t.Helper()
	var told []string
	for len(w.recorder.Events) > 0 {
		words := strings.Fields(<-w.recorder.Events)
		told = append(told, words[0]+" "+words[1])
	}
	if diff := cmp.Diff(want, told); diff != "" {
		w.t.Errorf("Events (-want +got):\n%s", diff)
	}
}

func checkAgain(t *testing.T, result ctrl.Result, want time.Duration) {
	t.Helper()
	if result.RequeueAfter != want {
		t.Errorf("looks again in %v, want %v", result.RequeueAfter, want)
	}
}

const stored = "Normal ValueStored"

func TestReconcileReportsAValueOnce(t *testing.T) {
	w := newWorld(t)
	w.store(makeSecret("openai"))
	checkAgain(t, w.reconcile("openai"), 0)
	w.checkTold(stored)
	us := w.get("openai")
	active, err := w.r.Keys.Active()
	if err != nil {
		t.Fatal(err)
	}
	got := v1alpha1.UserSecretStatus{Owner: us.Status.Owner, KeyID: us.Status.KeyID, Masked: us.Status.Masked, ValueUpdatedAt: us.Status.ValueUpdatedAt}
	if diff := cmp.Diff(v1alpha1.UserSecretStatus{Owner: "alice", KeyID: string(active.ID), Masked: got.Masked, ValueUpdatedAt: expires(0)}, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if us.Status.ValueID == "" || !strings.HasSuffix(got.Masked, "cdef") {
		t.Errorf("value id %q, masked %q", us.Status.ValueID, got.Masked)
	}
	w.checkReason("openai", v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.clock.Step(time.Hour)
	w.reconcile("openai")
	w.checkTold()
	if w.applies != 1 {
		t.Errorf("%d writes where nothing changed, want the first alone", w.applies)
	}
}

// From eight days ahead, each look is when the last one asked for it.
func TestReconcileWarnsOfExpiryOnce(t *testing.T) {
	const day = 24 * time.Hour
	w := newWorld(t)
	w.store(makeSecret("openai", expiring(8*day)))
	for _, step := range []struct {
		wantReason string
		wantTold   string
		wantAgain  time.Duration
	}{
		{v1alpha1.ReasonNotExpired, stored, day},
		{v1alpha1.ReasonExpiresWithinWeek, "Warning ExpiresWithinWeek", 6 * day},
		{v1alpha1.ReasonExpiresWithinDay, "Warning ExpiresWithinDay", day},
		{v1alpha1.ReasonExpired, "Warning Expired", 0},
	} {
		result := w.reconcile("openai")
		w.checkReason("openai", v1alpha1.ConditionExpired, step.wantReason)
		w.checkTold(step.wantTold)
		checkAgain(t, result, step.wantAgain)
		checkAgain(t, w.reconcile("openai"), step.wantAgain)
		w.checkTold()
		w.clock.Step(result.RequeueAfter)
	}
	w.checkReason("openai", v1alpha1.ConditionReady, v1alpha1.ReasonExpired)
}

func TestReconcileProviderThatComesLater(t *testing.T) {
	w := newWorld(t)
	w.store(makeSecret("slack", func(us *v1alpha1.UserSecret) { us.Spec.Provider = "slack" }))
	w.reconcile("slack")
	w.checkReason("slack", v1alpha1.ConditionReady, v1alpha1.ReasonUnknownProvider)
	w.checkTold(stored, "Warning UnknownProvider")
	if err := w.client.Create(t.Context(), makeProvider("slack")); err != nil {
		t.Fatal(err)
	}
	w.reconcile("slack")
	w.checkReason("slack", v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.checkTold()
}

// A value that does not open for a while is none that changed.
func TestReconcileKeepsTheValueIDWhileNothingOpens(t *testing.T) {
	w := newWorld(t)
	w.store(makeSecret("openai"))
	w.reconcile("openai")
	w.checkTold(stored)
	before := w.get("openai").Status

	w.clock.Step(time.Hour)
	w.setOwner("bob")
	w.reconcile("openai")
	w.checkReason("openai", v1alpha1.ConditionSealed, v1alpha1.ReasonDoesNotOpen)
	w.checkTold("Warning DoesNotOpen")
	if got := w.get("openai").Status; got.Masked != "" || got.ValueID != before.ValueID || !got.ValueUpdatedAt.Equal(before.ValueUpdatedAt) {
		t.Errorf("masked %q, value id %q of %v; want none, and %q of %v", got.Masked, got.ValueID, got.ValueUpdatedAt, before.ValueID, before.ValueUpdatedAt)
	}

	w.setOwner("alice")
	w.reconcile("openai")
	w.checkTold()
	if got := w.get("openai").Status; got.Masked != before.Masked || got.ValueID != before.ValueID || !got.ValueUpdatedAt.Equal(before.ValueUpdatedAt) {
		t.Errorf("after alice has it back: %+v, want %+v", got, before)
	}

	w.change("openai", func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = sealedIn(w.r.Keys, us, canary+"0") })
	w.reconcile("openai")
	w.checkTold(stored)
	if got := w.get("openai").Status; got.ValueID == before.ValueID || !got.ValueUpdatedAt.Time.Equal(w.clock.Now()) {
		t.Errorf("value id %q of %v after another value", got.ValueID, got.ValueUpdatedAt)
	}
}

// The key stays told, since the text names it; who may open it is not known.
func TestReconcileWithoutOwner(t *testing.T) {
	w := newWorld(t)
	w.store(makeSecret("openai"), makeSecret("pasted", func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = "us1.pasted" }))
	w.setOwner("")
	for name, want := range map[string]string{"openai": string(w.r.Keys.Keys()[0].ID), "pasted": ""} {
		w.reconcile(name)
		w.checkReason(name, v1alpha1.ConditionSealed, v1alpha1.ReasonNoOwner)
		if got := w.get(name).Status.KeyID; got != want {
			t.Errorf("%s: key id %q, want %q", name, got, want)
		}
	}
	w.setOwner("alice")
	w.reconcile("pasted")
	w.checkReason("pasted", v1alpha1.ConditionSealed, v1alpha1.ReasonMalformed)
}

func TestReconcileLooksAgainForAnUnknownKey(t *testing.T) {
	w := newWorld(t)
	vault := makeVault(t, otherRootKey)
	us := makeSecret("openai", expiring(time.Hour))
	us.Spec.EncryptedValue = sealedIn(vault, us, canary)
	w.store(us)
	checkAgain(t, w.reconcile("openai"), time.Minute)
	w.checkReason("openai", v1alpha1.ConditionSealed, v1alpha1.ReasonUnknownKey)
	w.clock.Step(time.Minute)
	checkAgain(t, w.reconcile("openai"), time.Minute)
	if w.applies != 1 {
		t.Errorf("%d writes while it looked again, want the first alone", w.applies)
	}
	w.r.Keys = vault
	checkAgain(t, w.reconcile("openai"), 59*time.Minute)
	w.checkReason("openai", v1alpha1.ConditionSealed, v1alpha1.ReasonOpens)
}

// What was seen is not what is there: nothing is written nor told, and it is
// looked at again soon.
func TestReconcileConflict(t *testing.T) {
	w := newWorld(t)
	w.store(makeSecret("openai"))
	w.beforeApply = func() error {
		w.change("openai", func(us *v1alpha1.UserSecret) { us.Labels = map[string]string{"of": "another"} })
		return nil
	}
	checkAgain(t, w.reconcile("openai"), staleRetry)
	w.checkTold()
	if got := w.get("openai").Status; got.ValueID != "" {
		t.Errorf("the status was written: %+v", got)
	}
	checkAgain(t, w.reconcile("openai"), 0)
	w.checkTold(stored)
}

// The UID makes a conflict of a write to one that is gone; not every API server
// answers with that.
func TestReconcileOfOneThatIsGone(t *testing.T) {
	for name, tt := range map[string]struct {
		err       error
		wantAgain time.Duration
	}{
		"a conflict": {nil, staleRetry},
		"not found":  {apierrors.NewNotFound(v1alpha1.GroupVersion.WithResource("usersecrets").GroupResource(), "openai"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.store(makeSecret("openai"))
			w.beforeApply = func() error {
				w.delete("openai")
				return tt.err
			}
			checkAgain(t, w.reconcile("openai"), tt.wantAgain)
			w.checkTold()
		})
	}
}

func TestReconcileOfOneThatIsGoing(t *testing.T) {
	w := newWorld(t)
	w.store(makeSecret("openai", func(us *v1alpha1.UserSecret) { us.Finalizers = []string{"example.com/held"} }))
	w.delete("openai")
	checkAgain(t, w.reconcile("openai"), 0)
	w.checkTold()
	if w.applies != 0 {
		t.Errorf("%d writes of what is going, want none", w.applies)
	}
}
