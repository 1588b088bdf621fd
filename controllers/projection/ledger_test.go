package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
)

// clerk is a ledger with the cluster that it writes to, which holds one
// UserSecret, db.
type clerk struct {
	*ledger
	t       *testing.T
	cluster *cluster
	process *process
	open    map[types.UID]bool // pods that an earlier leader may have left
	basis   basis              // what uses are decided on
}

// withLedger runs a test with a fresh cluster, in a bubble: its clock stands
// still while anybody works.
func withLedger(t *testing.T, test func(*clerk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		c.addValue(makeValue("db", "one"))
		k := startLedger(t, c)
		test(k)
		checkPromises(t, c)
	})
}

// startLedger is what a process that just started has.
func startLedger(t *testing.T, c *cluster) *clerk {
	k := &clerk{t: t, cluster: c, process: &process{cluster: c}, open: map[types.UID]bool{}}
	k.ledger = newLedger(k.process, func(pod types.UID) bool { return k.open[pod] })
	return k
}

var db = subject{name: inNamespace("db"), uid: "uid-db"}

// answer is what record said.
type answer struct {
	first bool
	err   error
}

// ask records the use of a pod in the background.
func (k *clerk) ask(pod string) <-chan answer {
	return k.askOf(context.Background(), db, pod)
}

func (k *clerk) askOf(ctx context.Context, of subject, pod string) <-chan answer {
	said := make(chan answer, 1)
	go func() {
		first, err := k.record(ctx, of, k.basis, use(pod))
		said <- answer{first, err}
	}()
	return said
}

// must records the use of each pod, one after the other.
func (k *clerk) must(pods ...string) {
	k.t.Helper()
	for _, pod := range pods {
		if a := <-k.ask(pod); a.err != nil {
			k.t.Fatalf("recording the use of %s: %v", pod, a.err)
		}
	}
}

// serve says that the pods have their Secret.
func (k *clerk) serve(pods ...string) {
	for _, pod := range pods {
		k.served(types.UID("uid-" + pod))
	}
}

func (k *clerk) check(wantCount int64, wantPods string) {
	k.t.Helper()
	us := k.cluster.value("db")
	if got := countOf(us); got != wantCount {
		k.t.Errorf("count = %d, want %d", got, wantCount)
	}
	if got := usedBy(us); got != wantPods {
		k.t.Errorf("recentAccesses = %q, want %q", got, wantPods)
	}
}

// waits says whether nobody has answered yet, with all that can happen done.
func waits(said <-chan answer) bool {
	synctest.Wait()
	select {
	case <-said:
		return false
	default:
		return true
	}
}

var (
	errBusy    = apierrors.NewInternalError(errors.New("etcd is busy"))
	errTooMany = apierrors.NewTooManyRequests("later", 1)
)

// once makes one call of a verb go wrong.
func (k *clerk) once(verb string, before, after error) {
	var mu sync.Mutex
	done := false
	k.process.fault = func(_ context.Context, r request) (error, error) {
		mu.Lock()
		defer mu.Unlock()
		if done || r.verb != verb {
			return nil, nil
		}
		done = true
		return before, after
	}
}

// slow has calls of a verb take 5 ms, while others arrive.
func (k *clerk) slow(verb string) {
	k.process.fault = func(_ context.Context, r request) (error, error) {
		if r.verb == verb {
			after(5 * time.Millisecond)
		}
		return nil, nil
	}
}

// Uses that arrive while a write is under way go into the next ones together.
func TestUsesAreWrittenInGroups(t *testing.T) {
	const pods = 100
	withLedger(t, func(k *clerk) {
		k.slow("record")
		var wg sync.WaitGroup
		for i := range pods {
			wg.Go(func() {
				pod := fmt.Sprintf("p%d", i)
				if a := <-k.ask(pod); a.err != nil || !a.first {
					t.Errorf("pod %s: first %t, error %v; want first", pod, a.first, a.err)
				}
				after(5 * time.Millisecond) // its Secret is being created
				k.serve(pod)
			})
		}
		wg.Wait()
		if n := countOf(k.cluster.value("db")); n != pods {
			t.Errorf("count = %d, want %d", n, pods)
		}
		if got := slices.Max(k.cluster.groups); got > v1alpha1.MaxRecentAccesses {
			t.Errorf("one write recorded %d uses, want at most %d", got, v1alpha1.MaxRecentAccesses)
		}
		if got := len(k.cluster.groups); got > pods/5 {
			t.Errorf("%d writes for %d pods: %v", got, pods, k.cluster.groups)
		}
	})
}

// The writes of all UserSecrets take turns: the uses of each that come meanwhile
// go into one.
func TestWritesTakeTurns(t *testing.T) {
	const secrets, pods = 20, 10
	withLedger(t, func(k *clerk) {
		var underWay, most atomic.Int32
		k.process.fault = func(_ context.Context, r request) (error, error) {
			if r.verb == "record" {
				most.Store(max(most.Load(), underWay.Add(1)))
				after(5 * time.Millisecond)
				underWay.Add(-1)
			}
			return nil, nil
		}
		var wg sync.WaitGroup
		for i := range pods {
			for s := range secrets {
				name := fmt.Sprintf("s%d", s)
				if i == 0 {
					k.cluster.addValue(makeValue(name, "one"))
				}
				of := subject{name: inNamespace(name), uid: types.UID("uid-" + name)}
				wg.Go(func() {
					if a := <-k.askOf(k.t.Context(), of, fmt.Sprintf("p%d-%d", s, i)); a.err != nil {
						t.Errorf("recording: %v", a.err)
					}
				})
			}
			after(time.Millisecond)
		}
		wg.Wait()
		if got := most.Load(); got != statusWrites {
			t.Errorf("%d writes were under way at once, want %d", got, statusWrites)
		}
		if got := len(k.cluster.groups); got > 2*secrets {
			t.Errorf("%d writes for %d pods of each of %d UserSecrets, want at most two of each", got, pods, secrets)
		}
	})
}

func TestAPodCountsOnce(t *testing.T) {
	withLedger(t, func(k *clerk) {
		k.slow("get") // so that all three wait for the same group
		said := []<-chan answer{k.ask("a"), k.ask("a"), k.ask("a")}
		firsts := 0
		for _, s := range said {
			a := <-s
			if a.err != nil {
				t.Errorf("recording: %v", a.err)
			}
			if a.first {
				firsts++
			}
		}
		if firsts != 1 {
			t.Errorf("%d callers were told first, want 1", firsts)
		}
		k.serve("a")
		if a := <-k.ask("a"); a.first || a.err != nil {
			t.Errorf("asked again: first %t, error %v; want neither", a.first, a.err)
		}
		k.check(1, "a")
	})
}

// lastUsedBy is of one pod: what the newest does not say is empty.
func TestLastUsedByIsOfOnePod(t *testing.T) {
	withLedger(t, func(k *clerk) {
		k.must("a")
		bare := use("b")
		bare.Workflow, bare.Node = "", ""
		if _, err := k.record(k.t.Context(), db, k.basis, bare); err != nil {
			t.Fatal(err)
		}
		if got, want := *k.cluster.value("db").Status.Usage.LastUsedBy, (v1alpha1.LastUse{Pod: "b"}); got != want {
			t.Errorf("lastUsedBy = %+v, want %+v", got, want)
		}
		k.check(2, "b a")
	})
}

// The entries of a group stand in the order in which they were decided.
func TestNewestFirst(t *testing.T) {
	withLedger(t, func(k *clerk) {
		early, late := use("early"), use("late")
		late.Time.Time = late.Time.Add(time.Second)
		k.slow("get")
		var wg sync.WaitGroup
		for _, u := range []v1alpha1.Access{late, early} {
			wg.Go(func() { _, _ = k.record(k.t.Context(), db, k.basis, u) })
			synctest.Wait()
		}
		wg.Wait()
		k.check(2, "late early")
		if got := k.cluster.value("db").Status.Usage.LastUsedBy.Pod; got != "late" {
			t.Errorf("last used by %s, want late", got)
		}
	})
}

// Somebody else wrote since: what stands there is read and decided upon anew.
func TestConflict(t *testing.T) {
	for name, tc := range map[string]struct {
		meanwhile func(*v1alpha1.UserSecret)
		wantCount int64
		wantPods  string
	}{
		"a label": {func(us *v1alpha1.UserSecret) { us.Labels = map[string]string{"new": "yes"} }, 1, "a"},
		"another leader counted another pod": {func(us *v1alpha1.UserSecret) {
			us.Status.Usage, us.Status.RecentAccesses = &v1alpha1.Usage{Count: 1}, []v1alpha1.Access{use("x")}
		}, 2, "a x"},
		"another leader counted this pod": {func(us *v1alpha1.UserSecret) {
			us.Status.Usage, us.Status.RecentAccesses = &v1alpha1.Usage{Count: 1}, []v1alpha1.Access{use("a")}
		}, 1, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			withLedger(t, func(k *clerk) {
				written := false
				k.process.fault = func(_ context.Context, r request) (error, error) {
					if r.verb == "record" && !written {
						written = true
						k.cluster.changeValue("db", tc.meanwhile)
					}
					return nil, nil
				}
				k.must("a")
				k.check(tc.wantCount, tc.wantPods)
			})
		})
	}
}

func TestConflictsWithoutEnd(t *testing.T) {
	withLedger(t, func(k *clerk) {
		attempts := 0
		k.process.fault = func(_ context.Context, r request) (error, error) {
			if r.verb == "record" {
				attempts++
				return conflict("usersecrets", "db"), nil
			}
			return nil, nil
		}
		a := <-k.ask("a")
		if !apierrors.IsConflict(a.err) || !strings.Contains(a.err.Error(), "giving up after 8 conflicts") {
			t.Errorf("error %v, want that it gave up", a.err)
		}
		if attempts != maxConflicts {
			t.Errorf("%d attempts, want %d", attempts, maxConflicts)
		}
		k.process.fault = nil
		k.must("a")
		k.check(1, "a")
	})
}

// What the server answers is not always what happened.
func TestFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		verb          string
		before, after error
		wantErr       error
	}{
		"the read is refused":         {"get", errTooMany, nil, errTooMany},
		"the write is refused":        {"record", errBusy, nil, errBusy},
		"the write's answer is lost":  {"record", nil, errBusy, errBusy},
		"it seems to be a time-out":   {"record", nil, context.DeadlineExceeded, context.DeadlineExceeded},
		"it seems to be a conflict":   {"record", nil, conflict("usersecrets", "db"), nil},
		"the UserSecret seems absent": {"get", notFound("usersecrets", "db"), nil, errUserSecretGone},
	} {
		t.Run(name, func(t *testing.T) {
			withLedger(t, func(k *clerk) {
				k.once(tc.verb, tc.before, tc.after)
				a := <-k.ask("a")
				if !errors.Is(a.err, tc.wantErr) || (a.err == nil) != (tc.wantErr == nil) {
					t.Errorf("error %v, want %v", a.err, tc.wantErr)
				}
				if a.err != nil {
					a = <-k.ask("a")
				}
				if a.err != nil || !a.first {
					t.Errorf("in the end: first %t, error %v; want first", a.first, a.err)
				}
				k.check(1, "a")
			})
		})
	}
}

// A use whose answer was lost is not served yet: its entry is kept like others,
// also before its pod asks again, and whoever else writes.
func TestLostAnswerKeepsTheEntry(t *testing.T) {
	withLedger(t, func(k *clerk) {
		k.once("record", nil, errBusy)
		if a := <-k.ask("a"); a.err == nil {
			t.Fatal("the answer was not lost")
		}
		for i := range 30 {
			pod := fmt.Sprintf("b%d", i)
			k.must(pod)
			k.serve(pod)
			k.cluster.changeValue("db", func(*v1alpha1.UserSecret) {}) // so that the list is read again
		}
		if us := k.cluster.value("db"); !strings.HasSuffix(usedBy(us), " a") {
			t.Errorf("recentAccesses = %q, want a kept", usedBy(us))
		}
		if a := <-k.ask("a"); a.err != nil || !a.first {
			t.Errorf("asked again: first %t, error %v; want first", a.first, a.err)
		}
	})
}

// A pod that is gone by the time that its use is written leaves nothing behind.
func TestForgottenWhileWritten(t *testing.T) {
	withLedger(t, func(k *clerk) {
		k.slow("record")
		ctx, giveUp := context.WithCancel(k.t.Context())
		said := k.askOf(ctx, db, "a")
		synctest.Wait()
		giveUp()
		<-said
		k.forget("uid-a")
		after(time.Second)
		k.check(1, "a")
		if marks := k.accounts["uid-db"].book.marks; len(marks) != 0 {
			t.Errorf("%d pods are marked, want none", len(marks))
		}
	})
}

func TestRequestsEnd(t *testing.T) {
	for _, verb := range []string{"get", "record"} {
		t.Run(verb, func(t *testing.T) {
			withLedger(t, func(k *clerk) {
				hang := true
				k.process.fault = func(ctx context.Context, r request) (error, error) {
					if r.verb != verb || !hang {
						return nil, nil
					}
					hang = false
					<-ctx.Done()
					return ctx.Err(), nil
				}
				start := time.Now()
				if a := <-k.ask("a"); !errors.Is(a.err, context.DeadlineExceeded) {
					t.Errorf("error %v, want %v", a.err, context.DeadlineExceeded)
				}
				if took := time.Since(start); took != requestTimeout {
					t.Errorf("it took %v, want %v", took, requestTimeout)
				}
				k.must("a")
				k.check(1, "a")
			})
		})
	}
}

// A caller that gives up changes nothing for the others, nor for itself: the
// use may be recorded, and is announced to whoever asks next.
func TestCallerGivesUp(t *testing.T) {
	withLedger(t, func(k *clerk) {
		k.slow("record")
		ctx, giveUp := context.WithCancel(k.t.Context())
		said := k.askOf(ctx, db, "a")
		synctest.Wait()
		giveUp()
		if a := <-said; !errors.Is(a.err, context.Canceled) || a.first {
			t.Errorf("first %t, error %v; want %v", a.first, a.err, context.Canceled)
		}
		if a := <-k.ask("a"); a.err != nil || !a.first {
			t.Errorf("asked again: first %t, error %v; want first", a.first, a.err)
		}
		k.check(1, "a")
	})
}

// A group in which one gave up whose pod is counted, and whose write fails, must
// not keep those waiting who come later.
func TestGroupWithOneWhoGaveUp(t *testing.T) {
	withLedger(t, func(k *clerk) {
		k.must("a")
		k.once("record", errBusy, nil)
		ctx, giveUp := context.WithCancel(k.t.Context())
		giveUp()
		<-k.askOf(ctx, db, "a")
		<-k.askOf(ctx, db, "b")
		synctest.Wait()
		k.must("c")
		k.must("b")
		k.check(3, "b c a")
	})
}

func TestUserSecretGone(t *testing.T) {
	replace := func(c *cluster) {
		us := makeValue("db", "two")
		us.UID = "uid-db-again"
		c.addValue(us)
	}
	for name, gone := range map[string]func(*cluster){
		"deleted":  func(c *cluster) { c.removeValue("db") },
		"replaced": replace,
	} {
		for _, loaded := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, loaded %t", name, loaded), func(t *testing.T) {
				withLedger(t, func(k *clerk) {
					if loaded {
						k.must("a")
					}
					gone(k.cluster)
					if a := <-k.ask("b"); !errors.Is(a.err, errUserSecretGone) {
						t.Errorf("error %v, want %v", a.err, errUserSecretGone)
					}
					replace(k.cluster)
					again := subject{name: db.name, uid: "uid-db-again"}
					if a := <-k.askOf(k.t.Context(), again, "b"); a.err != nil {
						t.Errorf("recording the use of the new one: %v", a.err)
					}
					k.check(1, "b")
				})
			})
		}
	}
}

// A process that starts finds in the list who was counted.
func TestRestart(t *testing.T) {
	withLedger(t, func(k *clerk) {
		k.must("a", "b")
		k.serve("a")
		next := startLedger(t, k.cluster)
		next.open["uid-b"] = true
		if a := <-next.ask("b"); a.err != nil || !a.first {
			t.Errorf("first %t, error %v; want first: the other process may have told nobody", a.first, a.err)
		}
		next.must("b", "c")
		next.check(3, "c b a")
	})
}

// Entries of pods that an earlier leader may have left without Secret are kept
// until that is known.
func TestRestartKeepsOpenEntries(t *testing.T) {
	withLedger(t, func(k *clerk) {
		old := strings.Fields(run("a", 1, 20))
		for _, pod := range old {
			k.must(pod)
			k.serve(pod)
		}
		next := startLedger(t, k.cluster)
		for _, pod := range old {
			next.open[types.UID("uid-"+pod)] = true
		}
		said := next.ask("b")
		if !waits(said) {
			t.Fatal("b pushed an entry out of which nobody knows whether it was served")
		}
		next.serve(old[7]) // it never asked this process
		if a := <-said; a.err != nil {
			t.Fatal(a.err)
		}
		if pods := usedBy(next.cluster.value("db")); strings.Contains(pods+" ", old[7]+" ") || !strings.HasPrefix(pods, "b ") {
			t.Errorf("recentAccesses = %q, want b in the place of %s", pods, old[7])
		}
	})
}

// Accounts that nobody uses are dropped when there are many; those of pods that
// live are not, since what was counted would be forgotten with them.
func TestSweep(t *testing.T) {
	withLedger(t, func(k *clerk) {
		k.must("lives")
		for i := range maxIdleAccounts {
			name := fmt.Sprintf("s%d", i)
			k.cluster.addValue(&v1alpha1.UserSecret{ObjectMeta: metaOf(name)})
			of := subject{name: inNamespace(name), uid: types.UID("uid-" + name)}
			if a := <-k.askOf(k.t.Context(), of, "p"); a.err != nil {
				t.Fatal(a.err)
			}
		}
		if n := len(k.accounts); n != maxIdleAccounts+1 {
			t.Errorf("%d accounts while their pods live, want %d", n, maxIdleAccounts+1)
		}
		k.forget("uid-p")
		synctest.Wait() // until every writer has come to rest
		k.cluster.addValue(&v1alpha1.UserSecret{ObjectMeta: metaOf("last")})
		if a := <-k.askOf(k.t.Context(), subject{name: inNamespace("last"), uid: "uid-last"}, "p"); a.err != nil {
			t.Fatal(a.err)
		}
		if n := len(k.accounts); n != 2 {
			t.Errorf("%d accounts, want 2: of the pod that lives, and of the last", n)
		}
		k.must("lives")
		k.check(1, "lives")
	})
}
