package encryptionkey

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/keyring"
)

// reportAll writes the status of every EncryptionKey, makes the next one where it
// is due, and says when that will be.
func (r *Reconciler) reportAll(ctx context.Context) (time.Duration, error) {
	c, err := r.count(ctx)
	if err != nil {
		return 0, err
	}
	var objects v1alpha1.EncryptionKeyList
	if err := r.Client.List(ctx, &objects); err != nil {
		return 0, fmt.Errorf("listing EncryptionKeys: %w", err)
	}
	var failed []error
	for i := range objects.Items {
		object := &objects.Items[i]
		after := object.DeepCopy()
		after.Status = report(object, r.Keys.Keys(), r.Keys.Problem(object.Name), c, r.Clock.Now())
		failed = append(failed, r.patch(ctx, object, after))
		objects.Items[i] = *after
	}
	measure(objects.Items)
	due, err := r.schedule(ctx, objects.Items)
	return due, errors.Join(append(failed, err)...)
}

// counts are the UserSecrets by the id of the key that seals them.
type counts struct {
	byKey map[envelope.KeyID]int64
	total int64
}

// count counts in the cache.
func (r *Reconciler) count(ctx context.Context) (counts, error) {
	var list v1alpha1.UserSecretList
	if err := r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return counts{}, fmt.Errorf("listing UserSecrets: %w", err)
	}
	c := counts{byKey: map[envelope.KeyID]int64{}, total: int64(len(list.Items))}
	for i := range list.Items {
		c.byKey[envelope.KeyIDOf(list.Items[i].Spec.EncryptedValue)]++
	}
	return c, nil
}

// report says what a key is used for, and what is wrong with it.
func report(object *v1alpha1.EncryptionKey, keys []keyring.Key, problem error, c counts, now time.Time) v1alpha1.EncryptionKeyStatus {
	status := *object.Status.DeepCopy()
	status.ObservedGeneration = object.Generation
	status.SealedSecrets, status.Progress = c.byKey[envelope.KeyID(status.KeyID)], ""
	if status.KeyID == "" {
		status.Phase, status.SealedSecrets = v1alpha1.KeyPending, 0
	}
	for i, key := range keys {
		if key.Name != object.Name {
			continue
		}
		newest := i == len(keys)-1
		status.KeyID, status.SealedSecrets, status.RootKeyID = string(key.ID), c.byKey[key.ID], key.RootKeyID
		status.Sequence = sequence(key)
		status.Phase = phase(newest, status.SealedSecrets)
		if newest {
			status.Progress = fmt.Sprintf("%d/%d", status.SealedSecrets, c.total)
		}
	}
	if n := len(keys); status.Phase == v1alpha1.KeyActive && n > 0 && status.Sequence < sequence(keys[n-1]) {
		status.Phase = phase(false, status.SealedSecrets) // its material is lost, and a newer key took over
	}
	ready := readyCondition(status.KeyID, problem)
	ready.ObservedGeneration = object.Generation
	ready.LastTransitionTime = metav1.Time{Time: now.Truncate(time.Second)}
	meta.SetStatusCondition(&status.Conditions, ready)
	return status
}

func sequence(key keyring.Key) int64 { return int64(min(key.Sequence, math.MaxInt64)) }

func readyCondition(keyID string, problem error) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse}
	switch {
	case problem == nil && keyID != "":
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonMaterialLoaded, "The vault holds the key's material"
		return c
	case problem == nil:
		c.Reason, c.Message = v1alpha1.ReasonNoMaterial, "The key has no material yet"
		return c
	case errors.Is(problem, keyring.ErrMaterialLost):
		c.Reason = v1alpha1.ReasonMaterialMissing
	case errors.Is(problem, keyring.ErrWrongRootKey):
		c.Reason = v1alpha1.ReasonWrongRootKey
	case errors.Is(problem, keyring.ErrRootUnavailable):
		c.Reason = v1alpha1.ReasonRootKeyUnavailable
	default:
		c.Reason = v1alpha1.ReasonMaterialAltered
	}
	c.Message = problem.Error()
	return c
}

func phase(newest bool, sealed int64) v1alpha1.KeyPhase {
	switch {
	case newest:
		return v1alpha1.KeyActive
	case sealed > 0:
		return v1alpha1.KeyRetiring
	default:
		return v1alpha1.KeyRetired
	}
}

// patch writes a status that changed.
func (r *Reconciler) patch(ctx context.Context, before, after *v1alpha1.EncryptionKey) error {
	if equality.Semantic.DeepEqual(before.Status, after.Status) {
		return nil
	}
	if err := r.Client.Status().Patch(ctx, after, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reporting on EncryptionKey %q: %w", before.Name, err)
	}
	return nil
}
