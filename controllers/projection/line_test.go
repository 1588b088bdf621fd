package projection

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"usersecrets.dev/operator/api/v1alpha1"
)

// Entries of pods whose Secret may not exist yet keep their places, however long
// that takes: newer uses wait for a moment, and are sent away.
func TestEntriesAreKeptUntilServed(t *testing.T) {
	for name, tc := range map[string]struct {
		happens func(*clerk)
		wantErr error
		want    time.Duration // until b has its answer
	}{
		"served":       {func(k *clerk) { k.serve("a1") }, nil, 0},
		"gone":         {func(k *clerk) { k.forget("uid-a1") }, nil, 0},
		"served late":  {func(k *clerk) { after(patience / 2); k.serve("a1") }, nil, patience / 2},
		"none of them": {func(k *clerk) { k.serve("b") }, errStuck, patience},
		"nothing":      {func(*clerk) {}, errStuck, patience},
	} {
		t.Run(name, func(t *testing.T) {
			withLedger(t, func(k *clerk) {
				k.must(strings.Fields(reversed(run("a", 1, 20)))...)
				start, said := time.Now(), k.ask("b")
				if !waits(said) {
					t.Fatal("b pushed out an entry that is not served")
				}
				tc.happens(k)
				if a := <-said; !errors.Is(a.err, tc.wantErr) || (a.err == nil) != (tc.wantErr == nil) {
					t.Errorf("error %v, want %v", a.err, tc.wantErr)
				}
				if took := time.Since(start); took != tc.want {
					t.Errorf("b was answered after %v, want %v", took, tc.want)
				}
				if want := int64(20); tc.wantErr == nil {
					k.check(want+1, "b "+run("a", 2, 20))
				} else {
					k.check(want, run("a", 1, 20))
				}
			})
		})
	}
}

// Where nothing has moved for long nobody waits, and the line is as it was.
func TestNobodyWaitsWhereNothingMoves(t *testing.T) {
	withLedger(t, func(k *clerk) {
		k.must(strings.Fields(reversed(run("a", 1, 20)))...)
		after(time.Hour)
		for i := range 2 * placeLine {
			start := time.Now()
			if a := <-k.ask(fmt.Sprintf("b%d", i)); !errors.Is(a.err, errStuck) || time.Since(start) > 0 {
				t.Fatalf("error %v after %v, want %v at once", a.err, time.Since(start), errStuck)
			}
		}
		k.serve("a1")
		k.must("c")
		if n := len(k.line); n != 0 {
			t.Errorf("%d stand in the line, want none", n)
		}
	})
}

// Whoever has waited for long is sent away, also where places come free for
// others.
func TestPatienceEnds(t *testing.T) {
	withLedger(t, func(k *clerk) {
		old := strings.Fields(reversed(run("a", 1, 20)))
		k.must(old...)
		var said []<-chan answer
		for i := range 5 {
			said = append(said, k.ask(fmt.Sprintf("b%d", i)))
			synctest.Wait()
		}
		for i := range 3 {
			after(patience / 4)
			k.serve(old[i])
		}
		after(patience / 2)
		for i, wantErr := range []error{nil, nil, nil, errNoPlace, errNoPlace} {
			if a := <-said[i]; !errors.Is(a.err, wantErr) || errors.Is(a.err, errStuck) {
				t.Errorf("b%d: error %v, want %v", i, a.err, wantErr)
			}
		}
	})
}

// The time that a use waited for a write counts as well.
func TestPatienceEndsDuringAWrite(t *testing.T) {
	withLedger(t, func(k *clerk) {
		k.process.fault = func(_ context.Context, r request) (error, error) {
			if r.verb == "record" {
				after(2 * patience)
			}
			return nil, nil
		}
		for _, pod := range strings.Fields(run("a", 1, 20)) {
			k.ask(pod)
		}
		synctest.Wait()
		said := k.ask("b")
		start := time.Now()
		if a := <-said; !errors.Is(a.err, errNoPlace) {
			t.Errorf("error %v, want %v", a.err, errNoPlace)
		}
		if took := time.Since(start); took > 4*patience {
			t.Errorf("b was answered after %v", took)
		}
	})
}

// The line is of one length for all UserSecrets, and who finds it full is sent
// away.
func TestLineIsBounded(t *testing.T) {
	withLedger(t, func(k *clerk) {
		k.must(strings.Fields(reversed(run("a", 1, 20)))...)
		said := make(chan answer, placeLine+5)
		for i := range placeLine + 5 {
			go func() { said <- <-k.ask(fmt.Sprintf("b%d", i)) }()
		}
		synctest.Wait()
		for range 5 {
			if a := <-said; !errors.Is(a.err, errNoPlace) || errors.Is(a.err, errStuck) {
				t.Errorf("error %v, want %v", a.err, errNoPlace)
			}
		}
		if n := len(said); n != 0 {
			t.Errorf("%d more were answered, want that they wait", n)
		}
		k.cluster.addValue(makeValue("other", "two"))
		if a := <-k.askOf(k.t.Context(), subject{name: inNamespace("other"), uid: "uid-other"}, "c"); a.err != nil {
			t.Errorf("recording the use of another UserSecret: %v", a.err)
		}
		after(patience)
	})
}

// While no place is free, a pod that is counted still gets its answer.
func TestCountedPodIsAnsweredWithoutPlace(t *testing.T) {
	withLedger(t, func(k *clerk) {
		k.must(strings.Fields(reversed(run("a", 1, 20)))...)
		said := k.ask("b")
		if !waits(said) {
			t.Fatal("b pushed out an entry that is not served")
		}
		if a := <-k.ask("a20"); a.err != nil {
			t.Error(a.err)
		}
		k.serve("a1")
		<-said
	})
}

// What was decided on a spec that has changed since is not written.
func TestDecidedOnAnOlderSpec(t *testing.T) {
	withLedger(t, func(k *clerk) {
		edit := func(us *v1alpha1.UserSecret) { us.Spec.Description += "new" }
		edited := false
		k.process.fault = func(_ context.Context, r request) (error, error) {
			if r.verb == "record" && !edited {
				edited = true
				k.cluster.changeValue("db", edit)
			}
			return nil, nil
		}
		if a := <-k.ask("a"); !errors.Is(a.err, errDecideAgain) {
			t.Errorf("error %v, want %v", a.err, errDecideAgain)
		}
		k.check(0, "")
		k.basis.generation = 1
		k.must("a")
		k.cluster.changeValue("db", edit)
		k.basis.generation = 2
		k.must("b") // which reads the spec of now
		k.basis.generation = 1
		if a := <-k.ask("a"); !errors.Is(a.err, errDecideAgain) {
			t.Errorf("a pod that is counted: error %v, want %v", a.err, errDecideAgain)
		}
		k.check(2, "b a")
	})
}

// What expires while it waits for a place is not written.
func TestExpiresInTheLine(t *testing.T) {
	withLedger(t, func(k *clerk) {
		k.must(strings.Fields(reversed(run("a", 1, 20)))...)
		k.basis.expires = time.Now().Add(patience / 4)
		said := k.ask("b")
		after(patience / 2)
		k.serve("a1")
		if a := <-said; !errors.Is(a.err, errDecideAgain) {
			t.Errorf("error %v, want %v", a.err, errDecideAgain)
		}
		k.check(20, run("a", 1, 20))
	})
}
