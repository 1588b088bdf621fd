package projection

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// maxIdleAccounts bounds how many accounts of UserSecrets are kept beside those
// of pods that live.
const maxIdleAccounts = 1024

// ledger records uses in the status of UserSecrets, once for every pod and
// UserSecret, whatever crashes in between.
//
// It is the only writer of usage, so what it wrote last is what stands there. It
// reads a UserSecret live before its first write, since an earlier leader may
// have recorded the very use.
type ledger struct {
	client client.Client
	// unsettled says of a pod that an earlier leader may have recorded its uses
	// without issuing its Secret.
	unsettled func(pod types.UID) bool
	// writes are shared by all accounts, so that uses gather while others write.
	writes turns
	// line bounds how many wait for a place, in all accounts together: whatever
	// keeps the Secrets of some from being created, workers are left for others.
	line turns

	// mu comes before the accounts' own.
	mu       sync.Mutex
	accounts map[types.UID]*account
}

func newLedger(c client.Client, unsettled func(types.UID) bool) *ledger {
	return &ledger{
		client: c, unsettled: unsettled, writes: make(turns, statusWrites), line: make(turns, placeLine), accounts: map[types.UID]*account{},
	}
}

// record returns once the use stands in the UserSecret's status. Asked again for
// the same pod, it answers without a write. first says that this process never
// said so of this pod before; what an earlier one said is not known, so a use is
// logged at least once where its pod is looked at again. The error is
// errUserSecretGone, errNoPlace or errDecideAgain, or one worth trying again.
func (l *ledger) record(ctx context.Context, of subject, on basis, use v1alpha1.Access) (first bool, err error) {
	e := newEntry(use, on)
	a := l.enqueue(of, e)
	long := time.NewTimer(patience)
	defer long.Stop()
	for {
		select {
		case err := <-e.done:
			return err == nil && a.tell(e.pod()), err
		case <-long.C:
			a.losePatience(e)
		case <-ctx.Done():
			// The write may still happen; then the next call finds the pod counted.
			return false, fmt.Errorf("waiting for a use of %s to be recorded: %w", of.name, ctx.Err())
		}
	}
}

// enqueue finds or makes the account of a UserSecret. The lock is held until the
// entry waits, so that the account is not swept meanwhile.
func (l *ledger) enqueue(of subject, e *entry) *account {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.accounts[of.uid]
	if !ok {
		if len(l.accounts) >= maxIdleAccounts {
			l.sweep()
		}
		a = l.newAccount(of)
		l.accounts[of.uid] = a
	}
	a.enqueue(e)
	return a
}

// sweep drops accounts that nobody uses now; they are read again when needed.
func (l *ledger) sweep() {
	maps.DeleteFunc(l.accounts, func(_ types.UID, a *account) bool { return a.idle() })
}

// served notes that the pod's Secret is known to exist, so that its entries need
// not be kept in recentAccesses any longer. Every account is told, since a pod
// may be in a list that was read without the pod having asked.
func (l *ledger) served(pod types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.accounts {
		a.served(pod)
	}
}

// forget drops what is known about a pod that will not ask again.
func (l *ledger) forget(pod types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.accounts {
		a.forget(pod)
	}
}
