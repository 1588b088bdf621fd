package encryptionkey

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/keyring"
)

const (
	namespace = "usersecrets-system"
	oldRoot   = "8f1d6c0a5b3e49728f1d6c0a5b3e4972000102030405060708090a0b0c0d0e0f"
	newRoot   = "9f1d6c0a5b3e49728f1d6c0a5b3e4972000102030405060708090a0b0c0d0e0f"
)

// world is a vault with its first key, and the reconciler.
type world struct {
	t      *testing.T
	client client.WithWatch
	clock  *clocktesting.FakeClock
	r      *Reconciler
}

func newWorld(t *testing.T, roots string) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{t: t, clock: clocktesting.NewFakeClock(now)}
	w.client = fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.EncryptionKey{}).Build()
	w.start(roots)
	return w
}

// start is a start of the operator, with what it remembers gone.
func (w *world) start(roots string) {
	w.t.Helper()
	parsed, err := keyring.ParseRootKeys(roots)
	if err != nil {
		w.t.Fatal(err)
	}
	keys := keyring.New(keyring.Config{Client: w.client, Namespace: namespace, Roots: parsed, Clock: w.clock})
	if err := keys.Bootstrap(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.r = &Reconciler{Client: w.client, Live: w.client, Keys: keys, Events: events.NewFakeRecorder(64), Clock: w.clock}
	for _, key := range keys.Keys() {
		w.reconcile(key.Name)
	}
}

func (w *world) reconcile(name string) time.Duration {
	w.t.Helper()
	result, err := w.r.Reconcile(w.t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: name}})
	if err != nil {
		w.t.Fatalf("Reconcile: %v", err)
	}
	return result.RequeueAfter
}

func (w *world) create(name string) {
	w.t.Helper()
	key := &v1alpha1.EncryptionKey{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.Time{Time: w.clock.Now()}}}
	if err := w.client.Create(w.t.Context(), key); err != nil {
		w.t.Fatal(err)
	}
	w.reconcile(name)
}

// get is an EncryptionKey, or nil.
func (w *world) get(name string) *v1alpha1.EncryptionKey {
	w.t.Helper()
	key := &v1alpha1.EncryptionKey{}
	err := w.client.Get(w.t.Context(), types.NamespacedName{Name: name}, key)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return key
}

func (w *world) delete(object client.Object) {
	w.t.Helper()
	if err := w.client.Delete(w.t.Context(), object); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) material(name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "encryption-key-" + name}}
}

func (w *world) hasMaterial(name string) bool {
	w.t.Helper()
	err := w.client.Get(w.t.Context(), client.ObjectKeyFromObject(w.material(name)), &corev1.Secret{})
	if client.IgnoreNotFound(err) != nil {
		w.t.Fatal(err)
	}
	return err == nil
}

// seal stores a UserSecret that names a key.
func (w *world) seal(name, keyID string) *v1alpha1.UserSecret {
	w.t.Helper()
	us := &v1alpha1.UserSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "alice", Name: name}, Spec: v1alpha1.UserSecretSpec{EncryptedValue: "us1." + keyID + ".AAAA"}}
	if err := w.client.Create(w.t.Context(), us); err != nil {
		w.t.Fatal(err)
	}
	return us
}

func (w *world) phases() map[string]string {
	w.t.Helper()
	var list v1alpha1.EncryptionKeyList
	if err := w.client.List(w.t.Context(), &list); err != nil {
		w.t.Fatal(err)
	}
	out := map[string]string{}
	for i := range list.Items {
		s := list.Items[i].Status
		out[list.Items[i].Name] = strings.TrimSpace(string(s.Phase) + " " + s.Progress)
	}
	return out
}

func (w *world) wantPhases(want map[string]string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.phases()); diff != "" {
		w.t.Errorf("phases (-want +got):\n%s", diff)
	}
}

func TestCreatingAKeyIsRotating(t *testing.T) {
	w := newWorld(t, oldRoot)
	w.wantPhases(map[string]string{"v1": "Active 0/0"})
	first := w.seal("openai", w.get("v1").Status.KeyID)
	w.create("v2")
	w.wantPhases(map[string]string{"v1": "Retiring", "v2": "Active 0/1"})
	if got := w.get("v1").Status; got.SealedSecrets != 1 {
		t.Errorf("v1 seals %d UserSecrets, want 1", got.SealedSecrets)
	}
	first.Spec.EncryptedValue = "us1." + w.get("v2").Status.KeyID + ".AAAA"
	if err := w.client.Update(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	w.reconcile("v2")
	w.wantPhases(map[string]string{"v1": "Retired", "v2": "Active 1/1"})
}

// Several were made while the operator was away; the queue brings them in any order.
func TestTheOneMadeLastIsTheNewest(t *testing.T) {
	w := newWorld(t, oldRoot)
	for i, name := range []string{"v11", "v9", "v10", "other"} {
		at := w.clock.Now()
		if i == 0 {
			at = at.Add(-time.Hour)
		}
		key := &v1alpha1.EncryptionKey{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.Time{Time: at}}}
		if err := w.client.Create(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"v10", "other", "v11", "v9"} {
		w.reconcile(name)
	}
	var got []string
	for _, key := range w.r.Keys.Keys() {
		got = append(got, key.Name)
	}
	if diff := cmp.Diff([]string{"v1", "v11", "other", "v9", "v10"}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestAVanishedObjectIsMadeAgain(t *testing.T) {
	w := newWorld(t, oldRoot)
	id := w.get("v1").Status.KeyID
	w.delete(w.get("v1"))
	w.reconcile("v1")
	w.reconcile("v1")
	if got := w.get("v1"); got == nil || got.Status.KeyID != id || got.Status.Phase != v1alpha1.KeyActive {
		t.Errorf("after its deletion the key is %+v, want %s active", got, id)
	}
}

func TestLostMaterialIsNeverReplaced(t *testing.T) {
	w := newWorld(t, oldRoot)
	w.create("v2")
	id := w.get("v1").Status.KeyID
	w.delete(w.material("v1"))
	again := w.reconcile("v1")
	w.start(oldRoot)
	w.reconcile("v1")
	got := w.get("v1")
	if w.hasMaterial("v1") || got.Status.KeyID != id {
		t.Errorf("the material was made anew: %t, key id %s, want %s", w.hasMaterial("v1"), got.Status.KeyID, id)
	}
	ready := got.Status.Conditions[0]
	if ready.Status != metav1.ConditionFalse || ready.Reason != v1alpha1.ReasonMaterialMissing || again != problemRetry {
		t.Errorf("Ready is %s (%s), looked at again in %s", ready.Status, ready.Reason, again)
	}
}

// Rotating once more ends that nothing is sealed while the newest key is lost, and
// there is one active key then.
func TestRotatingAfterTheNewestIsLost(t *testing.T) {
	w := newWorld(t, oldRoot)
	w.create("v2")
	w.delete(w.material("v2"))
	w.start(oldRoot)
	if _, err := w.r.Keys.Active(); !errors.Is(err, keyring.ErrNewestKey) {
		t.Errorf("error %v, want ErrNewestKey", err)
	}
	w.create("v3")
	w.wantPhases(map[string]string{"v1": "Retired", "v2": "Retired", "v3": "Active 0/0"})
	if active, err := w.r.Keys.Active(); err != nil || active.Name != "v3" {
		t.Errorf("active is %q, error %v; want v3", active.Name, err)
	}
	for name, want := range map[string]int64{"v1": 1, "v2": 2, "v3": 3} {
		if got := w.get(name).Status.Sequence; got != want {
			t.Errorf("%s has sequence %d, want %d", name, got, want)
		}
	}
}

// approve deletes an object as admission lets it be deleted.
func (w *world) approve(name string) {
	w.t.Helper()
	if err := w.r.Keys.ApproveRemoval(w.t.Context(), name); err != nil {
		w.t.Fatal(err)
	}
	w.delete(w.get(name))
}

func TestMaterialGoesAfterItsTime(t *testing.T) {
	w := newWorld(t, oldRoot)
	w.create("v2")
	w.approve("v1")
	if again := w.reconcile("v1"); again != lookEvery || !w.hasMaterial("v1") {
		t.Errorf("looked at again in %s, material there: %t", again, w.hasMaterial("v1"))
	}
	w.start(oldRoot)
	if w.get("v1") != nil {
		t.Error("a restart made the object again")
	}
	w.clock.Step(removalGrace)
	w.reconcile("v1")
	if w.hasMaterial("v1") || w.get("v1") != nil {
		t.Error("the material outlived its time")
	}
	w.wantPhases(map[string]string{"v2": "Active 0/0"})
}

// A replica that was slow to learn of the rotation sealed with the key after all.
func TestMaterialStaysForWhatWasSealedMeanwhile(t *testing.T) {
	w := newWorld(t, oldRoot)
	id := w.get("v1").Status.KeyID
	w.create("v2")
	w.approve("v1")
	w.seal("late", id)
	w.clock.Step(removalGrace)
	w.reconcile("v1")
	w.reconcile("v1")
	if !w.hasMaterial("v1") {
		t.Fatal("the material of a key in use is gone")
	}
	w.wantPhases(map[string]string{"v1": "Retiring", "v2": "Active 0/1"})
	w.clock.Step(time.Hour)
	w.delete(w.get("v1"))
	w.reconcile("v1")
	if w.get("v1") == nil {
		t.Error("the approval outlived its refusal")
	}
}

// The deletion was approved here, and refused by another's admission.
func TestAnApprovalDoesNotStayBesideItsObject(t *testing.T) {
	w := newWorld(t, oldRoot)
	w.create("v2")
	if err := w.r.Keys.ApproveRemoval(t.Context(), "v1"); err != nil {
		t.Fatal(err)
	}
	w.clock.Step(2 * approvalTime)
	w.reconcile("v1")
	w.delete(w.get("v1"))
	w.reconcile("v1")
	if w.get("v1") == nil || !w.hasMaterial("v1") {
		t.Error("an old approval let the key go")
	}
}

func TestRewrapsWhenAsked(t *testing.T) {
	w := newWorld(t, oldRoot)
	w.create("v2")
	w.start(newRoot + "\n" + oldRoot)
	before := w.get("v2").Status.RootKeyID
	key := w.get("v2")
	key.Annotations = map[string]string{v1alpha1.RewrapRequestedAtAnnotation: "now"}
	if err := w.client.Update(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	w.reconcile("v2")
	for _, name := range []string{"v1", "v2"} {
		if got := w.get(name).Status.RootKeyID; got == before || got == "" {
			t.Errorf("%s is wrapped by %s still", name, got)
		}
	}
	if got := w.get("v2").Status.RewrapRequest; got != "now" {
		t.Errorf("acted on request %q, want now", got)
	}
	w.start(newRoot)
}

// Who asked reads, once the request is answered, which root keys are still needed.
func TestAnswersARewrapLast(t *testing.T) {
	w := newWorld(t, oldRoot)
	w.create("v2")
	w.start(newRoot + "\n" + oldRoot)
	old := w.get("v2").Status.RootKeyID
	key := w.get("v2")
	key.Annotations = map[string]string{v1alpha1.RewrapRequestedAtAnnotation: "now"}
	if err := w.client.Update(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	answered := false
	w.r.Client = interceptor.NewClient(w.client, interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, object client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			err := c.SubResource(sub).Patch(ctx, object, patch, opts...)
			if w.get("v2").Status.RewrapRequest == "now" && !answered {
				answered = true
				for _, name := range []string{"v1", "v2"} {
					if w.get(name).Status.RootKeyID == old {
						t.Errorf("answered while %s still says that the old root key wraps it", name)
					}
				}
			}
			return err
		},
	})
	w.reconcile("v2")
	if !answered {
		t.Error("the request was not answered")
	}
}

func TestSchedule(t *testing.T) {
	w := newWorld(t, oldRoot)
	// What the first start made has the fake server's time; it gets one of ours.
	w.create("v2")
	w.r.RotationPeriod = 90 * 24 * time.Hour
	if again := w.reconcile("v2"); again != lookEvery {
		t.Errorf("looked at again in %s", again)
	}
	w.clock.Step(90*24*time.Hour - time.Second)
	if again := w.reconcile("v2"); again != time.Second || w.get("v3") != nil {
		t.Errorf("a second early: again in %s, made: %t", again, w.get("v3") != nil)
	}
	w.clock.Step(time.Second)
	w.reconcile("v2")
	w.reconcile("v2")
	names := []string{}
	for name := range w.phases() {
		names = append(names, name)
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"v1", "v2", "v3"}, names); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestEventSaysThatAKeyTookOver(t *testing.T) {
	w := newWorld(t, oldRoot)
	w.create("v2")
	recorder, ok := w.r.Events.(*events.FakeRecorder)
	if !ok {
		t.Fatal("no fake recorder")
	}
	if got := <-recorder.Events; !strings.Contains(got, "Normal MaterialMade New values are sealed with this key from now on") {
		t.Errorf("the Event is %q", got)
	}
}
