package verification

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

// bench is a line of tests that take as long as their names say.
type bench struct {
	*line
	mu      sync.Mutex
	takes   map[types.NamespacedName]time.Duration
	began   []string
	done    map[types.NamespacedName]time.Duration
	looked  []types.NamespacedName
	most    int // at once
	now     int
	started time.Time
	again   bool
}

// newBench starts a line, in a bubble.
func newBench(ctx context.Context, limits Limits) *bench {
	b := &bench{line: newLine(limits), takes: map[types.NamespacedName]time.Duration{}, done: map[types.NamespacedName]time.Duration{}, started: time.Now()}
	b.run = b.test
	b.lookBy(func(name types.NamespacedName) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.looked = append(b.looked, name)
	})
	go func() { _ = b.Start(ctx) }()
	return b
}

func (b *bench) test(ctx context.Context, name types.NamespacedName) bool {
	b.mu.Lock()
	b.began = append(b.began, name.Name)
	b.now++
	b.most = max(b.most, b.now)
	takes := b.takes[name]
	b.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(takes):
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now--
	b.done[name] = time.Since(b.started)
	return b.again
}

func (b *bench) add(owner, name, host string, takes time.Duration) types.NamespacedName {
	n := types.NamespacedName{Namespace: owner, Name: name}
	b.mu.Lock()
	b.takes[n] = takes
	b.mu.Unlock()
	b.join(job{name: n, owner: owner, host: host})
	return n
}

// lasted is when the last of the tests that take so long had ended.
func (b *bench) lasted(takes time.Duration) (last time.Duration, ended int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, at := range b.done {
		if b.takes[name] == takes {
			last = max(last, at)
			ended++
		}
	}
	return last, ended
}

func inBubble(t *testing.T, limits Limits, check func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		b := newBench(ctx, limits)
		synctest.Wait()
		check(b)
		stop()
		synctest.Wait()
	})
}

const (
	quick = 50 * time.Millisecond
	hangs = timeout
)

// 500 tests, half of them of servers that hang, in the ways in which that may be
// spread: those of the others are done in seconds.
func TestServersThatHangKeepNobodyWaiting(t *testing.T) {
	tests := map[string]struct {
		users int
		// hanging and answering are the hosts of the n-th test of each kind.
		hanging, answering func(n int) string
		within             time.Duration
	}{
		"50 users, one host that hangs":        {50, func(int) string { return "hangs" }, func(int) string { return "answers" }, 2 * time.Second},
		"50 users, 250 servers that hang":      {50, func(n int) string { return fmt.Sprint("hangs", n) }, func(n int) string { return fmt.Sprint("answers", n) }, 3 * time.Second},
		"50 users, servers named by values":    {50, func(int) string { return "" }, func(int) string { return "" }, 3 * time.Second},
		"500 users, one host that hangs":       {500, func(int) string { return "hangs" }, func(int) string { return "answers" }, 2 * time.Second},
		"500 users, 20 hosts, half of them":    {500, func(n int) string { return fmt.Sprint("hangs", n%10) }, func(n int) string { return fmt.Sprint("answers", n%10) }, 2 * time.Second},
		"one user, one host that hangs":        {1, func(int) string { return "hangs" }, func(int) string { return "answers" }, 9 * time.Second},
		"5 users, 10 hosts, half of them hang": {5, func(n int) string { return fmt.Sprint("hangs", n%5) }, func(n int) string { return fmt.Sprint("answers", n%5) }, 9 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, DefaultLimits(), func(b *bench) {
				for n := range 250 {
					owner := fmt.Sprint("user", n%tt.users)
					// Those that hang come first, which is the worst order.
					b.add(owner, fmt.Sprint("hangs", n), tt.hanging(n), hangs)
				}
				for n := range 250 {
					b.add(fmt.Sprint("user", n%tt.users), fmt.Sprint("answers", n), tt.answering(n), quick)
				}
				time.Sleep(10 * time.Minute)
				last, ended := b.lasted(quick)
				if ended != 250 || last > tt.within {
					t.Errorf("%d tests of servers that answer have ended, the last after %v; want 250 within %v", ended, last, tt.within)
				}
				if _, ended := b.lasted(hangs); ended != 250 {
					t.Errorf("%d tests of servers that hang have ended, want 250", ended)
				}
				if b.most > 256 {
					t.Errorf("%d tests at once, want at most 256", b.most)
				}
			})
		})
	}
}

// How many run at once, of tests that take half their patience and of those that
// take longer.
func TestLimits(t *testing.T) {
	tests := map[string]struct {
		limits       Limits
		users, hosts int
		takes        time.Duration
		want         int
	}{
		"in all":                    {Limits{3, 4, 16}, 9, 9, patience / 2, 3},
		"of a user":                 {Limits{256, 2, 16}, 1, 9, patience / 2, 2},
		"of a user, by default":     {Limits{256, 4, 16}, 1, 9, patience / 2, 4},
		"to a host":                 {Limits{256, 4, 5}, 90, 1, patience / 2, 5},
		"to a host, by default":     {Limits{256, 4, 16}, 90, 1, patience / 2, 16},
		"in all, by default":        {Limits{256, 4, 16}, 300, 300, patience / 2, 256},
		"of a user, when they hang": {Limits{256, 2, 16}, 1, 90, 10*patience - quick, 20},
		"in all, when they hang":    {Limits{7, 4, 16}, 1, 90, 10 * patience, 7},
		"to a host, when they hang": {Limits{256, 4, 3}, 1, 1, 10 * patience, 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, tt.limits, func(b *bench) {
				for n := range 300 {
					b.add(fmt.Sprint("user", n%tt.users), fmt.Sprint(n), fmt.Sprint("host", n%tt.hosts), tt.takes)
				}
				time.Sleep(time.Hour)
				if _, ended := b.lasted(tt.takes); ended != 300 || b.most != tt.want {
					t.Errorf("%d of 300 tests have ended, at most %d at once; want at most %d", ended, b.most, tt.want)
				}
				b.mu.Lock()
				defer b.mu.Unlock()
				if len(b.users)+len(b.hosts)+len(b.jobs)+len(b.turns)+b.begun != 0 {
					t.Errorf("something is left of tests that have ended: %v %v %v", b.users, b.hosts, b.jobs)
				}
			})
		})
	}
}

func TestUsersTakeTurns(t *testing.T) {
	inBubble(t, Limits{1, 4, 16}, func(b *bench) {
		for n := range 4 {
			b.add("alice", fmt.Sprint("a", n), "", quick)
		}
		b.add("bob", "b0", "", quick)
		b.add("eve", "e0", "", quick)
		b.add("bob", "b1", "", quick)
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"a0", "a1", "b0", "e0", "a2", "b1", "a3"}, b.began); diff != "" {
			t.Errorf("the order (-want +got):\n%s", diff)
		}
	})
}

// One UserSecret stands in line once; what changes about it while it is tested
// has it looked at again.
func TestOneTestOfAUserSecretAtATime(t *testing.T) {
	inBubble(t, Limits{1, 4, 16}, func(b *bench) {
		first := b.add("alice", "first", "", quick)
		second := b.add("alice", "second", "", quick)
		synctest.Wait()
		b.join(job{name: second, owner: "alice"}) // waits
		if len(b.looked) != 0 {
			t.Errorf("looked at %v before any test ended", b.looked)
		}
		b.join(job{name: first, owner: "alice"}) // runs
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"first", "second"}, b.began); diff != "" {
			t.Errorf("tested (-want +got):\n%s", diff)
		}
		if !slices.Equal(b.looked, []types.NamespacedName{first}) {
			t.Errorf("looked at %v, want %v", b.looked, first)
		}
		b.again = true
		b.add("alice", "second", "", quick)
		time.Sleep(time.Minute)
		if !slices.Equal(b.looked, []types.NamespacedName{first, second}) {
			t.Errorf("looked at %v, want second too", b.looked)
		}
	})
}

func TestNothingRunsBeforeTheStartNorAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		l := newLine(Limits{1, 4, 16})
		var ran []string
		l.run = func(ctx context.Context, name types.NamespacedName) bool {
			ran = append(ran, name.Name)
			<-ctx.Done()
			return true // nobody is there yet to look
		}
		early := types.NamespacedName{Name: "early"}
		l.join(job{name: early})
		synctest.Wait()
		if len(ran) != 0 {
			t.Errorf("%v ran before the start", ran)
		}
		ended := make(chan error)
		go func() { ended <- l.Start(ctx) }()
		synctest.Wait()
		l.join(job{name: types.NamespacedName{Name: "late"}})
		stop()
		if err := <-ended; err != nil || !slices.Equal(ran, []string{"early"}) {
			t.Errorf("ran %v, %v; want the early one alone", ran, err)
		}
	})
}
