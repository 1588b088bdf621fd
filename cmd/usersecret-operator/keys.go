package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/keyring"
)

const (
	// reloadEvery is how often each replica reads the key material again, for what
	// raises no event. It is shorter than the time that removed material stays.
	reloadEvery = 5 * time.Minute
	// contactEvery is how often a KMS is asked whether it still answers.
	contactEvery = time.Minute
)

// setupKeys keeps each replica's keyring current: a rotation is an event, a
// restored Secret is not.
func (p *parts) setupKeys(ctx context.Context) error {
	informer, err := p.manager.GetCache().GetInformer(ctx, &v1alpha1.EncryptionKey{})
	if err != nil {
		return fmt.Errorf("watching EncryptionKeys: %w", err)
	}
	f := &follower{keys: p.keys, changed: make(chan struct{}, 1)}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { f.ring() },
		UpdateFunc: func(before, after any) {
			if other(before, after) {
				f.ring()
			}
		},
		DeleteFunc: func(any) { f.ring() },
	}); err != nil {
		return fmt.Errorf("watching EncryptionKeys: %w", err)
	}
	if err := p.manager.Add(f); err != nil {
		return err
	}
	if !p.keys.Remote() {
		return nil
	}
	limit := p.options.rootKeyOfflineLimit
	every := contactEvery
	if limit > 0 {
		every = min(every, limit/4)
	}
	return p.manager.Add(&keyring.Contact{Keys: p.keys, Limit: limit, Every: every})
}

// other says whether a key's material or use changed, and not only its count.
func other(before, after any) bool {
	b, ok := before.(*v1alpha1.EncryptionKey)
	a, isKey := after.(*v1alpha1.EncryptionKey)
	return ok && isKey && (b.Status.KeyID != a.Status.KeyID || b.Status.Phase != a.Status.Phase || b.Status.RootKeyID != a.Status.RootKeyID || b.UID != a.UID)
}

// follower reloads the keyring.
type follower struct {
	keys    *keyring.Keyring
	changed chan struct{}
}

func (f *follower) ring() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// Start implements manager.Runnable.
func (f *follower) Start(ctx context.Context) error {
	ticker := time.NewTicker(reloadEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-f.changed:
		}
		if err := f.keys.Reload(ctx); err != nil && ctx.Err() == nil {
			ctrl.Log.WithName("keyring").Error(err, "reading key material again; the keys known stay")
		}
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (f *follower) NeedLeaderElection() bool { return false }
