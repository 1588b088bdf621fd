package keyring

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// FirstKeyName is the name of the first EncryptionKey.
const FirstKeyName = "v1"

// ErrMaterialLost means that the cluster holds objects that need key material,
// but none of it. Making a new key would only hide the loss.
var ErrMaterialLost = errors.New("key material is missing")

// +kubebuilder:rbac:groups=usersecrets.dev,resources=encryptionkeys,verbs=get;list;watch;create
// +kubebuilder:rbac:groups=usersecrets.dev,resources=usersecrets,verbs=get;list;watch

// Bootstrap loads all material. Where the cluster holds neither a UserSecret,
// an EncryptionKey nor key material, it makes the first key; replicas that do
// so at once end up with the same one.
//
// Errors: ErrWrongRootKey, ErrRootUnavailable, ErrMaterialLost, and ErrTampered
// where no key unwraps. One that is broken among others is told by Problem.
func (k *Keyring) Bootstrap(ctx context.Context) error {
	if err := k.Reload(ctx); err != nil {
		return err
	}
	if err := k.fatal(); err != nil {
		return err
	}
	if len(k.Keys()) == 0 {
		if err := k.makeFirst(ctx); err != nil {
			return err
		}
	}
	return k.ensureIdentity(ctx)
}

func (k *Keyring) makeFirst(ctx context.Context) error {
	err := k.mustBeNew(ctx)
	if errors.Is(err, ErrMaterialLost) {
		// Looked for once more: another replica may have made the key since.
		if err := k.Reload(ctx); err != nil || len(k.Keys()) > 0 {
			return err
		}
	}
	if err != nil {
		return err
	}
	m := newMaterial(kindEncryptionKey, FirstKeyName, 1)
	defer clear(m.key)
	if _, err := k.store.create(ctx, m); err != nil {
		return err
	}
	return k.Reload(ctx)
}

// mustBeNew fails with ErrMaterialLost where the cluster has used keys before.
// The identity key counts too: it is only ever made after the first key.
func (k *Keyring) mustBeNew(ctx context.Context) error {
	if k.hasIdentity() {
		return k.lost("the identity key of its values")
	}
	for _, kind := range []string{"UserSecret", "EncryptionKey"} {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind + "List"))
		if err := k.store.client.List(ctx, list, client.Limit(1)); err != nil {
			return fmt.Errorf("looking for %ss: %w", kind, err)
		}
		if len(list.Items) > 0 {
			return k.lost(kind + "s")
		}
	}
	return nil
}

func (k *Keyring) lost(has string) error {
	return fmt.Errorf("%w: namespace %q holds no Secret labelled %s=%s, yet the cluster has %s; restore the key material from a backup",
		ErrMaterialLost, k.store.namespace, MaterialLabel, kindEncryptionKey, has)
}

func (k *Keyring) hasIdentity() bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.identity != nil
}

func (k *Keyring) ensureIdentity(ctx context.Context) error {
	if k.hasIdentity() {
		return nil
	}
	if err := k.Problem(kindIdentityKey); err != nil {
		return err
	}
	m := newMaterial(kindIdentityKey, kindIdentityKey, 0)
	defer clear(m.key)
	if _, err := k.store.create(ctx, m); err != nil {
		return err
	}
	return k.Reload(ctx)
}

// EnsureKey makes material for an EncryptionKey that never had any, newest in
// sequence, and reports whether it did. Only the leader calls it. Errors: the
// Problem of that key, envelope.ErrKeyID for a name that no key id can have, and
// those of Reload.
func (k *Keyring) EnsureKey(ctx context.Context, name string) (bool, error) {
	if err := k.Reload(ctx); err != nil {
		return false, err
	}
	if err := k.Problem(name); err != nil {
		return false, err
	}
	next := uint64(1)
	for _, key := range k.Keys() {
		if key.Name == name {
			return false, nil
		}
		next = max(next, key.Sequence+1)
	}
	// One that is broken or lost may be the newest; the new key must be newer still.
	k.mu.RLock()
	next = max(next, k.rank+1)
	k.mu.RUnlock()
	m := newMaterial(kindEncryptionKey, name, next)
	defer clear(m.key)
	created, err := k.store.create(ctx, m)
	if err != nil {
		return false, err
	}
	return created, k.Reload(ctx)
}
