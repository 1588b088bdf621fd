package keyring

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Contact keeps in touch with root keys in a KMS. Keys that were unwrapped once
// stay in memory, so that a KMS that is away breaks nothing; Limit bounds for how
// long, so that who takes the KMS key away takes the vault with it.
type Contact struct {
	Keys *Keyring
	// Limit is how long keys are kept without contact; 0 means for ever.
	Limit time.Duration
	// Every is how often the KMS is asked.
	Every time.Duration

	last time.Time
}

// Start implements manager.Runnable.
func (c *Contact) Start(ctx context.Context) error {
	c.last = c.Keys.clock.Now()
	ticker := time.NewTicker(c.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			c.Check(ctx)
		}
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: each replica
// holds keys of its own.
func (c *Contact) NeedLeaderElection() bool { return false }

// Check asks once, and acts on the answer: after Limit without contact the keys
// are erased, with contact they are there again.
func (c *Contact) Check(ctx context.Context) {
	now := c.Keys.clock.Now()
	err := c.Keys.ask(ctx)
	if err == nil {
		c.last = now
		if err := c.Keys.unlock(ctx); err != nil {
			log.FromContext(ctx).Error(err, "the root key answers again, but the vault does not open")
		}
		return
	}
	log.FromContext(ctx).Info("the root key cannot be reached", "since", c.last, "because", err.Error())
	if c.Limit > 0 && now.Sub(c.last) >= c.Limit {
		c.Keys.lock(fmt.Errorf("%w since %s, longer than --root-key-offline-limit: %w", ErrRootUnavailable, c.last.UTC().Format(time.RFC3339), err))
	}
}

// ask unwraps one Secret by every root key in a KMS that wraps something.
func (k *Keyring) ask(ctx context.Context) error {
	found, err := k.store.load(ctx, func(secret *corev1.Secret) (material, bool) {
		// Local root keys need no asking, and their material no second copy.
		return material{}, !remoteID(string(secret.Data[RootKeyField]))
	})
	if err != nil {
		return nil // the API server is away, which says nothing about the KMS
	}
	for i := range found {
		clear(found[i].key)
		if found[i].problem != nil && remoteID(found[i].rootID()) {
			return found[i].problem
		}
	}
	return nil
}

// lock erases all keys; nothing is sealed or opened until unlock.
func (k *Keyring) lock(why error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.locked != nil {
		return
	}
	k.locked = why
	for i := range k.versions {
		k.versions[i].erase()
	}
	if k.identity != nil {
		k.identity.erase()
	}
	k.versions, k.identity = nil, nil
	k.users.Purge()
}

// unlock loads the keys again where they were erased.
func (k *Keyring) unlock(ctx context.Context) error {
	k.reloading.Lock()
	defer k.reloading.Unlock()
	k.mu.RLock()
	locked := k.locked
	k.mu.RUnlock()
	if locked == nil {
		return nil
	}
	if err := k.reload(ctx); err != nil {
		return err
	}
	if err := k.fatal(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.locked = nil
	return nil
}

// Remote says whether a root key lies in a KMS.
func (k *Keyring) Remote() bool {
	for _, root := range k.store.roots {
		if isRemote(root) {
			return true
		}
	}
	return false
}
