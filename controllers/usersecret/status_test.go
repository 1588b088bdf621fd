package usersecret

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/catalogue"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func expires(in time.Duration) *metav1.Time { return &metav1.Time{Time: now.Add(in)} }

// good is a scope in which nothing is wrong.
func good(change ...func(*scope)) *scope {
	s := &scope{
		userSecret: &v1alpha1.UserSecret{ObjectMeta: metav1.ObjectMeta{Name: "openai", Namespace: "alice", Generation: 3}},
		now:        now, owner: "alice", keyID: "v1-3f9a2c1b", valueID: "aa", masked: "........cdef",
		sealReason: v1alpha1.ReasonOpens, sealMessage: "it opens",
	}
	for _, c := range change {
		c(s)
	}
	return s
}

func TestReportReady(t *testing.T) {
	off := false
	for name, tc := range map[string]struct {
		change     func(*scope)
		wantReason string
		wantStatus metav1.ConditionStatus
	}{
		"nothing wrong":    {func(*scope) {}, v1alpha1.ReasonReady, metav1.ConditionTrue},
		"does not open":    {func(s *scope) { s.sealReason = v1alpha1.ReasonDoesNotOpen }, v1alpha1.ReasonDoesNotOpen, metav1.ConditionFalse},
		"no owner":         {func(s *scope) { s.sealReason = v1alpha1.ReasonNoOwner }, v1alpha1.ReasonNoOwner, metav1.ConditionFalse},
		"unknown provider": {func(s *scope) { s.catalogue = catalogue.UnknownProvider("x") }, v1alpha1.ReasonUnknownProvider, metav1.ConditionFalse},
		"unknown type":     {func(s *scope) { s.catalogue = fmt.Errorf("%w", catalogue.ErrUnknownType) }, v1alpha1.ReasonUnknownType, metav1.ConditionFalse},
		"inactive":         {func(s *scope) { s.userSecret.Spec.Active = &off }, v1alpha1.ReasonInactive, metav1.ConditionFalse},
		"expired":          {func(s *scope) { s.userSecret.Spec.ExpiresAt = expires(0) }, v1alpha1.ReasonExpired, metav1.ConditionFalse},
		"a rival":          {func(s *scope) { s.rival = "older" }, v1alpha1.ReasonDuplicate, metav1.ConditionFalse},
		"rejected by its provider": {func(s *scope) {
			s.userSecret.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionVerified, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonRejected}}
		}, v1alpha1.ReasonReady, metav1.ConditionTrue},
		"the first thing to mend comes first": {func(s *scope) {
			s.sealReason, s.rival, s.userSecret.Spec.Active = v1alpha1.ReasonMalformed, "older", &off
		}, v1alpha1.ReasonMalformed, metav1.ConditionFalse},
	} {
		t.Run(name, func(t *testing.T) {
			after := report(good(tc.change))
			ready := condition(after.Conditions, v1alpha1.ConditionReady)
			if ready.Reason != tc.wantReason || ready.Status != tc.wantStatus {
				t.Errorf("Ready is %s (%s), want %s (%s)", ready.Status, ready.Reason, tc.wantStatus, tc.wantReason)
			}
			if after.ObservedGeneration != 3 || ready.ObservedGeneration != 3 {
				t.Errorf("observed generations %d and %d, want 3", after.ObservedGeneration, ready.ObservedGeneration)
			}
		})
	}
}

func TestReportExpired(t *testing.T) {
	const day = 24 * time.Hour
	for name, tc := range map[string]struct {
		at         *metav1.Time
		wantReason string
		wantAgain  time.Duration
	}{
		"never":               {nil, v1alpha1.ReasonNoExpiry, 0},
		"far ahead":           {expires(10 * day), v1alpha1.ReasonNotExpired, 3 * day},
		"a week and a moment": {expires(7*day + time.Second), v1alpha1.ReasonNotExpired, time.Second},
		"a week":              {expires(7 * day), v1alpha1.ReasonExpiresWithinWeek, 6 * day},
		"a day":               {expires(day), v1alpha1.ReasonExpiresWithinDay, day},
		"now":                 {expires(0), v1alpha1.ReasonExpired, 0},
		"long ago":            {expires(-day), v1alpha1.ReasonExpired, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := good(func(s *scope) { s.userSecret.Spec.ExpiresAt = tc.at })
			if got := condition(report(s).Conditions, v1alpha1.ConditionExpired); got.Reason != tc.wantReason {
				t.Errorf("Expired has reason %s, want %s", got.Reason, tc.wantReason)
			}
			if got := untilNext(tc.at, now); got != tc.wantAgain {
				t.Errorf("looks again in %v, want %v", got, tc.wantAgain)
			}
		})
	}
}

func TestReportKeepsWhatIsNotItsOwn(t *testing.T) {
	s := good()
	s.userSecret.Status = *report(s)
	s.userSecret.Status.Usage = &v1alpha1.Usage{Count: 7}
	first := s.userSecret.Status.DeepCopy()
	s.now = now.Add(time.Hour)
	if diff := cmp.Diff(first, report(s)); diff != "" {
		t.Errorf("the same facts an hour later change the status (-first +second):\n%s", diff)
	}
	s.valueID = "bb"
	if at := report(s).ValueUpdatedAt; !at.Time.Equal(s.now) {
		t.Errorf("valueUpdatedAt is %v after a new value, want %v", at, s.now)
	}
}

// told are the reasons of the Events that a change of status is announced by.
func told(s *scope, before *v1alpha1.UserSecretStatus) []string {
	recorder := events.NewFakeRecorder(16)
	(&Reconciler{Events: recorder}).announce(s.userSecret, before, report(s))
	close(recorder.Events)
	var reasons []string
	for event := range recorder.Events {
		reasons = append(reasons, strings.Fields(event)[1])
	}
	return reasons
}

func TestAnnounceOnce(t *testing.T) {
	expiring := func(in time.Duration) func(*scope) {
		return func(s *scope) { s.userSecret.Spec.ExpiresAt = expires(in) }
	}
	for name, tc := range map[string]struct {
		change func(*scope)
		want   []string
	}{
		"a value":       {func(*scope) {}, []string{"ValueStored"}},
		"within a week": {expiring(6 * 24 * time.Hour), []string{"ValueStored", v1alpha1.ReasonExpiresWithinWeek}},
		"within a day":  {expiring(time.Hour), []string{"ValueStored", v1alpha1.ReasonExpiresWithinDay}},
		"a rival":       {func(s *scope) { s.rival = "older" }, []string{"ValueStored", v1alpha1.ReasonDuplicate}},
		"does not open": {func(s *scope) { s.sealReason, s.valueID = v1alpha1.ReasonDoesNotOpen, "" }, []string{v1alpha1.ReasonDoesNotOpen}},
	} {
		t.Run(name, func(t *testing.T) {
			s := good(tc.change)
			if diff := cmp.Diff(tc.want, told(s, &v1alpha1.UserSecretStatus{})); diff != "" {
				t.Errorf("announced (-want +got):\n%s", diff)
			}
			if again := told(s, report(s)); again != nil {
				t.Errorf("announced again, as after a restart: %v", again)
			}
		})
	}
}

func TestReadyMessageNamesTheRival(t *testing.T) {
	ready := readyCondition(good(func(s *scope) { s.rival = "older" }))
	if !strings.Contains(ready.Message, `"older"`) {
		t.Errorf("the message does not name the rival: %s", ready.Message)
	}
}
