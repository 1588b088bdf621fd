package verification

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"usersecrets.dev/operator/api/v1alpha1"
)

const (
	// apart is how far apart tests of one UserSecret are at least, whoever asks.
	apart = 10 * time.Second

	// A provider that does not answer is asked again after firstWait, then after
	// twice as long each time, up to longestWait, each 20 % more or less: tries
	// tests altogether, in about two hours.
	firstWait   = time.Minute
	longestWait = time.Hour
	tries       = 8
)

// Why a value is tested, as the access log says it.
const (
	whyChanged   = "the value is new"
	whyRequested = "a test was asked for"
	whyCatalogue = "the provider's test is new"
	whyAgain     = "the provider gave no answer before"
)

// facts are what decides whether a value is to be tested.
type facts struct {
	mode v1alpha1.VerificationMode
	// opens: the present value does.
	opens bool
	// usable: pods may have it, as far as its owner is concerned.
	usable  bool
	valueID string
	// testID is a fingerprint of the provider's test; empty where it has none.
	testID string
	// requested is when a test was asked for; zero for never.
	requested time.Time

	// record and verdict are what was found last, if anything was.
	record  *v1alpha1.VerificationStatus
	verdict *metav1.Condition
}

// due is when the value is to be tested, and why; no reason means never, as things
// are.
func (f facts) due() (at time.Time, why string) {
	if f.mode == v1alpha1.VerifyDisabled || !f.opens || f.valueID == "" {
		return time.Time{}, ""
	}
	earliest := f.earliest()
	switch {
	case f.asked():
		return earliest, whyRequested
	case !f.usable:
		return time.Time{}, ""
	case !f.known():
		if f.mode == v1alpha1.VerifyOnDemand {
			return time.Time{}, ""
		}
		return earliest, whyChanged
	case f.undecided() && f.record.TestID != f.testID:
		return earliest, whyCatalogue
	case f.undecided() && f.record.NextAttemptAt != nil:
		return later(earliest, f.record.NextAttemptAt.Time), whyAgain
	}
	return time.Time{}, ""
}

// earliest is when the next test may be at all.
func (f facts) earliest() time.Time {
	if f.record == nil || f.record.TestedAt == nil {
		return time.Time{}
	}
	return f.record.TestedAt.Add(apart)
}

// asked says whether a test was asked for that was not made yet.
func (f facts) asked() bool {
	return !f.requested.IsZero() && (f.record == nil || f.record.RequestedAt == nil || f.requested.After(f.record.RequestedAt.Time))
}

// known says whether what was found last was found of the present value.
func (f facts) known() bool {
	return f.record != nil && f.record.ValueID == f.valueID && f.verdict != nil
}

// undecided says whether the provider has said neither yes nor no.
func (f facts) undecided() bool {
	return f.verdict.Reason == v1alpha1.ReasonUnreachable || f.verdict.Reason == v1alpha1.ReasonNotTestable
}

// after is the record of a test of this value that has ended with this reason.
func (f facts) after(reason, why string, now time.Time, retryAfter time.Duration) *v1alpha1.VerificationStatus {
	record := &v1alpha1.VerificationStatus{ValueID: f.valueID, TestID: f.testID}
	if f.record != nil {
		record.RequestedAt = f.record.RequestedAt
	}
	if f.asked() {
		record.RequestedAt = &metav1.MicroTime{Time: f.requested}
	}
	if f.testID != "" {
		record.TestedAt = &metav1.Time{Time: now.Truncate(time.Second)}
	}
	if reason != v1alpha1.ReasonUnreachable {
		return record
	}
	record.Attempts = 1
	if why == whyAgain {
		record.Attempts += f.record.Attempts
	}
	if record.Attempts < tries {
		next := now.Add(untilNext(record.Attempts, retryAfter))
		record.NextAttemptAt = &metav1.Time{Time: next.Truncate(time.Second)}
	}
	return record
}

// untilNext is how long to leave a provider alone that did not answer so many
// times in a row. Where the server asked for longer, it gets that.
func untilNext(attempts int32, asked time.Duration) time.Duration {
	pause := min(firstWait<<(attempts-1), longestWait)
	pause = wait.Jitter(pause*4/5, 0.5) // 80 % to 120 %
	return max(pause, wait.Jitter(asked, 0.2))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// testIDOf is a fingerprint of a provider's test, so that another is known to be
// another also after a restart.
func testIDOf(entry *v1alpha1.ProviderType) (string, error) {
	if entry.Test == nil {
		return "", nil
	}
	text, err := json.Marshal(entry.Test)
	if err != nil {
		return "", fmt.Errorf("encoding the provider's test: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}

// hostOf is where the catalogue has a test go; empty where the value says it.
func hostOf(entry *v1alpha1.ProviderType) string {
	if entry.Test == nil || entry.Test.HTTP == nil {
		return ""
	}
	// The catalogue keeps {{value}} out of the host; what follows need be no URL
	// before the value is in it.
	host := strings.TrimPrefix(entry.Test.HTTP.URL, "https://")
	if end := strings.IndexAny(host, "/?#"); end >= 0 {
		host = host[:end]
	}
	return strings.ToLower(host)
}
