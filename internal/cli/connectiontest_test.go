package cli

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/verify"
)

// providers answer, at the second look, each request with what is their reason
// for the name; none for a name that is not there.
type providers map[string]string

// newTested is alice's namespace with UserSecrets that providers know.
func newTested(t *testing.T, p providers, change func(*v1alpha1.UserSecret), names ...string) *fixture {
	t.Helper()
	looks := map[string]int{}
	var objects []client.Object
	for _, name := range names {
		us := listed("alice", name, "openai", nil).(*v1alpha1.UserSecret)
		if change != nil {
			change(us)
		}
		objects = append(objects, us)
	}
	return newFixtureWith(t, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
			if err := errors.Join(ctx.Err(), c.Get(ctx, key, object, opts...)); err != nil {
				return err
			}
			us, ok := object.(*v1alpha1.UserSecret)
			if looks[key.Name]++; !ok || looks[key.Name] < 2 || p[key.Name] == "" {
				return nil
			}
			at, err := verify.ParseRequest(us.Annotations[v1alpha1.VerifyRequestedAtAnnotation])
			if err != nil {
				return nil
			}
			us.Status.Verification = &v1alpha1.VerificationStatus{RequestedAt: &metav1.MicroTime{Time: at}}
			us.Status.Conditions = append(us.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionVerified, Reason: p[key.Name], Message: "says\nthe provider"})
			return nil
		},
	}, objects...)
}

func TestTest(t *testing.T) {
	known := providers{"good": v1alpha1.ReasonAccepted, "bad": v1alpha1.ReasonRejected, "away": v1alpha1.ReasonUnreachable, "odd": v1alpha1.ReasonNotTestable}
	const prefix = "usersecret.usersecrets.dev/"
	tests := map[string]struct {
		args []string
		want outcome
	}{
		"an accepted one":       {[]string{"good"}, outcome{Out: prefix + "good accepted: says the provider\n"}},
		"a rejected one":        {[]string{"bad"}, outcome{Code: 1, Out: prefix + "bad rejected: says the provider\n", ErrOut: "error: 1 of 1 values: not accepted, for the reasons above\n"}},
		"an unreachable one":    {[]string{"away"}, outcome{Code: 1, Out: prefix + "away unreachable: says the provider\n", ErrOut: "error: 1 of 1 values: not accepted, for the reasons above\n"}},
		"one without a test":    {[]string{"odd"}, outcome{Code: 1, Out: prefix + "odd not testable: says the provider\n", ErrOut: "error: 1 of 1 values: not accepted, for the reasons above\n"}},
		"several, in order":     {[]string{"odd", "good"}, outcome{Code: 1, Out: prefix + "odd not testable: says the provider\n" + prefix + "good accepted: says the provider\n", ErrOut: "error: 1 of 2 values: not accepted, for the reasons above\n"}},
		"all":                   {[]string{"--all"}, outcome{Code: 1, Out: prefix + "away unreachable: says the provider\n" + prefix + "bad rejected: says the provider\n" + prefix + "good accepted: says the provider\n" + prefix + "odd not testable: says the provider\n", ErrOut: "error: 2 of 4 values: not accepted, for the reasons above\n"}},
		"one that is not there": {[]string{"good", canary}, outcome{Code: 1, ErrOut: "error: there is no UserSecret of that name: 'kubectl usersecret list' shows those there are\n"}},
		"none":                  {nil, outcome{Code: 1, ErrOut: "error: NAME is missing: give the names of UserSecrets, or --all\n"}},
		"a name and all":        {[]string{"good", "--all"}, outcome{Code: 1, ErrOut: "error: --all takes no names: give one or the other\n"}},
		"all of nothing":        {[]string{"--all", "-n", "eve"}, outcome{ErrOut: "No UserSecrets found in eve namespace.\n"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newTested(t, known, nil, "good", "bad", "away", "odd")
			if diff := cmp.Diff(tt.want, f.runQuickly(append([]string{"test"}, tt.args...)...)); diff != "" {
				t.Errorf("testing (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("all, where none is refused", func(t *testing.T) {
		f := newTested(t, known, nil, "good", "odd")
		if got := f.runQuickly("test", "--all"); got.Code != 0 {
			t.Errorf("code %d: %s", got.Code, got.ErrOut)
		}
	})
}

func TestTestThatGetsNoVerdict(t *testing.T) {
	const prefix = "usersecret.usersecrets.dev/key not tested: "
	const ending = "error: 1 of 1 values: not accepted, for the reasons above\n"
	tests := map[string]struct {
		change func(*v1alpha1.UserSecret)
		want   string
	}{
		"nobody answers": {nil, "no verdict came in time, but one still may: see 'kubectl describe usersecret', and ask an administrator whether the operator runs tests"},
		"disabled": {func(us *v1alpha1.UserSecret) {
			us.Spec.Verification = &v1alpha1.Verification{Mode: v1alpha1.VerifyDisabled}
		}, "spec.verification.mode is Disabled: set it to OnChange or OnDemand to have the value tested"},
		"it does not open": {func(us *v1alpha1.UserSecret) {
			us.Status.Conditions = sealedCondition("False", v1alpha1.ReasonDoesNotOpen, "It does not open")
		}, "It does not open"},
		"an older verdict alone": {func(us *v1alpha1.UserSecret) {
			us.Status.Verification = &v1alpha1.VerificationStatus{RequestedAt: &metav1.MicroTime{Time: now.Add(-time.Second)}}
			us.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionVerified, Reason: v1alpha1.ReasonAccepted}}
		}, "no verdict came in time, but one still may: see 'kubectl describe usersecret', and ask an administrator whether the operator runs tests"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newTested(t, nil, tt.change, "key")
			if diff := cmp.Diff(outcome{Code: 1, Out: prefix + tt.want + "\n", ErrOut: ending}, f.runQuickly("test", "key")); diff != "" {
				t.Errorf("testing (-want +got):\n%s", diff)
			}
		})
	}
}

// Each request is later than whatever was asked or answered before, also where the
// clock of who did that is ahead.
func TestTestAsksAnew(t *testing.T) {
	ahead := now.Add(time.Minute)
	tests := map[string]struct {
		change func(*v1alpha1.UserSecret)
		want   string
	}{
		"for the first time": {nil, "2026-06-01T12:00:00Z"},
		"after one ahead": {func(us *v1alpha1.UserSecret) {
			us.Annotations = map[string]string{v1alpha1.VerifyRequestedAtAnnotation: verify.FormatRequest(ahead)}
		}, "2026-06-01T12:01:00.000001Z"},
		"after one that is no request": {func(us *v1alpha1.UserSecret) {
			us.Annotations = map[string]string{v1alpha1.VerifyRequestedAtAnnotation: "yes"}
		}, "2026-06-01T12:00:00Z"},
		"after an answer": {func(us *v1alpha1.UserSecret) {
			us.Status.Verification = &v1alpha1.VerificationStatus{RequestedAt: &metav1.MicroTime{Time: now}}
		}, "2026-06-01T12:00:00.000001Z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newTested(t, providers{"key": v1alpha1.ReasonAccepted}, tt.change, "key")
			if got := f.runQuickly("test", "key"); got.Code != 0 {
				t.Fatalf("testing: %s%s", got.Out, got.ErrOut)
			}
			us := f.stored("key")
			if got := us.Annotations[v1alpha1.VerifyRequestedAtAnnotation]; got != tt.want {
				t.Errorf("asked at %q, want %q", got, tt.want)
			}
			if us.Spec.EncryptedValue != "us1.sealed" {
				t.Error("more was written than the request")
			}
		})
	}
}

func TestTestIsRefused(t *testing.T) {
	refusal := apierrors.NewForbidden(schema.GroupResource{Group: "usersecrets.dev", Resource: "usersecrets"}, "key", errors.New("ask another time"))
	f := newFixtureWith(t, interceptor.Funcs{Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
		return refusal
	}}, listed("alice", "key", "openai", nil))
	got := f.runQuickly("test", "key")
	want := outcome{
		Code: 1, Out: `usersecret.usersecrets.dev/key not tested: usersecrets.usersecrets.dev "key" is forbidden: ask another time` + "\n",
		ErrOut: "error: 1 of 1 values: not accepted, for the reasons above\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}

func TestTestInterrupted(t *testing.T) {
	f := newTested(t, nil, nil, "key")
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(2*time.Second, stop)
		if diff := cmp.Diff(outcome{Code: 130, ErrOut: "error: interrupted\n"}, f.runIn(ctx, "test", "key")); diff != "" {
			t.Errorf("Ctrl-C (-want +got):\n%s", diff)
		}
	})
}

// What was given as a name may be a value, and so is in no request.
func TestTestAsksForNoNameThatIsNotThere(t *testing.T) {
	f := newFixtureWith(t, interceptor.Funcs{Get: func(_ context.Context, _ client.WithWatch, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
		t.Errorf("the API server was asked for %s", strings.Repeat("*", len(key.Name)))
		return errors.New("not to be asked")
	}})
	wantRefusal(t, f.run("test", canary), "there is no UserSecret of that name: 'kubectl usersecret list' shows those there are")
}
