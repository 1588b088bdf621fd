package verification

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/audit"
	"usersecrets.dev/operator/internal/verify"
)

const minute = time.Minute

func TestVerdicts(t *testing.T) {
	tests := map[string]struct {
		reason, wantVerified, wantTold string
	}{
		"accepted":     {v1alpha1.ReasonAccepted, "True Accepted", "Normal Accepted"},
		"rejected":     {v1alpha1.ReasonRejected, "False Rejected", "Warning Rejected"},
		"unreachable":  {v1alpha1.ReasonUnreachable, "Unknown Unreachable", ""},
		"not testable": {v1alpha1.ReasonNotTestable, "Unknown NotTestable", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answer(tt.reason)
			w.store("openai", canary)
			w.work()
			w.checkVerified(tt.wantVerified)
			if diff := cmp.Diff([]string{canary}, w.provider.asked); diff != "" {
				t.Errorf("what was tested (-want +got):\n%s", diff)
			}
			w.asked()
			if tt.wantTold == "" {
				w.checkTold()
			} else {
				w.checkTold(tt.wantTold)
			}
			verdict := verdictOf(w.get())
			if verdict.Message != "the provider says "+tt.reason || !verdict.LastTransitionTime.Time.Equal(now) {
				t.Errorf("Verified: %+v", verdict)
			}
			if w.applies != 1 {
				t.Errorf("%d writes of the status, want 1", w.applies)
			}
			w.checkQuiet()
		})
	}
}

// Whatever the provider says, pods get the value: Ready and Sealed are others'.
func TestNoVerdictTakesAValueAway(t *testing.T) {
	for _, reason := range []string{v1alpha1.ReasonRejected, v1alpha1.ReasonUnreachable} {
		w := newWorld(t)
		w.answer(reason)
		w.store("openai", canary)
		before := w.get()
		w.work()
		after := w.get()
		for _, name := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionSealed} {
			if diff := cmp.Diff(meta.FindStatusCondition(before.Status.Conditions, name), meta.FindStatusCondition(after.Status.Conditions, name)); diff != "" {
				t.Errorf("%s after %s (-before +after):\n%s", name, reason, diff)
			}
		}
		if diff := cmp.Diff(before.Spec, after.Spec); diff != "" {
			t.Errorf("spec after %s (-before +after):\n%s", reason, diff)
		}
	}
}

func TestATestIsRecordedBeforeTheValueLeaves(t *testing.T) {
	w := newWorld(t)
	w.store("openai", canary)
	written := -1
	w.provider.during = func() { written = len(w.log.written) }
	w.work()
	if written != 1 {
		t.Fatalf("%d records were written when the provider was asked, want 1", written)
	}
	want := audit.Record{
		ID: fmt.Sprint("uid-of-openai/verify/", now.UnixNano()), Time: now, Type: audit.Verify, Decision: audit.Allowed, Reason: whyChanged,
		Owner: "alice", Namespace: "alice", Name: "key", UID: "uid-of-openai", KeyID: string(w.r.Keys.Keys()[0].ID), Actor: "operator",
	}
	if diff := cmp.Diff([]audit.Record{want}, w.log.written); diff != "" {
		t.Errorf("the access log (-want +got):\n%s", diff)
	}
}

func TestAnotherValueIsTestedAndAResealIsNot(t *testing.T) {
	w := newWorld(t)
	w.store("openai", canary)
	w.work()
	w.checkAsked(1)
	w.checkTold("Normal Accepted")

	w.clock.Step(minute)
	w.change(func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = w.seal(canary); us.Generation++ })
	w.see(canary)
	w.checkQuiet()

	w.answer(v1alpha1.ReasonRejected)
	w.change(func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = w.seal(other) })
	w.see(other)
	w.reconcile()
	w.checkVerified("") // a verdict on another value is none
	w.work()
	w.checkVerified("False Rejected")
	w.checkAsked(1)
	w.checkTold("Warning Rejected")
}

// Between the write of a value and the status that tells of it, nothing is tested.
func TestAValueThatStatusDoesNotKnowYet(t *testing.T) {
	w := newWorld(t)
	w.store("openai", canary)
	w.change(func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = w.seal(other) })
	w.reconcile()
	if w.turn() {
		t.Error("is to be looked at again before status changes")
	}
	w.checkAsked(0)
	w.see(other)
	w.work()
	w.checkVerified("True Accepted")
	w.checkAsked(1)
}

func TestAskingForATest(t *testing.T) {
	w := newWorld(t)
	w.store("openai", canary)
	w.work()
	w.checkAsked(1)
	w.checkTold("Normal Accepted")

	w.clock.Step(4 * time.Second)
	w.ask(w.clock.Now())
	if got := w.work().RequeueAfter; got != 6*time.Second {
		t.Errorf("asked 4 s after a test: looks again in %v, want 6s", got)
	}
	w.checkAsked(0)
	w.clock.Step(6 * time.Second)
	w.work()
	w.checkAsked(1)
	w.checkTold() // the verdict is the same
	if got := w.get().Status.Verification; !got.RequestedAt.Time.Equal(now.Add(4*time.Second)) || !got.TestedAt.Time.Equal(now.Add(10*time.Second)) {
		t.Errorf("after a test that was asked for: %+v", got)
	}
	w.checkQuiet()

	w.clock.Step(minute)
	w.ask(now) // older than the one answered
	w.checkQuiet()
}

func TestModesAndUse(t *testing.T) {
	off := false
	onDemand := func(us *v1alpha1.UserSecret) {
		us.Spec.Verification = &v1alpha1.Verification{Mode: v1alpha1.VerifyOnDemand}
	}
	inactive := func(us *v1alpha1.UserSecret) { us.Spec.Active = &off }
	expired := func(us *v1alpha1.UserSecret) { us.Spec.ExpiresAt = &metav1.Time{Time: now.Add(-time.Hour)} }
	for name, change := range map[string]func(*v1alpha1.UserSecret){"on demand": onDemand, "inactive": inactive, "expired": expired} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.store("openai", canary)
			w.change(change)
			w.work()
			w.checkAsked(0)
			w.checkVerified("")
			w.ask(now)
			w.work()
			w.checkAsked(1)
			w.checkVerified("True Accepted")

			w.clock.Step(minute)
			w.change(func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = w.seal(other) })
			w.see(other)
			w.work()
			w.checkAsked(0)
			w.checkVerified("")
			if got := w.get().Status.Verification; got == nil || !got.RequestedAt.Time.Equal(now) {
				t.Errorf("the request that was answered is forgotten: %+v", got)
			}
		})
	}
	t.Run("disabled", func(t *testing.T) {
		w := newWorld(t)
		w.store("openai", canary)
		w.work()
		w.checkAsked(1)
		w.checkTold("Normal Accepted")
		w.change(func(us *v1alpha1.UserSecret) {
			us.Spec.Verification = &v1alpha1.Verification{Mode: v1alpha1.VerifyDisabled}
		})
		w.work()
		w.checkVerified("")
		if got := w.get().Status.Verification; got != nil {
			t.Errorf("status still has %+v", got)
		}
		w.ask(now.Add(minute))
		w.checkQuiet()
	})
}

func TestARequestIsNotAnsweredTwiceWhereTestsWereDisabledMeanwhile(t *testing.T) {
	setMode := func(w *world, mode v1alpha1.VerificationMode) {
		w.change(func(us *v1alpha1.UserSecret) { us.Spec.Verification = &v1alpha1.Verification{Mode: mode} })
		w.work()
	}
	w := newWorld(t)
	w.store("openai", canary)
	w.ask(now)
	w.work()
	w.checkAsked(1)
	w.clock.Step(minute)
	setMode(w, v1alpha1.VerifyDisabled)
	w.checkVerified("")
	want := &v1alpha1.VerificationStatus{RequestedAt: &metav1.MicroTime{Time: now}}
	if diff := cmp.Diff(want.RequestedAt.UTC(), w.get().Status.Verification.RequestedAt.UTC()); diff != "" || w.get().Status.Verification.ValueID != "" {
		t.Errorf("what stays known: %+v", w.get().Status.Verification)
	}
	setMode(w, v1alpha1.VerifyOnDemand)
	w.checkAsked(0)
	w.checkVerified("")
	w.ask(w.clock.Now())
	w.work()
	w.checkAsked(1)
	w.checkVerified("True Accepted")
}

func TestNotTestableWithoutATest(t *testing.T) {
	w := newWorld(t)
	w.store("custom", canary)
	w.reconcile()
	w.checkVerified("Unknown NotTestable")
	if w.applies != 1 || len(w.log.written) != 0 {
		t.Errorf("%d writes and %d records, want one write alone: nothing was opened", w.applies, len(w.log.written))
	}
	w.checkQuiet()

	w.setTest("custom", webTest())
	w.work()
	w.checkVerified("True Accepted")
	w.checkAsked(1)
	w.checkTold("Normal Accepted")

	// A verdict stands, whatever the catalogue says later.
	w.clock.Step(minute)
	w.setTest("custom", &v1alpha1.ProviderTest{HTTP: &v1alpha1.HTTPTest{URL: "https://elsewhere.example"}})
	w.checkQuiet()
	w.setTest("custom", nil)
	w.checkQuiet()
}

func TestNotTestableWithoutAProvider(t *testing.T) {
	w := newWorld(t)
	w.store("gone", canary)
	w.work()
	w.checkVerified("Unknown NotTestable")
	if got, want := verdictOf(w.get()).Message, `unknown provider "gone": 'kubectl get secretproviders' lists the catalogue, and 'custom' takes anything`; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	w.checkQuiet()
	if err := w.client.Create(t.Context(), makeProvider("gone", webTest())); err != nil {
		t.Fatal(err)
	}
	w.work()
	w.checkVerified("True Accepted")
}

// A test may end as not testable too, such as where the value names a place that
// tests may not go to. It is not tried again by itself.
func TestNotTestableThoughThereIsATest(t *testing.T) {
	w := newWorld(t)
	w.answer(v1alpha1.ReasonNotTestable)
	w.store("openai", canary)
	w.work()
	w.checkAsked(1)
	w.clock.Step(24 * time.Hour)
	w.checkQuiet()
}

// A provider that does not answer is asked again, also by an operator that was
// started meanwhile, until it answers or the tries are up.
func TestUnreachable(t *testing.T) {
	w := newWorld(t)
	w.answer(v1alpha1.ReasonUnreachable)
	w.store("openai", canary)
	for try := 1; try <= tries; try++ {
		result := w.work()
		w.checkAsked(1)
		w.checkVerified("Unknown Unreachable")
		if got := w.get().Status.Verification.Attempts; got != int32(try) {
			t.Errorf("%d attempts in status, want %d", got, try)
		}
		if try == tries {
			break
		}
		w.checkQuiet()
		if result.RequeueAfter < 47*time.Second {
			t.Fatalf("after try %d: looks again in %v", try, result.RequeueAfter)
		}
		w.clock.Step(result.RequeueAfter)
		w.restart()
	}
	w.clock.Step(24 * time.Hour)
	w.checkQuiet()
	if w.applies != tries {
		t.Errorf("%d writes for %d tests", w.applies, tries)
	}
	w.answer(v1alpha1.ReasonAccepted)
	w.ask(w.clock.Now())
	w.work()
	w.checkVerified("True Accepted")
	w.checkTold("Normal Accepted")
}

func TestUnreachableAndATestThatIsPutRight(t *testing.T) {
	w := newWorld(t)
	w.answer(v1alpha1.ReasonUnreachable)
	w.store("openai", canary)
	w.work()
	w.clock.Step(20 * time.Second)
	w.checkAsked(1)
	w.answer(v1alpha1.ReasonAccepted)
	w.setTest("openai", &v1alpha1.ProviderTest{HTTP: &v1alpha1.HTTPTest{URL: "https://right.example"}})
	w.work()
	w.checkAsked(1)
	w.checkVerified("True Accepted")
}

func TestAServerThatAsksToWait(t *testing.T) {
	w := newWorld(t)
	w.provider.answer = verify.Result{Reason: v1alpha1.ReasonUnreachable, Message: "busy", RetryAfter: 30 * minute}
	w.store("openai", canary)
	if got := w.work().RequeueAfter; got < 30*minute-time.Second || got > 36*minute {
		t.Errorf("looks again in %v, want 30 to 36 minutes", got)
	}
}

// What a test found is written once also where the cache is behind, and is not
// tested again.
func TestACacheThatIsBehind(t *testing.T) {
	w := newWorld(t)
	w.store("openai", canary)
	behind := w.get()
	w.work()
	w.checkAsked(1)
	w.checkTold("Normal Accepted")
	result, err := w.r.Reconcile(t.Context(), behind)
	if err != nil || result.RequeueAfter != staleRetry || w.turn() {
		t.Errorf("seen from behind: %+v, %v, want to look again in %v", result, err, staleRetry)
	}
	w.checkAsked(0)
	w.checkTold()
	w.reconcile()
	if _, kept := w.r.found.of(client.ObjectKeyFromObject(behind), behind.UID); kept {
		t.Error("what status shows is still kept")
	}
}

func TestAConflict(t *testing.T) {
	w := newWorld(t)
	w.store("openai", canary)
	w.reconcile()
	w.turn()
	w.beforeApply = func() {
		w.change(func(us *v1alpha1.UserSecret) { us.Labels = map[string]string{"of": "another"} })
	}
	if got := w.reconcile().RequeueAfter; got != staleRetry {
		t.Errorf("looks again in %v, want %v", got, staleRetry)
	}
	w.checkTold()
	w.work()
	w.checkVerified("True Accepted")
	w.checkAsked(1)
	w.checkTold("Normal Accepted")
}

// What changes while the provider is asked counts afterwards.
func TestAChangeDuringTheTest(t *testing.T) {
	w := newWorld(t)
	w.store("openai", canary)
	w.provider.during = func() {
		w.provider.during = nil
		w.change(func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = w.seal(other) })
		w.see(other)
	}
	result := w.work()
	w.checkVerified("")
	if result.RequeueAfter != apart {
		t.Errorf("looks again in %v, want %v", result.RequeueAfter, apart)
	}
	w.clock.Step(apart)
	w.work()
	w.checkVerified("True Accepted")
	w.checkAsked(2)
	w.checkTold("Normal Accepted")
}

func TestOneThatGoesDuringTheTest(t *testing.T) {
	w := newWorld(t)
	w.store("openai", canary)
	us := w.get()
	name := client.ObjectKeyFromObject(us)
	w.provider.during = func() {
		if err := w.client.Delete(t.Context(), us); err != nil {
			t.Fatal(err)
		}
	}
	w.reconcile()
	if w.turn() {
		t.Error("one that is gone is looked at again")
	}
	if _, kept := w.r.found.of(name, us.UID); kept {
		t.Error("what was found of one that is gone is kept")
	}
	w.r.found.keep(name, finding{uid: us.UID})
	if _, another := w.r.found.of(name, "another"); another {
		t.Error("what was found counts for a namesake")
	}
	w.r.forget(t.Context(), event.DeleteEvent{Object: us}, nil)
	if _, kept := w.r.found.of(name, us.UID); kept {
		t.Error("what was found is kept when the deletion is seen")
	}
}

func TestAnOperatorThatEndsDuringTheTest(t *testing.T) {
	w := newWorld(t)
	w.answer(v1alpha1.ReasonUnreachable)
	w.store("openai", canary)
	ctx, stop := context.WithCancel(t.Context())
	w.provider.during = stop
	us := w.get()
	if w.r.test(ctx, client.ObjectKeyFromObject(us)) {
		t.Error("is to be looked at again")
	}
	w.provider.during = nil
	w.answer(v1alpha1.ReasonAccepted)
	w.work()
	w.checkVerified("True Accepted")
	if got := w.get().Status.Verification.Attempts; got != 0 {
		t.Errorf("%d attempts, want none: the provider was not heard", got)
	}
}

func TestWhatDoesNotOpenIsNotTested(t *testing.T) {
	w := newWorld(t)
	w.store("openai", canary)
	w.status(func(s *v1alpha1.UserSecretStatus) {
		meta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: v1alpha1.ConditionSealed, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonUnknownKey})
	})
	w.checkQuiet()
	w.see(canary)
	// Status is behind: the value is another vault's.
	w.r.Keys = makeVault(t)
	w.reconcile()
	if w.turn() {
		t.Error("is to be looked at again before status changes")
	}
	w.checkAsked(0)
	w.checkVerified("")
}

// What goes wrong on the way to a test is an error of the reconciler's, which is
// tried again ever later.
func TestAFailureOnTheWay(t *testing.T) {
	w := newWorld(t)
	w.store("openai", canary)
	w.change(func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = "us1.malformed" })
	w.reconcile()
	if !w.turn() {
		t.Fatal("is not looked at again")
	}
	_, err := w.r.Reconcile(t.Context(), w.get())
	if err == nil || errors.Is(err, reconcile.TerminalError(nil)) {
		t.Errorf("error %v, want one that is tried again", err)
	}
	w.checkAsked(0)
	w.change(func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = w.seal(canary) })
	w.work()
	w.checkVerified("True Accepted")
}

func TestOneThatIsGoing(t *testing.T) {
	w := newWorld(t)
	w.store("openai", canary)
	w.change(func(us *v1alpha1.UserSecret) { us.Finalizers = []string{"example.com/held"} })
	if err := w.client.Delete(t.Context(), w.get()); err != nil {
		t.Fatal(err)
	}
	w.checkQuiet()
}

func TestTriggers(t *testing.T) {
	base := func() *v1alpha1.UserSecret {
		us := &v1alpha1.UserSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "alice", Name: "key", UID: "1", Generation: 1}}
		us.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionSealed, Status: metav1.ConditionTrue}}
		return us
	}
	tests := map[string]struct {
		change func(*v1alpha1.UserSecret)
		want   bool
	}{
		"nothing":          {func(*v1alpha1.UserSecret) {}, false},
		"a use":            {func(us *v1alpha1.UserSecret) { us.Status.Usage = &v1alpha1.Usage{Count: 1} }, false},
		"a label":          {func(us *v1alpha1.UserSecret) { us.Labels = map[string]string{"a": "b"} }, false},
		"another spec":     {func(us *v1alpha1.UserSecret) { us.Generation++ }, true},
		"a namesake":       {func(us *v1alpha1.UserSecret) { us.UID = "2" }, true},
		"another value":    {func(us *v1alpha1.UserSecret) { us.Status.ValueID = "2" }, true},
		"it opens no more": {func(us *v1alpha1.UserSecret) { us.Status.Conditions[0].Status = metav1.ConditionFalse }, true},
		"a request": {func(us *v1alpha1.UserSecret) {
			us.Annotations = map[string]string{v1alpha1.VerifyRequestedAtAnnotation: "t"}
		}, true},
		"what was found": {func(us *v1alpha1.UserSecret) { us.Status.Verification = &v1alpha1.VerificationStatus{Attempts: 1} }, true},
		"a verdict": {func(us *v1alpha1.UserSecret) {
			us.Status.Conditions = append(us.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionVerified})
		}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			after := base()
			tt.change(after)
			if got := mayChangeWhatIsDue().Update(event.UpdateEvent{ObjectOld: base(), ObjectNew: after}); got != tt.want {
				t.Errorf("passes: %t, want %t", got, tt.want)
			}
		})
	}
	if !mayChangeWhatIsDue().Create(event.CreateEvent{Object: base(), IsInInitialList: true}) {
		t.Error("what is there at start is not looked at")
	}
	at, later := afterStart().Create(event.CreateEvent{IsInInitialList: true}), afterStart().Create(event.CreateEvent{})
	if at || !later {
		t.Errorf("providers: at start %t, later %t; want those alone that come later", at, later)
	}
}

// A provider that changes wakes those that it has said neither yes nor no to.
func TestAProviderWakesTheUndecided(t *testing.T) {
	w := newWorld(t)
	for name, reason := range map[string]string{
		"accepted": v1alpha1.ReasonAccepted, "rejected": v1alpha1.ReasonRejected, "unreachable": v1alpha1.ReasonUnreachable,
		"nottestable": v1alpha1.ReasonNotTestable, "new": "",
	} {
		us := &v1alpha1.UserSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "alice", Name: name}, Spec: v1alpha1.UserSecretSpec{Provider: "openai", Type: v1alpha1.TypeAPIKey}}
		if reason != "" {
			us.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionVerified, Reason: reason}}
		}
		if err := w.client.Create(t.Context(), us); err != nil {
			t.Fatal(err)
		}
		if err := w.client.Status().Update(t.Context(), us); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]bool{}
	for _, request := range w.r.undecidedOf(t.Context(), makeProvider("openai", nil)) {
		got[request.String()] = true
	}
	if diff := cmp.Diff(map[string]bool{"alice/unreachable": true, "alice/nottestable": true, "alice/new": true}, got); diff != "" {
		t.Errorf("woken (-want +got):\n%s", diff)
	}
	if got := w.r.undecidedOf(t.Context(), makeProvider("custom", nil)); len(got) > 0 {
		t.Errorf("another provider wakes %v", got)
	}
}

// A test that waits in line is found there by name, so that the queue's workers
// are free meanwhile.
func TestReconcileDoesNotWaitForTheTest(t *testing.T) {
	w := newWorld(t)
	w.store("openai", canary)
	w.reconcile()
	w.reconcile()
	w.checkAsked(0)
	want := &job{name: types.NamespacedName{Namespace: "alice", Name: "key"}, owner: "alice", host: "api.example", again: true}
	if got := w.r.line.jobs[want.name]; got == nil || *got != *want {
		t.Errorf("in line: %+v, want %+v", got, want)
	}
}
