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
	if err := k.checkInactive(name); err != nil {
		return err
	}
	return k.noteRemoval(ctx, name, k.clock.Now().UTC().Format(time.RFC3339))
}

// WithdrawRemoval takes that note back.
func (k *Keyring) WithdrawRemoval(ctx context.Context, name string) error {
	return k.noteRemoval(ctx, name, "")
}

func (k *Keyring) noteRemoval(ctx context.Context, name, note string) error {
	secret, err := k.store.find(ctx, name)
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
	if err := k.checkInactive(name); err != nil {
		return err
	}
	secret, err := k.store.find(ctx, name)
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

// checkInactive: the active key stays. Where nothing is sealed since the newest is
// missing, no key is active; where no key is at hand, nobody can tell.
func (k *Keyring) checkInactive(name string) error {
	active, err := k.Active()
	switch {
	case errors.Is(err, ErrNewestKey):
		return nil
	case err != nil:
		return err
	case active.Name == name:
		return fmt.Errorf("%w: %q seals new values", ErrActiveKey, name)
	}
	return nil
}

// find reads the Secret of an encryption key; nil where there is none.
func (s *store) find(ctx context.Context, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	err := s.client.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: SecretPrefix + name}, secret)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("reading Secret %q: %w", SecretPrefix+name, err)
	}
	if err != nil {
		return nil, nil
	}
	return secret, nil
}
