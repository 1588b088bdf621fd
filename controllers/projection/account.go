package projection

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
)

// maxConflicts bounds how often in a row a write may meet a conflict.
const maxConflicts = 8

// patience is how long a use waits for a place in recentAccesses. A place is
// free again as soon as a Secret is created; longer, and the worker that waits is
// better used for others.
const patience = time.Second

var (
	// errNoPlace means that every place in recentAccesses is held by a pod that is
	// recorded and not served yet: the use is to be tried again later.
	errNoPlace = errors.New("no place in recentAccesses is free")
	// errStuck means the same, and that nothing has moved for long.
	errStuck = fmt.Errorf("%w, and none came free for long", errNoPlace)
	// errDecideAgain means that a use was decided on what does not hold any more.
	errDecideAgain = errors.New("what was decided on has changed since")
)

// entry is one use that waits to be recorded. done gets one answer.
type entry struct {
	access v1alpha1.Access
	basis  basis
	came   time.Time
	done   chan error
}

func newEntry(use v1alpha1.Access, on basis) *entry {
	return &entry{access: use, basis: on, came: time.Now(), done: make(chan error, 1)}
}

// basis is what a use was decided on, as far as it may have changed by the time
// that the use is written.
type basis struct {
	generation int64     // the UserSecret's
	expires    time.Time // zero for never
}

// over says whether what the use was decided on holds no more.
func (b basis) over(now time.Time) bool { return !b.expires.IsZero() && !now.Before(b.expires) }

func (e *entry) pod() types.UID { return types.UID(e.access.PodUID) }

// account is the ledger of one UserSecret. Uses that arrive while a write is
// under way go into the next, together.
type account struct {
	status    usageStatus
	unsettled func(pod types.UID) bool
	writes    turns
	line      turns

	mu      sync.Mutex
	waiting []*entry  // to be written
	parked  []*entry  // until a place is free; each takes a turn in the line
	writing bool      // a drain is under way
	moved   time.Time // when a use was written or a place came free last
	// loaded says that the book is what stands in the status, as far as we know.
	loaded     bool
	generation int64 // of the spec when it was read
	gone       bool
	book       book
}

func (l *ledger) newAccount(of subject) *account {
	return &account{
		status: usageStatus{client: l.client, of: of}, unsettled: l.unsettled, writes: l.writes, line: l.line,
		moved: time.Now(), book: book{marks: map[types.UID]*mark{}},
	}
}

func (a *account) enqueue(e *entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = append(a.waiting, e)
	a.start()
}

// start begins writing where somebody waits; the caller holds mu.
func (a *account) start() {
	if a.writing || len(a.waiting) == 0 {
		return
	}
	a.writing = true
	go a.drain()
}

// drain writes groups until nobody waits for that. Whatever goes
// wrong with a write, the next attempt reads first: it may have succeeded.
func (a *account) drain() {
	conflicts := 0
	for a.busy() {
		end := a.writes.begin()
		conflicts = a.turn(conflicts)
		end()
	}
}

// turn writes one group, and returns how many conflicts there were in a row.
func (a *account) turn(conflicts int) int {
	if err := a.load(); err != nil {
		a.refuseAll(err)
		return 0
	}
	group := a.take()
	err := a.write(group)
	if apierrors.IsConflict(err) && conflicts+1 < maxConflicts {
		a.putBack(group)
		return conflicts + 1
	}
	if err != nil {
		refuse(group, err)
	}
	return 0
}

// busy says whether there is something to write, and ends the writing where
// there is not.
func (a *account) busy() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writing = len(a.waiting) > 0
	return a.writing
}

// load reads what stands in the status where that is not known.
func (a *account) load() error {
	if a.isLoaded() {
		return nil
	}
	us, err := a.status.read()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gone = errors.Is(err, errUserSecretGone)
	if err != nil {
		return err
	}
	a.book.adopt(us, a.unsettled)
	a.loaded, a.generation = true, us.Generation
	return nil
}

func (a *account) isLoaded() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.loaded
}

// take answers those that need no place, and returns the next group: different
// pods, at most as many as there are free places. It may be empty.
func (a *account) take() []*entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.waiting = slices.DeleteFunc(a.waiting, func(e *entry) bool {
		answered, err := a.answer(e, now)
		if answered {
			e.done <- err
		}
		return answered
	})
	var group []*entry
	free, taken := a.book.free(), map[types.UID]bool{}
	a.waiting = slices.DeleteFunc(a.waiting, func(e *entry) bool {
		if len(group) >= free || taken[e.pod()] {
			return false
		}
		taken[e.pod()] = true
		group = append(group, e)
		return true
	})
	if free <= 0 {
		a.park(now)
	}
	return group
}

// answer says what is to be said to an entry without writing anything.
func (a *account) answer(e *entry, now time.Time) (answered bool, err error) {
	switch {
	// The write that follows compares versions, so nothing newer is passed over.
	case e.basis.generation < a.generation || e.basis.over(now):
		return true, errDecideAgain
	default:
		return a.book.ask(e.pod()), nil
	}
}

// park has those who wait wait for a place, or sends them away: where nothing
// has moved for long, who has waited for long, and whoever finds the line full.
// The caller holds mu.
func (a *account) park(now time.Time) {
	for _, e := range a.waiting {
		if err := a.noPlace(); errors.Is(err, errStuck) || now.Sub(e.came) >= patience || !a.line.try() {
			e.done <- err
			continue
		}
		a.parked = append(a.parked, e)
	}
	a.waiting = nil
}

// freed has those who wait for a place try again, before those who came later;
// the caller holds mu.
func (a *account) freed() {
	a.moved = time.Now()
	for range a.parked {
		a.line.end()
	}
	a.waiting, a.parked = append(a.parked, a.waiting...), nil
	a.start()
}

// losePatience sends an entry away that has waited for a place for long enough.
func (a *account) losePatience(e *entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := slices.Index(a.parked, e); i >= 0 {
		a.parked = slices.Delete(a.parked, i, i+1)
		a.line.end()
		e.done <- a.noPlace()
	}
}

// noPlace is what to say where no place is free; the caller holds mu.
func (a *account) noPlace() error {
	if time.Since(a.moved) >= patience {
		return errStuck
	}
	return errNoPlace
}

// write records a group in the status, and answers it where that succeeds.
func (a *account) write(group []*entry) error {
	if len(group) == 0 {
		return nil
	}
	uses := usesOf(group)
	version, usage, recent := a.next(uses)
	version, err := a.status.swap(version, usage, recent)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.loaded = false
		return err
	}
	a.book.enter(uses, version, usage, recent)
	a.moved = time.Now()
	for _, e := range group {
		e.done <- nil
	}
	return nil
}

// usesOf are the uses of a group in the order in which they were decided.
func usesOf(group []*entry) []v1alpha1.Access {
	uses := make([]v1alpha1.Access, 0, len(group))
	for _, e := range group {
		uses = append(uses, e.access)
	}
	slices.SortStableFunc(uses, func(a, b v1alpha1.Access) int { return a.Time.Compare(b.Time.Time) })
	return uses
}

func (a *account) next(uses []v1alpha1.Access) (version string, usage v1alpha1.Usage, recent []v1alpha1.Access) {
	a.mu.Lock()
	defer a.mu.Unlock()
	usage, recent = a.book.with(uses)
	return a.book.version, usage, recent
}

// putBack has a group wait again, before those who came later.
func (a *account) putBack(group []*entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = append(group, a.waiting...)
}

func (a *account) refuseAll(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	refuse(a.waiting, err)
	a.waiting = nil
}

func refuse(entries []*entry, err error) {
	if apierrors.IsConflict(err) {
		err = fmt.Errorf("giving up after %d conflicts: %w", maxConflicts, err)
	}
	for _, e := range entries {
		e.done <- err
	}
}

// tell says whether nobody was told yet that the pod was counted.
func (a *account) tell(pod types.UID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.book.tell(pod)
}

func (a *account) served(pod types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.book.serve(pod) {
		a.freed()
	}
}

func (a *account) forget(pod types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.book.forget(pod) {
		a.freed()
	}
}

// idle says that nothing would be lost with the account.
func (a *account) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.writing && len(a.waiting) == 0 && len(a.parked) == 0 && (a.gone || a.book.idle())
}
