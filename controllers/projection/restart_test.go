package projection

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"usersecrets.dev/operator/api/v1alpha1"
)

// crash ends the process that leads and starts another.
func (s *scene) crash() {
	s.leader = s.cluster.lead()
	s.cluster.written()
}

func (s *scene) writes(want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.cluster.written()); diff != "" {
		s.t.Errorf("writes (-want +got):\n%s", diff)
	}
}

// What an earlier leader did is found out, once, and not done again.
func TestNewLeader(t *testing.T) {
	for name, tc := range map[string]struct {
		before     func(*scene)
		meanwhile  func(*cluster)
		wantData   map[string]string
		wantWrites []string
	}{
		"served":             {func(s *scene) { s.must(s.t, "p") }, nil, one, nil},
		"recorded":           {func(s *scene) { s.once("create", errBusy, nil); _ = s.fails() }, nil, one, []string{"create Secret/usersecret-p"}},
		"neither":            {func(*scene) {}, nil, one, issues},
		"served, new value":  {func(s *scene) { s.must(s.t, "p") }, changes("db", func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = sealed("db", "two") }), map[string]string{"DB": "two"}, refreshes},
		"served, turned off": {func(s *scene) { s.must(s.t, "p") }, switches("db", false), map[string]string{}, refreshes},
		"served, TTL over":   {func(s *scene) { s.must(s.t, "p") }, func(*cluster) { after(day) }, map[string]string{}, refreshes},
		"served, done":       {func(s *scene) { s.must(s.t, "p") }, ends("p", corev1.PodSucceeded), nil, []string{"delete Secret/usersecret-p"}},
	} {
		t.Run(name, func(t *testing.T) {
			withScene(t, func(s *scene) {
				tc.before(s)
				s.crash()
				if tc.meanwhile != nil {
					tc.meanwhile(s.cluster)
				}
				s.must(t, "p")
				s.holds(tc.wantData)
				s.writes(tc.wantWrites...)
				s.counts(1)
				looks := 0
				s.process.fault = func(_ context.Context, r request) (error, error) {
					if r.verb == "look" {
						looks++
					}
					return nil, nil
				}
				s.must(t, "p")
				s.writes()
				if looks > 0 {
					t.Error("the API server was asked again for what is known")
				}
			})
		})
	}
}

// A pod that an earlier leader left waiting is asked about once.
func TestNewLeaderAsksOnce(t *testing.T) {
	withScene(t, func(s *scene) {
		s.cluster.removeValue("db")
		s.must(t, "p")
		s.crash()
		looks := 0
		s.process.fault = func(_ context.Context, r request) (error, error) {
			if r.verb == "look" {
				looks++
			}
			return nil, nil
		}
		for range 3 {
			s.must(t, "p")
		}
		if looks != 1 {
			t.Errorf("the API server was asked %d times, want once", looks)
		}
	})
}

// What an earlier leader told a pod that waits is not told again.
func TestNewLeaderRepeatsNothing(t *testing.T) {
	withScene(t, func(s *scene) {
		switches("db", false)(s.cluster)
		s.must(t, "p")
		s.crash()
		s.must(t, "p")
		if lines := s.events.take(); lines != nil {
			t.Errorf("Events %q, want none", lines)
		}
		s.cluster.removeValue("db")
		s.must(t, "p")
		if lines := s.events.take(); len(lines) != 1 {
			t.Errorf("Events %q, want the new reason", lines)
		}
	})
}

// Pods that are served, or done and lingering for days, hold no place in
// recentAccesses once they were looked at, or the first pod after each restart
// would wait.
func TestNewLeaderPassesOverThePast(t *testing.T) {
	for name, end := range map[string]func(*cluster, string){
		"done":    func(c *cluster, pod string) { ends(pod, corev1.PodSucceeded)(c) },
		"running": func(*cluster, string) {},
		// Deleted after the new leader read which pods there were.
		"gone": func(c *cluster, pod string) { c.do(func() { delete(c.pods, inNamespace(pod)) }) },
	} {
		t.Run(name, func(t *testing.T) {
			withScene(t, func(s *scene) {
				var old []string
				for i := range v1alpha1.MaxRecentAccesses {
					pod := fmt.Sprintf("old%d", i)
					old = append(old, pod)
					s.cluster.addPod(makePod(pod, "name:db=DB"))
					s.must(t, pod)
					if name == "done" {
						end(s.cluster, pod)
						s.must(t, pod)
					}
				}
				s.crash()
				s.must(t, "nobody")
				start, served := time.Now(), make(chan error)
				go func() {
					_, err := s.reconcile("p")
					served <- err
				}()
				synctest.Wait() // p waits, since nothing is known of the others yet
				for _, pod := range old {
					if name == "gone" {
						end(s.cluster, pod)
					}
					s.must(t, pod)
				}
				if err := <-served; err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took > 0 {
					t.Errorf("p waited for %v", took)
				}
				s.holds(one)
				s.counts(v1alpha1.MaxRecentAccesses + 1)
			})
		})
	}
}

// A use that was recorded for a new UserSecret of a running pod, and then not
// served, keeps its entry until it is.
func TestNewLeaderFinishesARefresh(t *testing.T) {
	withScene(t, func(s *scene) {
		s.must(t, "p")
		s.cluster.removeValue("db")
		s.must(t, "p")
		us := makeValue("db", "two")
		us.UID = "uid-db-again"
		s.cluster.addValue(us)
		s.once("update", errBusy, nil)
		_ = s.fails() // recorded, and not served

		s.crash()
		s.must(t, "nobody")
		for i := range 2 * v1alpha1.MaxRecentAccesses {
			pod := fmt.Sprintf("q%d", i)
			s.cluster.addPod(makePod(pod, "name:db=DB"))
			s.must(t, pod)
		}
		s.crash() // what the second leader remembered is gone as well
		s.must(t, "p")
		s.holds(map[string]string{"DB": "two"})
		s.counts(2*v1alpha1.MaxRecentAccesses + 1)
	})
}

// What an earlier leader recorded is open until the look at its pod is over.
func TestOpenUntilTheLookIsOver(t *testing.T) {
	withScene(t, func(s *scene) {
		s.must(t, "p")
		us := makeValue("db", "two")
		us.UID = "uid-db-again"
		s.cluster.addValue(us)
		s.once("update", errBusy, nil)
		_ = s.fails() // recorded, and not served

		s.crash()
		s.must(t, "nobody")
		released := make(chan struct{})
		s.process.fault = func(_ context.Context, r request) (error, error) {
			if r.object == "Namespace/"+namespace {
				s.process.fault = nil
				<-released
				return errBusy, nil
			}
			return nil, nil
		}
		var look sync.WaitGroup
		look.Go(func() { _, _ = s.reconcile("p") })
		synctest.Wait()
		for i := range v1alpha1.MaxRecentAccesses {
			pod := fmt.Sprintf("q%d", i)
			s.cluster.addPod(makePod(pod, "name:db=DB"))
			s.must(t, pod)
		}
		close(released)
		look.Wait()
		s.crash()
		s.must(t, "p")
		s.holds(map[string]string{"DB": "two"})
		s.counts(v1alpha1.MaxRecentAccesses + 1)
	})
}

// Pods that got a new UserSecret hold no place in its recentAccesses.
func TestRefreshIsServed(t *testing.T) {
	withScene(t, func(s *scene) {
		var pods []string
		for i := range v1alpha1.MaxRecentAccesses {
			pods = append(pods, fmt.Sprintf("q%d", i))
			s.cluster.addPod(makePod(pods[i], "name:db=DB"))
			s.must(t, pods[i])
		}
		us := makeValue("db", "two")
		us.UID = "uid-db-again"
		s.cluster.addValue(us)
		for _, pod := range pods {
			s.must(t, pod)
		}
		start := time.Now()
		s.must(t, "p")
		if took := time.Since(start); took > 0 {
			t.Errorf("p waited for %v", took)
		}
		s.counts(v1alpha1.MaxRecentAccesses + 1)
	})
}

// The cache may not know yet of a pod that an earlier leader served.
func TestCacheLagsBehind(t *testing.T) {
	withScene(t, func(s *scene) {
		s.must(t, "p")
		s.crash()
		s.process.fault = func(_ context.Context, r request) (error, error) {
			if r.object == "Pod/p" {
				return notFound("pods", "p"), nil
			}
			return nil, nil
		}
		s.Cache = s.process
		live := &process{cluster: s.cluster}
		s.Client, s.ledger.client = live, live
		s.must(t, "p")
		if !s.inherit.unasked("uid-p") {
			t.Error("a pod that is there was taken for gone")
		}
		s.process.fault = nil
		s.must(t, "p")
		s.writes()
	})
}

// A pod that an earlier leader left and that is gone holds nothing, also where
// another has its name by now.
func TestInheritedPodWasReplaced(t *testing.T) {
	withScene(t, func(s *scene) {
		s.once("create", errBusy, nil)
		_ = s.fails() // recorded, and not served
		s.crash()
		s.must(t, "nobody")
		other := makePod("p", "name:db=DB")
		other.UID, other.Annotations[v1alpha1.ProjectionAnnotation] = "uid-p-again", "usersecret-p-again"
		s.cluster.addPod(other)
		s.process.fault = func(_ context.Context, r request) (error, error) {
			if r.object == "Pod/p" {
				return notFound("pods", "p"), nil
			}
			return nil, nil
		}
		live := &process{cluster: s.cluster}
		s.Client, s.ledger.client = live, live
		s.must(t, "p") // the cache knows neither
		if s.inherit.open("uid-p") {
			t.Error("what became of the pod that is gone is still open")
		}
	})
}

// Nothing is done before it is known which pods were there before.
func TestNothingBeforeTheList(t *testing.T) {
	withScene(t, func(s *scene) {
		s.crash()
		s.once("list", errBusy, nil)
		if err := s.fails(); !errors.Is(err, errBusy) {
			t.Errorf("error %v, want %v", err, errBusy)
		}
		s.writes()
		s.must(t, "p")
		s.holds(one)
	})
}

// Nothing is left in memory of pods that are gone, served or not.
func TestNothingIsRememberedOfTheGone(t *testing.T) {
	withScene(t, func(s *scene) {
		s.must(t, "p")
		s.cluster.addPod(makePod("recorded", "name:db=DB"))
		s.once("create", errBusy, nil)
		if _, err := s.reconcile("recorded"); err == nil {
			t.Fatal("no error")
		}
		s.cluster.addPod(makePod("waits", "name:absent=KEY"))
		s.must(t, "waits")
		for _, pod := range []string{"p", "recorded", "waits"} {
			s.cluster.do(func() { delete(s.cluster.pods, inNamespace(pod)) })
			s.must(t, pod)
		}
		if n := len(s.known.byName); n != 0 {
			t.Errorf("%d pods are remembered, want none", n)
		}
		if n := len(s.inherit.pods); n != 0 {
			t.Errorf("%d pods are open, want none", n)
		}
		if marks := s.ledger.accounts["uid-db"].book.marks; len(marks) != 0 {
			t.Errorf("%d pods are marked, want none", len(marks))
		}
	})
}
