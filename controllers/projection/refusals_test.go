package projection

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"usersecrets.dev/operator/api/v1alpha1"
)

var errQuota = apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "usersecret", errors.New("exceeded quota"))

const refusedText = "the API server refuses the pod's Secret (Forbidden): a ResourceQuota, or a policy or webhook of the cluster, may be why; " +
	"an administrator finds it in the operator's log"

// refuse has calls of these verbs refused until the fault is taken out, and
// counts them.
func (s *scene) refuse(with error, verbs ...string) map[string]int {
	calls := map[string]int{}
	s.process.fault = func(_ context.Context, r request) (error, error) {
		if !slices.Contains(verbs, r.verb) {
			return nil, nil
		}
		calls[r.verb]++
		return with, nil
	}
	return calls
}

// steps adds pods that ask for db.
func (s *scene) steps(n int) []string {
	var pods []string
	for i := range n {
		pods = append(pods, fmt.Sprintf("q%d", i))
		s.cluster.addPod(makePod(pods[i], "name:db=DB"))
	}
	return pods
}

// A quota, or another's admission, may keep a Secret from being created for a
// long time: its use counts once, and is told once, and so is why the pod waits.
func TestRefusedForLong(t *testing.T) {
	withScene(t, func(s *scene) {
		s.refuse(errQuota, "create", "try")
		for range 5 {
			_ = s.fails()
			after(time.Hour)
		}
		s.counts(1)
		if diff := cmp.Diff([]string{"p Warning WaitingForSecret: " + refusedText, usedByP}, sortedLines(s.events.take())); diff != "" {
			t.Errorf("Events (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"uid-p/uid-db/use use db by p: "}, s.audit.take()); diff != "" {
			t.Errorf("audit (-want +got):\n%s", diff)
		}
		s.process.fault = nil
		s.must(t, "p")
		s.holds(one)
		s.counts(1)
		if len(s.refusals.known) != 0 {
			t.Error("the namespace is still taken for one in which Secrets are refused")
		}
	})
}

func sortedLines(lines []string) []string {
	return slices.SortedFunc(slices.Values(lines), func(a, b string) int {
		return len(b) - len(a) // the Event of the pod is the longer one
	})
}

// What another's webhook says may repeat the value that it was shown.
func TestRefusalIsNotRepeated(t *testing.T) {
	withScene(t, func(s *scene) {
		s.refuse(apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "usersecret-p", errors.New("canary")), "create")
		want := `issuing projection "usersecret-p": ` + refusedText
		if err := s.fails(); err.Error() != want {
			t.Errorf("error\n%v\nwant\n%v", err, want)
		}
	})
}

// Whatever is refused, and however often the operator crashes meanwhile, every
// pod is counted once: what is recorded and not served fits into the record.
func TestRefusedNamespaceAndRestart(t *testing.T) {
	const pods = 2 * v1alpha1.MaxRecentAccesses
	for name, tc := range map[string]struct {
		verbs        []string
		with         error
		wantRecorded int64
	}{
		"a quota":                  {[]string{"create", "try"}, errQuota, 1},
		"only with its values":     {[]string{"create"}, errQuota, v1alpha1.MaxRecentAccesses},
		"nobody knows what it was": {[]string{"create"}, errBusy, v1alpha1.MaxRecentAccesses},
	} {
		t.Run(name, func(t *testing.T) {
			withScene(t, func(s *scene) {
				all := s.steps(pods)
				look := func() {
					for range 3 {
						for _, pod := range all {
							_, _ = s.reconcile(pod)
						}
						after(time.Hour)
					}
				}
				s.refuse(tc.with, tc.verbs...)
				look()
				s.counts(tc.wantRecorded)
				s.crash()
				s.refuse(tc.with, tc.verbs...)
				look()
				s.crash()
				look()
				s.counts(pods)
				for _, pod := range all {
					if s.cluster.secret("usersecret-"+pod) == nil {
						t.Errorf("pod %s is not served", pod)
					}
				}
			})
		})
	}
}

// While the Secrets of one namespace do not come, its pods do not keep workers
// from others.
func TestNobodyWaitsForAnother(t *testing.T) {
	withScene(t, func(s *scene) {
		bobs := otherPod(s)
		s.process.fault = func(_ context.Context, r request) (error, error) {
			if r.verb == "create" && r.object != "Secret/usersecret-bobs" {
				return errTooMany, nil
			}
			return nil, nil
		}
		for _, pod := range s.steps(v1alpha1.MaxRecentAccesses) {
			if _, err := s.reconcile(pod); !errors.Is(err, errTooMany) {
				t.Fatalf("error %v, want %v", err, errTooMany)
			}
		}
		start := time.Now()
		if again := s.must(t, "p"); again != stuckRetry || time.Since(start) > patience {
			t.Errorf("p is to be looked at again in %v, after %v; want %v, within %v", again, time.Since(start), stuckRetry, patience)
		}
		start = time.Now()
		if again := s.must(t, "p"); again != stuckRetry || time.Since(start) > 0 {
			t.Errorf("p is to be looked at again in %v, after %v; want %v, at once", again, time.Since(start), stuckRetry)
		}
		s.holds(nil)
		if _, err := s.Reconcile(s.t.Context(), bobs); err != nil {
			t.Fatal(err)
		}
		if s.cluster.secrets[types.NamespacedName{Namespace: bobs.Namespace, Name: "usersecret-bobs"}] == nil {
			t.Error("the pod of another namespace is not served")
		}
	})
}

// otherPod is a pod of bob's, with a UserSecret, in a namespace of his own.
func otherPod(s *scene) reconcile.Request {
	const elsewhere = "bob-flows"
	us, pod := makeValue("his", "two"), makePod("bobs", "name:his=KEY")
	us.Namespace, pod.Namespace, us.Spec.EncryptedValue = elsewhere, elsewhere, sealedIn(elsewhere, "bob", "his", "two")
	s.cluster.owners[elsewhere] = "bob"
	s.cluster.addValue(us)
	s.cluster.addPod(pod)
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: elsewhere, Name: "bobs"}}
}

// Where Secrets are refused, nothing is recorded of a pod whose Secret does not
// pass a dry run, and dry runs are few.
func TestProbe(t *testing.T) {
	for name, tc := range map[string]struct {
		verb      string
		with      error
		wantError error
		wantAgain time.Duration
		wantCount int64
	}{
		"still refused":     {"try", errQuota, errQuota, 0, 1},
		"let through":       {"", nil, nil, day, 2},
		"nobody knows":      {"try", errBusy, errBusy, 0, 1},
		"takes no dry runs": {"try", apierrors.NewBadRequest("the webhook does not support dry run"), nil, day, 2},
	} {
		t.Run(name, func(t *testing.T) {
			withScene(t, func(s *scene) {
				s.refuse(errQuota, "create")
				_ = s.fails()
				calls := s.refuse(tc.with, tc.verb)
				q := s.steps(2)
				result, err := s.reconcile(q[0])
				if !errors.Is(err, tc.wantError) || (err == nil) != (tc.wantError == nil) || result.RequeueAfter != tc.wantAgain {
					t.Errorf("error %v, again in %v; want %v, %v", err, result.RequeueAfter, tc.wantError, tc.wantAgain)
				}
				s.counts(tc.wantCount)
				if tc.wantError == nil {
					return
				}
				if again := s.must(t, q[1]); again != stuckRetry || calls["try"] != 1 {
					t.Errorf("again in %v, after %d dry runs; want %v, after one", again, calls["try"], stuckRetry)
				}
			})
		})
	}
}

// A refusal is forgotten with the pods that it met.
func TestRefusalGoesWithItsPods(t *testing.T) {
	withScene(t, func(s *scene) {
		s.refuse(errQuota, "create", "try")
		_ = s.fails()
		after(probeGap)
		q := s.steps(1)[0]
		if _, err := s.reconcile(q); !errors.Is(err, errQuota) {
			t.Fatalf("error %v, want %v", err, errQuota)
		}
		ends("p", corev1.PodSucceeded)(s.cluster)
		s.must(t, "p")
		if len(s.refusals.known) != 1 {
			t.Error("the refusal is forgotten while one of its pods waits")
		}
		s.cluster.do(func() { delete(s.cluster.pods, inNamespace(q)) })
		s.must(t, q)
		if len(s.refusals.known) != 0 {
			t.Error("the refusal is remembered without any pod")
		}
	})
}

func TestRefused(t *testing.T) {
	secrets := schema.GroupResource{Resource: "secrets"}
	for name, tc := range map[string]struct {
		err  error
		want bool
	}{
		"a quota":               {errQuota, true},
		"wrapped":               {fmt.Errorf("creating: %w", errQuota), true},
		"a policy":              {apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "s", nil), true},
		"too large":             {apierrors.NewRequestEntityTooLargeError("too large"), true},
		"taken":                 {apierrors.NewAlreadyExists(secrets, "s"), false},
		"busy":                  {errTooMany, false},
		"something went wrong":  {errBusy, false},
		"timed out":             {apierrors.NewTimeoutError("later", 1), false},
		"no namespace any more": {apierrors.NewNotFound(secrets, "s"), false},
		"no answer":             {context.DeadlineExceeded, false},
		"none":                  {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := refused(tc.err); got != tc.want {
				t.Errorf("refused = %t, want %t", got, tc.want)
			}
		})
	}
	if got := (refusedError{code: http.StatusForbidden}).Error(); got != refusedText {
		t.Errorf("it says\n%s\nwant\n%s", got, refusedText)
	}
}

// Pods that ask for the same two UserSecrets in different order take places in
// one order: else each would hold the last place that the other waits for.
func TestPodsThatCross(t *testing.T) {
	withScene(t, func(s *scene) {
		stores("key", "two")(s.cluster)
		s.process.fault = func(_ context.Context, r request) (error, error) {
			if r.verb == "create" && r.object != "Secret/usersecret-x" && r.object != "Secret/usersecret-y" {
				return errTooMany, nil
			}
			return nil, nil
		}
		for i := range v1alpha1.MaxRecentAccesses - 1 {
			for _, name := range []string{"db", "key"} {
				pod := fmt.Sprintf("%s-%d", name, i)
				s.cluster.addPod(makePod(pod, "name:"+name+"=KEY"))
				_, _ = s.reconcile(pod)
			}
		}
		s.process.fault = slowRecords(s.process.fault)
		start := time.Now()
		s.cluster.addPod(makePod("x", "name:db=A,name:key=B"))
		s.cluster.addPod(makePod("y", "name:key=B,name:db=A"))
		again := make(chan time.Duration)
		for _, pod := range []string{"x", "y"} {
			go func() { again <- s.must(t, pod) }()
		}
		for range 2 {
			if got := <-again; got != day {
				t.Errorf("to be looked at again in %v, want %v", got, day)
			}
		}
		if took := time.Since(start); took >= patience {
			t.Errorf("it took %v", took)
		}
		synctest.Wait()
	})
}

// slowRecords has each status write take 5 ms.
func slowRecords(fault func(context.Context, request) (error, error)) func(context.Context, request) (error, error) {
	return func(ctx context.Context, r request) (error, error) {
		if r.verb == "record" {
			after(5 * time.Millisecond)
		}
		return fault(ctx, r)
	}
}
