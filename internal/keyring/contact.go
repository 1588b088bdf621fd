package keyring

import (
	"context"
	"fmt"
	"slices"
	"time"

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

	last time.Time // of contact
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
		return
	}
	log.FromContext(ctx).Info("no contact with the root key", "since", c.last, "because", err.Error())
	if c.Limit > 0 && now.Sub(c.last) >= c.Limit {
		c.Keys.lock(fmt.Errorf("%w since %s, longer than --root-key-offline-limit: %w", ErrRootUnavailable, c.last.UTC().Format(time.RFC3339), err))
	}
}

// ask has every root key in a KMS unwrap one material again that it unwrapped
// before: any refusal means that the KMS key is not there as it was. The API server
// is not asked, so that its absence stands for nothing. Where the keys were erased,
// they are loaded again instead.
func (k *Keyring) ask(ctx context.Context) error {
	if k.lockedFor() != nil {
		return k.unlock(ctx)
	}
	asked := map[string]bool{}
	for _, v := range k.atHand() {
		if !remoteID(v.RootKeyID) || asked[v.RootKeyID] {
			continue
		}
		asked[v.RootKeyID] = true
		m, err := k.store.unwrap(ctx, v.material.kind, v.material.name, v.RootKeyID, v.wrapped)
		clear(m.key)
		if err != nil {
			return err
		}
	}
	return nil
}

// atHand are the keys at hand and the identity key.
func (k *Keyring) atHand() []versionKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	all := slices.Clone(k.versions)
	if k.identity != nil {
		all = append(all, *k.identity)
	}
	return all
}

// lockedFor is why nothing is opened, or nil.
func (k *Keyring) lockedFor() error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.locked
}

// lock erases all keys; nothing is sealed or opened until unlock. It waits for a
// look that is under way, which would bring back what it erases.
func (k *Keyring) lock(why error) {
	k.reloading.Lock()
	defer k.reloading.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.locked == nil {
		k.locked = why
	}
	for i := range k.versions {
		k.versions[i].erase()
		k.problems[k.versions[i].Name] = k.locked
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
	if err := k.look(ctx); err != nil {
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
