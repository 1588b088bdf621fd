package verification

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/api/v1alpha1"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// testedAgo is what is known of a value "a" that was tested with test "t".
func testedAgo(ago time.Duration, reason string, change ...func(*v1alpha1.VerificationStatus)) facts {
	f := facts{
		mode: v1alpha1.VerifyOnChange, opens: true, usable: true, valueID: "a", testID: "t",
		record:  &v1alpha1.VerificationStatus{ValueID: "a", TestID: "t", TestedAt: &metav1.Time{Time: now.Add(-ago)}},
		verdict: &metav1.Condition{Type: v1alpha1.ConditionVerified, Reason: reason},
	}
	for _, c := range change {
		c(f.record)
	}
	return f
}

func answeredAt(at time.Time) func(*v1alpha1.VerificationStatus) {
	return func(r *v1alpha1.VerificationStatus) { r.RequestedAt = &metav1.MicroTime{Time: at} }
}

func nextAt(at time.Time) func(*v1alpha1.VerificationStatus) {
	return func(r *v1alpha1.VerificationStatus) { r.NextAttemptAt = &metav1.Time{Time: at} }
}

func (f facts) with(change func(*facts)) facts {
	change(&f)
	return f
}

func TestDue(t *testing.T) {
	fresh := facts{mode: v1alpha1.VerifyOnChange, opens: true, usable: true, valueID: "a", testID: "t"}
	accepted := testedAgo(time.Hour, v1alpha1.ReasonAccepted)
	otherValue := func(f *facts) { f.valueID = "b" }
	onDemand := func(f *facts) { f.mode = v1alpha1.VerifyOnDemand }
	disabled := func(f *facts) { f.mode = v1alpha1.VerifyDisabled }
	unusable := func(f *facts) { f.usable = false }
	asking := func(f *facts) { f.requested = now }
	anotherTest := func(f *facts) { f.testID = "u" }
	tests := map[string]struct {
		facts   facts
		wantAt  time.Time
		wantWhy string
	}{
		"a new value":                        {facts: fresh, wantWhy: whyChanged},
		"a new value that is not given out":  {facts: fresh.with(unusable)},
		"a new value, on demand":             {facts: fresh.with(onDemand)},
		"a new value, disabled":              {facts: fresh.with(disabled)},
		"a value that does not open":         {facts: fresh.with(func(f *facts) { f.opens = false })},
		"a value without an id yet":          {facts: fresh.with(func(f *facts) { f.valueID = "" })},
		"asked for, on demand":               {facts: fresh.with(onDemand).with(asking), wantWhy: whyRequested},
		"asked for, and not given out":       {facts: fresh.with(unusable).with(asking), wantWhy: whyRequested},
		"asked for, disabled":                {facts: fresh.with(disabled).with(asking)},
		"asked for, and it does not open":    {facts: fresh.with(asking).with(func(f *facts) { f.opens = false })},
		"accepted":                           {facts: accepted},
		"accepted, and another value":        {facts: accepted.with(otherValue), wantAt: now.Add(apart - time.Hour), wantWhy: whyChanged},
		"accepted, another value, on demand": {facts: accepted.with(otherValue).with(onDemand)},
		"accepted, and another test":         {facts: accepted.with(anotherTest)},
		"accepted a second ago, and another value": {
			facts: testedAgo(time.Second, v1alpha1.ReasonAccepted).with(otherValue), wantAt: now.Add(apart - time.Second), wantWhy: whyChanged,
		},
		"asked again a second later": {
			facts: testedAgo(time.Second, v1alpha1.ReasonAccepted, answeredAt(now.Add(-time.Microsecond))).with(asking), wantAt: now.Add(apart - time.Second), wantWhy: whyRequested,
		},
		"asked for, and answered":          {facts: testedAgo(time.Hour, v1alpha1.ReasonRejected, answeredAt(now)).with(asking)},
		"asked for, and a later answered":  {facts: testedAgo(time.Hour, v1alpha1.ReasonRejected, answeredAt(now.Add(time.Hour))).with(asking)},
		"rejected":                         {facts: testedAgo(time.Hour, v1alpha1.ReasonRejected)},
		"rejected, and another test":       {facts: testedAgo(time.Hour, v1alpha1.ReasonRejected).with(anotherTest)},
		"unreachable, for good":            {facts: testedAgo(time.Hour, v1alpha1.ReasonUnreachable)},
		"unreachable":                      {facts: testedAgo(time.Hour, v1alpha1.ReasonUnreachable, nextAt(now)), wantAt: now, wantWhy: whyAgain},
		"unreachable, on demand":           {facts: testedAgo(time.Hour, v1alpha1.ReasonUnreachable, nextAt(now)).with(onDemand), wantAt: now, wantWhy: whyAgain},
		"unreachable, and not given out":   {facts: testedAgo(time.Hour, v1alpha1.ReasonUnreachable, nextAt(now)).with(unusable)},
		"unreachable, and another test":    {facts: testedAgo(time.Hour, v1alpha1.ReasonUnreachable).with(anotherTest), wantAt: now.Add(apart - time.Hour), wantWhy: whyCatalogue},
		"not testable":                     {facts: testedAgo(time.Hour, v1alpha1.ReasonNotTestable)},
		"not testable, and another test":   {facts: testedAgo(time.Hour, v1alpha1.ReasonNotTestable).with(anotherTest), wantAt: now.Add(apart - time.Hour), wantWhy: whyCatalogue},
		"a verdict that somebody took out": {facts: accepted.with(func(f *facts) { f.verdict = nil }), wantAt: now.Add(apart - time.Hour), wantWhy: whyChanged},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			at, why := tt.facts.due()
			if !at.Equal(tt.wantAt) || why != tt.wantWhy {
				t.Errorf("due at %v since %q, want %v since %q", at, why, tt.wantAt, tt.wantWhy)
			}
		})
	}
}

// The waits double from a minute to an hour, 20 % more or less, and end.
func TestUnreachableIsAskedAgainEightTimesInAll(t *testing.T) {
	f := testedAgo(time.Hour, v1alpha1.ReasonUnreachable)
	f.record = nil
	at, why := now, whyChanged
	for n, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60} {
		want *= time.Minute
		f.record = f.after(v1alpha1.ReasonUnreachable, why, at, 0)
		if f.record.Attempts != int32(n)+1 || f.record.NextAttemptAt == nil {
			t.Fatalf("after %d tests: %+v", n+1, f.record)
		}
		pause := f.record.NextAttemptAt.Sub(at)
		if least, most := want*8/10-time.Second, want*12/10; pause < least || pause > most {
			t.Errorf("test %d is %v after the one before, want %v to %v", n+2, pause, least, most)
		}
		at, why = f.due()
		if why != whyAgain {
			t.Fatalf("test %d is due since %q", n+2, why)
		}
	}
	f.record = f.after(v1alpha1.ReasonUnreachable, why, at, 0)
	if _, why := f.due(); f.record.Attempts != tries || f.record.NextAttemptAt != nil || why != "" {
		t.Errorf("after the last test: %+v, due since %q", f.record, why)
	}
	f.requested = at
	if f.record = f.after(v1alpha1.ReasonUnreachable, whyRequested, at, 0); f.record.Attempts != 1 || f.record.NextAttemptAt == nil {
		t.Errorf("after one that was asked for: %+v, want the first of several", f.record)
	}
}

func TestWaitsAreNotAllTheSame(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 20 {
		seen[untilNext(1, 0)] = true
	}
	if len(seen) < 2 {
		t.Errorf("20 waits are all %v", seen)
	}
}

func TestServersGetTheTimeThatTheyAskFor(t *testing.T) {
	for asked, least := range map[time.Duration]time.Duration{
		0: 48 * time.Second, time.Second: 48 * time.Second, time.Hour: time.Hour,
	} {
		if got := untilNext(1, asked); got < least || got > max(72*time.Second, least*12/10) {
			t.Errorf("asked for %v: waits %v, want at least %v", asked, got, least)
		}
	}
}

func TestAfter(t *testing.T) {
	f := testedAgo(time.Hour, v1alpha1.ReasonUnreachable, nextAt(now), answeredAt(now.Add(-time.Hour)), func(r *v1alpha1.VerificationStatus) { r.Attempts = 3 })
	late := now.Add(1500 * time.Millisecond)
	got := f.after(v1alpha1.ReasonAccepted, whyAgain, late, time.Minute)
	if got.Attempts != 0 || got.NextAttemptAt != nil || !got.RequestedAt.Time.Equal(now.Add(-time.Hour)) || !got.TestedAt.Time.Equal(now.Add(time.Second)) || got.TestID != "t" {
		t.Errorf("after an answer: %+v", got)
	}
	f.requested, f.testID = now, ""
	if got := f.after(v1alpha1.ReasonNotTestable, whyRequested, late, 0); !got.RequestedAt.Time.Equal(now) || got.TestedAt != nil {
		t.Errorf("without a test: %+v, want the request answered, and no time of a test", got)
	}
}

func TestTestIDAndHost(t *testing.T) {
	web := func(url string) *v1alpha1.ProviderType {
		return &v1alpha1.ProviderType{Test: &v1alpha1.ProviderTest{HTTP: &v1alpha1.HTTPTest{URL: url}}}
	}
	postgres := &v1alpha1.ProviderType{Test: &v1alpha1.ProviderTest{Postgres: &v1alpha1.PostgresTest{}}}
	hosts := map[string]*v1alpha1.ProviderType{
		"":                 postgres,
		"api.example":      web("https://API.example/v1?q={{value}}"),
		"api.example:8443": web("https://api.example:8443"),
		"a.example":        web("https://a.example?key={{value}}"),
	}
	ids := map[string]bool{}
	for want, entry := range hosts {
		if got := hostOf(entry); got != want {
			t.Errorf("host %q, want %q", got, want)
		}
		id, err := testIDOf(entry)
		if err != nil || id == "" || ids[id] {
			t.Errorf("%q: test id %q, %v, which others have too", want, id, err)
		}
		ids[id] = true
	}
	none := &v1alpha1.ProviderType{Pattern: "x"}
	if id, err := testIDOf(none); id != "" || err != nil || hostOf(none) != "" {
		t.Errorf("an entry without a test: id %q, host %q, %v", id, hostOf(none), err)
	}
	again := web("https://API.example/v1?q={{value}}")
	again.Pattern, again.Example = "x", "y"
	if a, _ := testIDOf(again); !ids[a] {
		t.Error("what is no part of the test changes its id")
	}
}
