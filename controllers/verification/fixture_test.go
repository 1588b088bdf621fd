package verification

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
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
	"usersecrets.dev/operator/internal/audit"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/internal/owner"
	"usersecrets.dev/operator/internal/secretvalue"
	"usersecrets.dev/operator/internal/verify"
)

const (
	rootKey = "8f1d6c0a5b3e49728f1d6c0a5b3e4972000102030405060708090a0b0c0d0e0f"
	canary  = "sk-Canary0123456789abcdef"
	other   = "sk-Another0123456789abcd"
)

// world is alice's namespace with a value in it, a catalogue, a vault, a provider
// whose answers are set, and a clock that stands.
type world struct {
	t        *testing.T
	client   client.WithWatch
	clock    *clocktesting.FakeClock
	recorder *events.FakeRecorder
	provider *scriptedTester
	log      records
	r        *Reconciler
	// beforeApply, where set, runs once, before the next write of a status.
	beforeApply func()
	applies     int
}

// scriptedTester answers as it is told, and keeps what it was asked.
type scriptedTester struct {
	mu     sync.Mutex
	answer verify.Result
	asked  []string
	during func()
}

func (s *scriptedTester) Test(_ context.Context, entry *v1alpha1.ProviderType, value secretvalue.Value) verify.Result {
	if entry.Test == nil {
		return verify.Result{Reason: v1alpha1.ReasonNotTestable, Message: "there is no test"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, string(value.Bytes()))
	if s.during != nil {
		s.during()
	}
	return s.answer
}

type records struct{ written []audit.Record }

func (r *records) Write(record audit.Record) { r.written = append(r.written, record) }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: clocktesting.NewFakeClock(now), recorder: events.NewFakeRecorder(64), provider: &scriptedTester{}}
	w.client = newClient(t, interceptor.Funcs{SubResourceApply: w.apply},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "alice", Annotations: map[string]string{v1alpha1.OwnerAnnotation: "alice"}}},
		makeProvider("openai", webTest()), makeProvider("custom", nil))
	w.r = New(Config{
		Client: w.client, Keys: makeVault(t), Owners: &owner.Resolver{Live: w.client, Annotation: v1alpha1.OwnerAnnotation},
		Tester: w.provider, Events: w.recorder, Audit: &w.log, Clock: w.clock, Account: "operator", Limits: DefaultLimits(),
	})
	w.answer(v1alpha1.ReasonAccepted)
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

func makeVault(t *testing.T) *keyring.Keyring {
	t.Helper()
	root, err := keyring.ParseRootKey(rootKey)
	if err != nil {
		t.Fatal(err)
	}
	keys := keyring.New(keyring.Config{Client: newClient(t, interceptor.Funcs{}), Namespace: v1alpha1.OperatorNamespace, Roots: []keyring.Root{root}})
	if err := keys.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	return keys
}

func webTest() *v1alpha1.ProviderTest {
	return &v1alpha1.ProviderTest{HTTP: &v1alpha1.HTTPTest{URL: "https://api.example/v1"}}
}

func makeProvider(name string, test *v1alpha1.ProviderTest) *v1alpha1.SecretProvider {
	return &v1alpha1.SecretProvider{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.SecretProviderSpec{Types: []v1alpha1.ProviderType{{Type: v1alpha1.TypeAPIKey, Key: "API_KEY", Test: test}}},
	}
}

// apply stands in for the API server, since the fake client takes for one value
// the list of conditions that the CRD merges by their type.
func (w *world) apply(ctx context.Context, _ client.Client, _ string, object runtime.ApplyConfiguration, _ ...client.SubResourceApplyOption) error {
	if meanwhile := w.beforeApply; meanwhile != nil {
		w.beforeApply = nil
		meanwhile()
	}
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	applied, live := &v1alpha1.UserSecret{}, w.get()
	if err := json.Unmarshal(text, applied); err != nil {
		return err
	}
	if applied.UID != live.UID || applied.ResourceVersion != live.ResourceVersion {
		return apierrors.NewConflict(v1alpha1.GroupVersion.WithResource("usersecrets").GroupResource(), live.Name, errors.New("it changed"))
	}
	w.applies++
	live.Status.Verification = applied.Status.Verification
	meta.RemoveStatusCondition(&live.Status.Conditions, v1alpha1.ConditionVerified)
	live.Status.Conditions = append(live.Status.Conditions, applied.Status.Conditions...)
	return w.client.Status().Update(ctx, live)
}

func (w *world) answer(reason string) {
	w.provider.answer = verify.Result{Reason: reason, Message: "the provider says " + reason}
}

// store has alice store a value for a provider, and the operator see it.
func (w *world) store(provider, value string) {
	w.t.Helper()
	us := &v1alpha1.UserSecret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "alice", Name: "key", UID: types.UID("uid-of-" + provider)},
		Spec:       v1alpha1.UserSecretSpec{Provider: provider, Type: v1alpha1.TypeAPIKey, EncryptedValue: w.seal(value)},
	}
	if err := w.client.Create(w.t.Context(), us); err != nil {
		w.t.Fatal(err)
	}
	w.see(value)
}

func place() envelope.Binding {
	return envelope.Binding{Owner: "alice", Namespace: "alice", Name: "key"}
}

func (w *world) seal(value string) string {
	w.t.Helper()
	text, err := w.r.Keys.Seal(place(), secretvalue.FromString(value))
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

// see writes what the usersecret controller does of this value.
func (w *world) see(value string) {
	w.t.Helper()
	id, err := w.r.Keys.ValueID(place(), secretvalue.FromString(value))
	if err != nil {
		w.t.Fatal(err)
	}
	w.status(func(s *v1alpha1.UserSecretStatus) {
		s.ValueID = id
		meta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: v1alpha1.ConditionSealed, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonOpens})
		meta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady})
	})
}

func (w *world) status(change func(*v1alpha1.UserSecretStatus)) {
	w.t.Helper()
	us := w.get()
	change(&us.Status)
	if err := w.client.Status().Update(w.t.Context(), us); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) get() *v1alpha1.UserSecret {
	w.t.Helper()
	us := &v1alpha1.UserSecret{}
	if err := w.client.Get(w.t.Context(), types.NamespacedName{Namespace: "alice", Name: "key"}, us); err != nil {
		w.t.Fatal(err)
	}
	return us
}

func (w *world) change(change func(*v1alpha1.UserSecret)) {
	w.t.Helper()
	us := w.get()
	change(us)
	if err := w.client.Update(w.t.Context(), us); err != nil {
		w.t.Fatal(err)
	}
}

// setTest changes what the catalogue has of a provider.
func (w *world) setTest(name string, test *v1alpha1.ProviderTest) {
	w.t.Helper()
	provider := &v1alpha1.SecretProvider{}
	if err := w.client.Get(w.t.Context(), types.NamespacedName{Name: name}, provider); err != nil {
		w.t.Fatal(err)
	}
	provider.Spec.Types[0].Test = test
	if err := w.client.Update(w.t.Context(), provider); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) ask(at time.Time) {
	w.t.Helper()
	w.change(func(us *v1alpha1.UserSecret) {
		us.Annotations = map[string]string{v1alpha1.VerifyRequestedAtAnnotation: at.Format(time.RFC3339Nano)}
	})
}

func (w *world) reconcile() ctrl.Result {
	w.t.Helper()
	result, err := w.r.Reconcile(w.t.Context(), w.get())
	if err != nil {
		w.t.Fatalf("Reconcile: %v", err)
	}
	return result
}

// turn runs the test that waits in line, where there is one, and says whether the
// UserSecret is to be looked at again.
func (w *world) turn() (again bool) {
	w.t.Helper()
	name := types.NamespacedName{Namespace: "alice", Name: "key"}
	w.r.line.mu.Lock()
	_, waits := w.r.line.jobs[name]
	w.r.line.jobs, w.r.line.users, w.r.line.turns = map[types.NamespacedName]*job{}, map[string]*user{}, nil
	w.r.line.mu.Unlock()
	return waits && w.r.test(w.t.Context(), name)
}

// work looks, tests and looks for as long as there is something to test now, and
// returns when to look again.
func (w *world) work() ctrl.Result {
	w.t.Helper()
	for {
		result := w.reconcile()
		if !w.turn() {
			return result
		}
	}
}

// asked is how often the provider was asked since the last time.
func (w *world) asked() int {
	n := len(w.provider.asked)
	w.provider.asked = nil
	return n
}

func (w *world) checkAsked(want int) {
	w.t.Helper()
	if got := w.asked(); got != want {
		w.t.Errorf("the provider was asked %d times, want %d", got, want)
	}
}

// checkVerified: status says this, as status and reason; empty for nothing.
func (w *world) checkVerified(want string) {
	w.t.Helper()
	got := ""
	if c := verdictOf(w.get()); c != nil {
		got = string(c.Status) + " " + c.Reason
	}
	if got != want {
		w.t.Errorf("Verified is %q, want %q", got, want)
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

// checkQuiet: nothing is tested, written nor told, also by an operator that has
// just started.
func (w *world) checkQuiet() {
	w.t.Helper()
	before := w.applies
	w.work()
	w.restart()
	w.work()
	w.checkAsked(0)
	w.checkTold()
	if w.applies != before {
		w.t.Errorf("%d writes where nothing changed", w.applies-before)
	}
}

// restart forgets all that is in memory.
func (w *world) restart() { w.r = New(w.r.Config) }
