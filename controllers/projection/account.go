package projection

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// maxConflicts bounds how often in a row a write may meet a conflict.
const maxConflicts = 8

// entry is one use that waits to be recorded. done gets one answer.
type entry struct {
	access v1alpha1.Access
	done   chan error
}

func newEntry(use v1alpha1.Access) *entry {
	return &entry{access: use, done: make(chan error, 1)}
}

func (e *entry) pod() types.UID { return types.UID(e.access.PodUID) }

// account is the ledger of one UserSecret. Uses that arrive while a write is
// under way go into the next, together.
type account struct {
	status    usageStatus
	unsettled func(pod types.UID) bool
	writes    turns

	mu      sync.Mutex
	waiting []*entry
	// writing says that a drain is under way; blocked, that it ended because no
	// place was free; resuming, that a timer will look again.
	writing, blocked, resuming bool
	// loaded says that the book is what stands in the status, as far as we know.
	loaded bool
	gone   bool
	book   book
}

func newAccount(c client.Client, of subject, unsettled func(pod types.UID) bool, writes turns) *account {
	return &account{status: usageStatus{client: c, of: of}, unsettled: unsettled, writes: writes, book: book{marks: map[types.UID]*mark{}}}
}

func (a *account) enqueue(e *entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = append(a.waiting, e)
	a.start()
}

// start begins writing where somebody waits; the caller holds mu.
func (a *account) start() {
	a.blocked = false
	if a.writing || len(a.waiting) == 0 {
		return
	}
	a.writing = true
	go a.drain()
}

// drain writes groups until nobody waits or no place is free. Whatever goes
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
	a.writing = len(a.waiting) > 0 && !a.blocked
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
	a.book.adopt(us, a.unsettled, time.Now())
	a.loaded = true
	return nil
}

func (a *account) isLoaded() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.loaded
}

// take answers those whose pod is counted already, and returns the next group:
// different pods, at most as many as there are free places. It may be empty.
func (a *account) take() []*entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.waiting = slices.DeleteFunc(a.waiting, func(e *entry) bool {
		counted := a.book.ask(e.pod(), now)
		if counted {
			e.done <- nil
		}
		return counted
	})
	var group []*entry
	free, taken := a.book.free(now), map[types.UID]bool{}
	a.waiting = slices.DeleteFunc(a.waiting, func(e *entry) bool {
		if len(group) >= free || taken[e.pod()] {
			return false
		}
		taken[e.pod()] = true
		group = append(group, e)
		return true
	})
	if len(a.waiting) > 0 && free <= 0 {
		a.blocked = true
		a.resumeIn(a.book.untilFree(now))
	}
	return group
}

// resumeIn starts again after a while; the caller holds mu. Before that, a pod
// that is served frees its place and starts as well.
func (a *account) resumeIn(d time.Duration) {
	if a.resuming {
		return
	}
	a.resuming = true
	time.AfterFunc(d, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.resuming = false
		a.start()
	})
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
	a.book.enter(uses, version, usage, recent, time.Now())
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
	usage, recent = a.book.with(uses, time.Now())
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
	a.book.serve(pod)
	a.start()
}

func (a *account) forget(pod types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.book.marks, pod)
	a.start()
}

// idle says that nothing would be lost with the account.
func (a *account) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.writing && len(a.waiting) == 0 && (a.gone || a.book.idle(time.Now()))
}
