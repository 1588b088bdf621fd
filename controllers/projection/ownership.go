package projection

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"usersecrets.dev/operator/internal/owner"
)

// ownership reads whom a namespace belongs to, live. The cache may lag behind a
// namespace that was given to somebody else, whose pods must not get the values
// of whom it belonged to.
//
// Those who ask at the same time share a reading, which begins after they asked.
type ownership struct {
	read func(ctx context.Context, namespace string) (string, error)
	// turns are shared by all namespaces, so that those who ask gather while
	// others read.
	turns turns

	mu sync.Mutex
	// readings has a key for each namespace that is being read, with the reading
	// that comes after, if anybody waits for it.
	readings map[string]*reading
}

// reading is one answer of the API server.
type reading struct {
	done  chan struct{}
	owner string
	err   error
}

// ask begins a reading, or joins one that did not begin yet.
func (o *ownership) ask(namespace string) *reading {
	o.mu.Lock()
	defer o.mu.Unlock()
	next, busy := o.readings[namespace]
	if next != nil {
		return next
	}
	next = &reading{done: make(chan struct{})}
	if busy {
		o.readings[namespace] = next
		return next
	}
	o.readings[namespace] = nil
	go o.answer(namespace, next)
	return next
}

// answer reads for as long as somebody waits.
func (o *ownership) answer(namespace string, r *reading) {
	for ; r != nil; r = o.next(namespace) {
		end := o.turns.begin()
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		r.owner, r.err = o.read(ctx, namespace)
		cancel()
		end()
		close(r.done)
	}
}

func (o *ownership) next(namespace string) *reading {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.readings[namespace]
	if o.readings[namespace] = nil; next == nil {
		delete(o.readings, namespace)
	}
	return next
}

// confirm says whether a namespace belongs to whom the cache says that it does:
// the error is errDecideAgain where it does not.
func (r *reading) confirm(ctx context.Context, cached string) error {
	select {
	case <-r.done:
	case <-ctx.Done():
		return fmt.Errorf("waiting for the namespace's owner: %w", ctx.Err())
	}
	if r.err != nil && !errors.Is(r.err, owner.ErrNone) {
		return r.err
	}
	if r.owner != cached {
		return errDecideAgain
	}
	return nil
}
