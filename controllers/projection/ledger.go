package projection

import (
	"context"
	"errors"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// errUserSecretGone means that a UserSecret was deleted before its use could be
// recorded.
var errUserSecretGone = errors.New("the UserSecret was deleted")

// maxIdleAccounts bounds how many UserSecrets' accounts are kept between uses.
const maxIdleAccounts = 1024

// ledger records uses in the status of UserSecrets, once for every pod and
// UserSecret, whatever crashes in between.
//
// It is the only writer of usage, so what it wrote last is what stands there. It
// reads a UserSecret live before its first write, since an earlier leader may
// have recorded the very use.
type ledger struct {
	client client.Client
	// unsettled says of a pod that it is not known yet whether its Secret exists.
	unsettled func(pod types.UID) bool

	mu       sync.Mutex
	accounts map[types.UID]*account
	touched  map[types.UID][]*account // by pod
}

func newLedger(c client.Client, unsettled func(types.UID) bool) *ledger {
	return &ledger{client: c, unsettled: unsettled, accounts: map[types.UID]*account{}, touched: map[types.UID][]*account{}}
}

// subject is the UserSecret that a use is of.
type subject struct {
	name types.NamespacedName
	uid  types.UID
}

// record returns once the use stands in the UserSecret's status; counted says
// whether this call put it there. Asked again for the same pod, it answers
// without a write. The error is errUserSecretGone, or one worth trying again.
func (l *ledger) record(ctx context.Context, of subject, use v1alpha1.Access) (counted bool, err error) {
	e := &entry{access: use, done: make(chan outcome, 1)}
	l.account(of, e.pod()).enqueue(e)
	select {
	case o := <-e.done:
		return o.counted, o.err
	case <-ctx.Done():
		// The write may still happen; then the next call finds the pod counted.
		return false, ctx.Err()
	}
}

// account finds or makes the account of a UserSecret, and notes that the pod
// has to do with it.
func (l *ledger) account(of subject, pod types.UID) *account {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.accounts[of.uid]
	if !ok {
		if len(l.accounts) >= maxIdleAccounts {
			l.sweep()
		}
		a = newAccount(l.client, of, l.unsettled)
		l.accounts[of.uid] = a
	}
	if !slices.Contains(l.touched[pod], a) {
		l.touched[pod] = append(l.touched[pod], a)
	}
	return a
}

// sweep drops accounts that nobody uses now; they are read again when needed.
func (l *ledger) sweep() {
	for uid, a := range l.accounts {
		if a.idle() {
			delete(l.accounts, uid)
		}
	}
}

// served notes that the pod's Secret exists, so that its entries need not be
// kept in recentAccesses any longer.
func (l *ledger) served(pod types.UID) {
	for _, a := range l.touchedBy(pod) {
		a.served(pod)
	}
}

// forget drops what is known about a pod that is gone.
func (l *ledger) forget(pod types.UID) {
	for _, a := range l.touchedBy(pod) {
		a.forget(pod)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.touched, pod)
}

func (l *ledger) touchedBy(pod types.UID) []*account {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.touched[pod])
}
