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
func (k *Keyring) Bootstrap(ctx context.Context) error {
	if err := k.Reload(ctx); err != nil {
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
	if _, err := k.store.create(ctx, newMaterial(kindEncryptionKey, FirstKeyName, 1)); err != nil {
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
	if _, err := k.store.create(ctx, newMaterial(kindIdentityKey, kindIdentityKey, 0)); err != nil {
		return err
	}
	return k.Reload(ctx)
}

// EnsureKey makes material for an EncryptionKey that has none yet, newest in
// sequence, and reports whether it did. Only the leader calls it. Errors:
// envelope.ErrKeyID for a name that no key id can have, and those of Reload.
func (k *Keyring) EnsureKey(ctx context.Context, name string) (bool, error) {
	if err := k.Reload(ctx); err != nil {
		return false, err
	}
	next := uint64(1)
	for _, key := range k.Keys() {
		if key.Name == name {
			return false, nil
		}
		next = max(next, key.Sequence+1)
	}
	m := newMaterial(kindEncryptionKey, name, next)
	// Stored under a name that no key id can have, it would keep every replica
	// from loading the other keys.
	if _, err := m.id(); err != nil {
		return false, fmt.Errorf("naming encryption key %q: %w", name, err)
	}
	created, err := k.store.create(ctx, m)
	if err != nil {
		return false, err
	}
	return created, k.Reload(ctx)
}
