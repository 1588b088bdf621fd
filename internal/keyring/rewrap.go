package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// errRewrap means that a new wrap did not open to what was wrapped.
var errRewrap = errors.New("the new root key does not unwrap what it wrapped")

// Rewrap wraps all material by the first root key that is not yet, the identity
// key too, and says how many Secrets it wrote. What does not unwrap now is left as
// it is, and is an error. Nothing is written that was not unwrapped again first.
func (k *Keyring) Rewrap(ctx context.Context) (int, error) {
	k.reloading.Lock()
	defer k.reloading.Unlock()
	if err := k.lockedFor(); err != nil {
		return 0, err
	}
	found, err := k.store.load(ctx, k.remembered)
	if err != nil {
		return 0, err
	}
	written := 0
	var failed []error
	for i := range found {
		f := &found[i]
		if f.problem != nil {
			failed = append(failed, f.problem)
			continue
		}
		if f.rootID() == k.store.roots[0].ID() {
			continue
		}
		if err := k.store.rewrap(ctx, f); err != nil {
			failed = append(failed, err)
			continue
		}
		written++
	}
	return written, errors.Join(append(failed, k.reload(ctx))...)
}

func (s *store) rewrap(ctx context.Context, f *filed) error {
	root := s.roots[0]
	wrapped, err := f.wrap(ctx, root)
	if err != nil {
		return err
	}
	again, err := unwrap(ctx, root, f.kind, f.name, wrapped)
	if err != nil {
		return fmt.Errorf("wrapping %s %q: %w: %w", f.kind, f.name, errRewrap, err)
	}
	defer clear(again.key)
	if again.sequence != f.sequence || !bytes.Equal(again.key, f.key) {
		return fmt.Errorf("wrapping %s %q: %w", f.kind, f.name, errRewrap)
	}
	f.secret.Data[WrappedField], f.secret.Data[RootKeyField] = wrapped, []byte(root.ID())
	return s.update(ctx, f.secret)
}
