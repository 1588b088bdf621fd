package keyring

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"usersecrets.dev/operator/api/v1alpha1"
)

// versionKey is a key at hand, with what it was unwrapped from.
type versionKey struct {
	Key
	material material
	wrapped  []byte
}

func (v *versionKey) erase() { clear(v.material.key) }

// Reload reads all material again. What stands in the vault and does not unwrap
// is a problem of that key alone, told by Problem: the others are taken, and a
// key that was at hand before stays at hand.
func (k *Keyring) Reload(ctx context.Context) error {
	k.reloading.Lock()
	defer k.reloading.Unlock()
	return k.reload(ctx)
}

func (k *Keyring) reload(ctx context.Context) error {
	found, err := k.store.load(ctx, k.remembered)
	if err != nil {
		return err
	}
	// A Retired key's object goes first, its material later. So objects are read
	// after material: one that is missing then was let go.
	var objects v1alpha1.EncryptionKeyList
	if err := k.store.client.List(ctx, &objects); err != nil {
		return fmt.Errorf("listing EncryptionKeys: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	next := assemble(found, objects.Items, k.versions, k.identity)
	k.drop(next)
	k.versions, k.identity, k.problems, k.sealing, k.rank = next.versions, next.identity, next.problems, next.sealing, next.rank
	return nil
}

// remembered is the material of a Secret that is as it was when last unwrapped.
func (k *Keyring) remembered(secret *corev1.Secret) (material, bool) {
	kind, name, err := filedAs(secret)
	if err != nil {
		return material{}, false
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	known := k.versions
	if k.identity != nil {
		known = append(slices.Clip(known), *k.identity)
	}
	for i := range known {
		m := known[i].material
		if m.kind == kind && m.name == name && m.checkPlace(secret) == nil && bytes.Equal(known[i].wrapped, secret.Data[WrappedField]) &&
			known[i].RootKeyID == string(secret.Data[RootKeyField]) {
			return m, true
		}
	}
	return material{}, false
}

// drop erases what is not at hand any more. Keys derived from it go too.
func (k *Keyring) drop(next assembly) {
	for i := range k.versions {
		old := &k.versions[i]
		if slices.ContainsFunc(next.versions, func(v versionKey) bool { return v.ID == old.ID }) {
			continue
		}
		old.erase()
		for _, ref := range k.users.Keys() {
			if ref.keyID == old.ID {
				k.users.Remove(ref)
			}
		}
	}
}

// assembly is what a look at the vault comes to.
type assembly struct {
	versions []versionKey
	identity *versionKey
	problems map[string]error
	sealing  error
	rank     uint64 // the highest sequence number that broken material claims
}

// assemble is pure: from what stands in the vault, the EncryptionKeys, and what
// is at hand, it says what will be.
func assemble(found []filed, objects []v1alpha1.EncryptionKey, before []versionKey, identity *versionKey) assembly {
	a := assembly{identity: identity, problems: map[string]error{}}
	for i := range found {
		f := &found[i]
		switch {
		case f.problem == nil:
			a.take(f)
		case f.kind == kindIdentityKey || f.secret.Name == kindIdentityKey:
			a.problems[kindIdentityKey] = f.problem
		default:
			a.problems[f.object()] = f.problem
			a.rank = max(a.rank, f.claims())
		}
	}
	a.noteLost(objects)
	a.keep(before)
	slices.SortFunc(a.versions, func(x, y versionKey) int {
		return cmp.Or(cmp.Compare(x.Sequence, y.Sequence), strings.Compare(x.Name, y.Name))
	})
	a.sealing = a.mayNotSeal(objects)
	return a
}

func (a *assembly) take(f *filed) {
	v := versionKey{material: f.material, wrapped: f.secret.Data[WrappedField]}
	v.RootKeyID = f.rootID()
	v.Removable, _ = f.removable()
	if f.kind == kindIdentityKey {
		a.identity = &v
		return
	}
	id, err := f.id()
	if err != nil {
		a.problems[f.object()] = fmt.Errorf("naming %s %q: %w", f.kind, f.name, err)
		return
	}
	if slices.ContainsFunc(a.versions, func(o versionKey) bool { return o.ID == id }) {
		a.problems[f.object()] = fmt.Errorf("%w: Secret %q holds encryption key %s a second time; delete it", ErrTampered, f.secret.Name, id)
		return
	}
	v.ID, v.Name, v.Sequence = id, f.object(), f.sequence
	a.versions = append(a.versions, v)
}

// noteLost: an EncryptionKey that had material must have it still.
func (a *assembly) noteLost(objects []v1alpha1.EncryptionKey) {
	for i := range objects {
		object := &objects[i]
		if object.Status.KeyID == "" || a.problems[object.Name] != nil || a.has(object.Status.KeyID) {
			continue
		}
		a.problems[object.Name] = fmt.Errorf("%w: Secret %q is gone or holds another key than %s; restore it from a backup", ErrMaterialLost, SecretPrefix+object.Name, object.Status.KeyID)
	}
}

func (a *assembly) has(id string) bool {
	return slices.ContainsFunc(a.versions, func(v versionKey) bool { return string(v.ID) == id })
}

// keep keeps what is at hand though what is stored is broken or gone by hand.
func (a *assembly) keep(before []versionKey) {
	for i := range before {
		if a.problems[before[i].Name] != nil && !a.has(string(before[i].ID)) {
			a.versions = append(a.versions, before[i])
		}
	}
}

// mayNotSeal: were an older key used in place of a newer one that is broken, what
// a rotation was made to end would begin again.
func (a *assembly) mayNotSeal(objects []v1alpha1.EncryptionKey) error {
	if n := len(a.versions); n > 0 && a.versions[n-1].Sequence < a.rank {
		return fmt.Errorf("%w: %w", ErrNewestKey, a.firstProblem())
	}
	for i := range objects {
		object := &objects[i]
		if object.Status.Phase == v1alpha1.KeyActive && a.problems[object.Name] != nil && !a.has(object.Status.KeyID) {
			return fmt.Errorf("%w: %w", ErrNewestKey, a.problems[object.Name])
		}
	}
	return nil
}

// firstProblem is that of the first key in the alphabet, or nil.
func (a *assembly) firstProblem() error {
	for _, name := range slices.Sorted(maps.Keys(a.problems)) {
		return a.problems[name]
	}
	return nil
}

// fatal is the problem that a start must not pass over: the operator was not
// given the right root keys, or cannot ask them.
func (k *Keyring) fatal() error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, sentinel := range []error{ErrWrongRootKey, ErrRootUnavailable} {
		for _, name := range slices.Sorted(maps.Keys(k.problems)) {
			if errors.Is(k.problems[name], sentinel) {
				return k.problems[name]
			}
		}
	}
	if len(k.versions) > 0 {
		return nil
	}
	a := assembly{problems: k.problems}
	return a.firstProblem()
}
