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

// is says whether both hold the same copy of the key.
func (v *versionKey) is(o *versionKey) bool { return &v.material.key[0] == &o.material.key[0] }

// Reload reads all material again. What stands in the vault and does not unwrap
// is a problem of that key alone, told by Problem: the others are taken, and a
// key that was at hand before stays at hand. Keys that were erased because their
// KMS is out of reach stay erased: ErrRootUnavailable.
func (k *Keyring) Reload(ctx context.Context) error {
	k.reloading.Lock()
	defer k.reloading.Unlock()
	return k.reload(ctx)
}

func (k *Keyring) reload(ctx context.Context) error {
	if err := k.lockedFor(); err != nil {
		return err
	}
	return k.look(ctx)
}

func (k *Keyring) look(ctx context.Context) error {
	// A key's material is made before its object tells the key id, and goes after
	// the object. So a key whose object tells the same before and after all
	// material was read must have been in it.
	before, err := k.objects(ctx)
	if err != nil {
		return err
	}
	found, err := k.store.load(ctx, k.remembered)
	if err != nil {
		return err
	}
	after, err := k.objects(ctx)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	next := assemble(found, both(before, after), k.versions, k.identity)
	k.drop(next)
	k.versions, k.identity, k.problems, k.sealing, k.rank = next.versions, next.identity, next.problems, next.sealing, next.rank
	return nil
}

func (k *Keyring) objects(ctx context.Context) ([]v1alpha1.EncryptionKey, error) {
	var list v1alpha1.EncryptionKeyList
	if err := k.store.client.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("listing EncryptionKeys: %w", err)
	}
	return list.Items, nil
}

// both are the EncryptionKeys, as they are after, that told the same key id before.
func both(before, after []v1alpha1.EncryptionKey) []v1alpha1.EncryptionKey {
	told := map[string]string{}
	for i := range before {
		told[before[i].Name] = before[i].Status.KeyID
	}
	return slices.DeleteFunc(after, func(o v1alpha1.EncryptionKey) bool {
		id, ok := told[o.Name]
		return !ok || id != o.Status.KeyID
	})
}

// remembered is the material of a Secret that is as it was when last unwrapped.
func (k *Keyring) remembered(secret *corev1.Secret) (material, bool) {
	kind, name, err := filedAs(secret)
	if err != nil {
		return material{}, false
	}
	for _, known := range k.atHand() {
		m := known.material
		if m.kind == kind && m.name == name && m.checkPlace(secret) == nil && bytes.Equal(known.wrapped, secret.Data[WrappedField]) &&
			known.RootKeyID == string(secret.Data[RootKeyField]) {
			return m, true
		}
	}
	return material{}, false
}

// drop erases what is not at hand any more, copies that were unwrapped again too.
// Keys derived from a key that is gone go with it.
func (k *Keyring) drop(next assembly) {
	if k.identity != nil && !k.identity.is(next.identity) {
		k.identity.erase()
	}
	for i := range k.versions {
		old := &k.versions[i]
		at := slices.IndexFunc(next.versions, func(v versionKey) bool { return v.ID == old.ID })
		if at >= 0 && old.is(&next.versions[at]) {
			continue
		}
		old.erase()
		if at >= 0 {
			continue
		}
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
	rank     uint64 // the highest sequence number of what is broken or lost
	missing  error  // what is wrong with that one
}

// miss notes that the key of a sequence number is broken or lost.
func (a *assembly) miss(sequence uint64, problem error) {
	if sequence > a.rank {
		a.rank, a.missing = sequence, problem
	}
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
		case f.secret.Name == kindIdentityKey: // whatever it is labelled as
			a.problems[kindIdentityKey] = f.problem
		default:
			a.problems[f.object()] = f.problem
			a.miss(f.claims(), f.problem)
		}
	}
	a.noteLost(objects)
	a.keep(before)
	slices.SortFunc(a.versions, func(x, y versionKey) int {
		return cmp.Or(cmp.Compare(x.Sequence, y.Sequence), strings.Compare(x.Name, y.Name), strings.Compare(string(x.ID), string(y.ID)))
	})
	a.sealing = a.mayNotSeal()
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
		if object.Status.KeyID == "" || a.has(object.Status.KeyID) {
			continue
		}
		if a.problems[object.Name] == nil {
			a.problems[object.Name] = fmt.Errorf("%w: Secret %q is gone or holds another key than %s; restore it from a backup", ErrMaterialLost, SecretPrefix+object.Name, object.Status.KeyID)
		}
		a.miss(uint64(max(object.Status.Sequence, 0)), a.problems[object.Name])
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
func (a *assembly) mayNotSeal() error {
	if n := len(a.versions); n > 0 && a.versions[n-1].Sequence < a.rank {
		return fmt.Errorf("%w: %w", ErrNewestKey, a.missing)
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
	for _, name := range slices.Sorted(maps.Keys(k.problems)) {
		return k.problems[name]
	}
	return nil
}
