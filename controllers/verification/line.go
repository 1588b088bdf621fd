package verification

import (
	"context"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Limits bound how many tests run at once. Each is 1 at least.
type Limits struct {
	// Total is how many run at once, of all users.
	Total int
	// PerUser is how many of one user's run at once, but for those that have taken
	// longer than a second.
	PerUser int
	// PerHost is how many go to one host of the catalogue at once.
	PerHost int
}

// DefaultLimits let half of all servers hang, and the tests of the others be done
// in seconds: see patience.
func DefaultLimits() Limits { return Limits{Total: 256, PerUser: 4, PerHost: 16} }

// patience is how long a test counts against its user's limit. What takes longer
// waits for a server that is slow or hangs, and must not keep the user's other
// tests from running.
//
// So that half of all servers may hang, for the 10 s that a test has, while the
// tests of the others are done in seconds:
//   - One host that hangs takes 16 of 256 places, whoever asks it.
//   - Of a user with many servers that hang, 4 more tests begin each second: at most
//     4*10 = 40 run at once, and those of servers that answer begin between them. It takes
//     7 users with 40 hanging servers each to fill all 256 places, and then still
//     25 come free each second, which users take in turns.
//   - 500 tests of 50 users, half of them of 250 servers that hang: 200 begin at
//     once (4 each), at worst 200 of those that hang; a second later the other
//     300 begin, 56 at a time, of which 50 hang and 250 answer.
//
// 256 tests are 256 connections and at most 256*64 KiB = 16 MiB of values.
const patience = time.Second

// job is a test that waits for its turn. It holds no value: that is opened when
// the turn comes.
type job struct {
	name  types.NamespacedName
	owner string
	// host is the catalogue's, empty where the value itself names the server.
	host string

	// running, and slow after its patience, are of one that has begun.
	slow bool
	// again: something changed about it while it ran.
	again bool
}

// line has tests wait in line, users in turns. Of the same UserSecret one test
// waits or runs at a time.
type line struct {
	limits Limits
	// run tests one, and says whether it is to be looked at again.
	run func(context.Context, types.NamespacedName) bool

	running sync.WaitGroup
	mu      sync.Mutex
	look    func(types.NamespacedName)
	ctx     context.Context // nil before the start, and after the end
	jobs    map[types.NamespacedName]*job
	users   map[string]*user
	turns   []*user // those with a test that waits
	hosts   map[string]int
	begun   int
}

// user is one owner's tests.
type user struct {
	name    string
	waiting []*job
	// fresh is how many run within their patience.
	fresh int
}

func newLine(limits Limits) *line {
	return &line{limits: limits, jobs: map[types.NamespacedName]*job{}, users: map[string]*user{}, hosts: map[string]int{}}
}

// Start implements manager.Runnable, on the leader. It returns when ctx has ended and no
// test runs any more.
func (l *line) Start(ctx context.Context) error {
	l.mu.Lock()
	l.ctx = ctx
	l.begin()
	l.mu.Unlock()
	<-ctx.Done()
	l.mu.Lock()
	l.ctx = nil
	l.mu.Unlock()
	l.running.Wait()
	return nil
}

// join has a test wait for its turn. One that waits already stays where it is in
// the line; after one that runs, the UserSecret is looked at again.
func (l *line) join(j job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if there := l.jobs[j.name]; there != nil {
		there.again = true
		return
	}
	l.jobs[j.name] = &j
	u := l.users[j.owner]
	if u == nil {
		u = &user{name: j.owner}
		l.users[j.owner] = u
	}
	if len(u.waiting) == 0 {
		l.turns = append(l.turns, u)
	}
	u.waiting = append(u.waiting, &j)
	l.begin()
}

// begin has tests begin for as long as there is room, one of each user in turn;
// the caller holds mu.
func (l *line) begin() {
	if l.ctx == nil {
		return
	}
	for idle := 0; idle < len(l.turns) && l.begun < l.limits.Total; {
		u := l.turns[0]
		l.turns = l.turns[1:]
		idle++
		if j := l.next(u); j != nil {
			l.launch(u, j)
			idle = 0
		}
		if len(u.waiting) > 0 {
			l.turns = append(l.turns, u)
		}
	}
	l.count()
}

// next takes the user's first test that may begin out of the line.
func (l *line) next(u *user) *job {
	if u.fresh >= l.limits.PerUser {
		return nil
	}
	for i, j := range u.waiting {
		if j.host == "" || l.hosts[j.host] < l.limits.PerHost {
			u.waiting = slices.Delete(u.waiting, i, i+1)
			return j
		}
	}
	return nil
}

func (l *line) launch(u *user, j *job) {
	l.begun++
	u.fresh++
	if j.host != "" {
		l.hosts[j.host]++
	}
	j.again = false // what changed while it waited, it will see
	ctx := l.ctx
	l.running.Go(func() {
		slow := time.AfterFunc(patience, func() { l.lag(u, j) })
		again := l.run(ctx, j.name)
		slow.Stop()
		if look := l.end(u, j, again); look != nil {
			look(j.name)
		}
	})
}

// lag has a test that takes long no longer count against its user's limit.
func (l *line) lag(u *user, j *job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if j.slow || l.jobs[j.name] != j {
		return
	}
	j.slow = true
	u.fresh--
	l.begin()
}

// end makes room for others. It returns what has the UserSecret be looked at,
// where that is asked for or something changed about it during the test.
func (l *line) end(u *user, j *job, again bool) (look func(types.NamespacedName)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.jobs, j.name)
	l.begun--
	if !j.slow {
		u.fresh--
	}
	if j.host != "" {
		if l.hosts[j.host]--; l.hosts[j.host] == 0 {
			delete(l.hosts, j.host)
		}
	}
	if u.fresh == 0 && len(u.waiting) == 0 && l.users[u.name] == u {
		delete(l.users, u.name)
	}
	l.begin()
	if again || j.again {
		return l.look
	}
	return nil
}

// lookBy says how UserSecrets are looked at again. Before, all are looked at anyway.
func (l *line) lookBy(look func(types.NamespacedName)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.look = look
}

// count shows how many wait and run; the caller holds mu.
func (l *line) count() {
	running.Set(float64(l.begun))
	waiting.Set(float64(len(l.jobs) - l.begun))
}
