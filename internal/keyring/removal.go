package keyring

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ErrActiveKey means that the key in use must not be removed.
var ErrActiveKey = errors.New("the active key cannot be removed")

// ApproveRemoval notes on the material of a key, which must not be the active
// one, that it may be removed once its EncryptionKey is gone. Without that note an
// EncryptionKey that vanishes is made again. No material is no error.
func (k *Keyring) ApproveRemoval(ctx context.Context, name string) error {
	return k.noteRemoval(ctx, name, k.clock.Now().UTC().Format(time.RFC3339))
}

// WithdrawRemoval takes that note back.
func (k *Keyring) WithdrawRemoval(ctx context.Context, name string) error {
	return k.noteRemoval(ctx, name, "")
}

func (k *Keyring) noteRemoval(ctx context.Context, name, note string) error {
	secret, err := k.removable(ctx, name)
	if err != nil || secret == nil || secret.Annotations[RemovalAnnotation] == note {
		return err
	}
	if secret.Annotations == nil {
		secret.Annotations = map[string]string{}
	}
	if secret.Annotations[RemovalAnnotation] = note; note == "" {
		delete(secret.Annotations, RemovalAnnotation)
	}
	if err := k.store.update(ctx, secret); err != nil {
		return err
	}
	return k.Reload(ctx)
}

// Remove deletes the material of a key whose removal was approved, for good.
// Only the leader calls it, when nothing is sealed with the key any more.
func (k *Keyring) Remove(ctx context.Context, name string) error {
	secret, err := k.removable(ctx, name)
	if err != nil || secret == nil {
		return err
	}
	if _, err := time.Parse(time.RFC3339, secret.Annotations[RemovalAnnotation]); err != nil {
		return fmt.Errorf("removing encryption key %q: its removal was not approved", name)
	}
	if err := k.store.remove(ctx, secret); err != nil {
		return err
	}
	return k.Reload(ctx)
}

// removable reads the Secret of a key that is not the active one; nil where there
// is none.
func (k *Keyring) removable(ctx context.Context, name string) (*corev1.Secret, error) {
	if active, err := k.Active(); err == nil && active.Name == name {
		return nil, fmt.Errorf("%w: %q seals new values", ErrActiveKey, name)
	}
	secret := &corev1.Secret{}
	err := k.store.client.Get(ctx, types.NamespacedName{Namespace: k.store.namespace, Name: SecretPrefix + name}, secret)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("reading Secret %q: %w", SecretPrefix+name, err)
	}
	if err != nil {
		return nil, nil
	}
	return secret, nil
}
