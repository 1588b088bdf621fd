// Package encryptionkey gives every EncryptionKey its material and says what
// each key is used for: the newest is active and seals new values, older ones
// open what they sealed.
//
// Material is never removed here. An EncryptionKey that is gone while its
// material is there is made again, so that deleting the object loses nothing.
package encryptionkey

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/keyring"
)

// +kubebuilder:rbac:groups=usersecrets.dev,resources=encryptionkeys,verbs=get;list;watch;create
// +kubebuilder:rbac:groups=usersecrets.dev,resources=encryptionkeys/status,verbs=patch
// +kubebuilder:rbac:groups=usersecrets.dev,resources=usersecrets,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconciler reconciles EncryptionKeys.
type Reconciler struct {
	Client client.Client
	Keys   *keyring.Keyring
	Events events.EventRecorder
	Clock  clock.PassiveClock
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("encryptionkey").
		For(&v1alpha1.EncryptionKey{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(source.Func(r.enqueueVault)).
		Watches(&v1alpha1.UserSecret{}, countSoon{}, builder.WithPredicates(sealedWithAnother())).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1}).
		Complete(r)
}

// enqueueVault asks, at start, for every key that has material: its object may
// be gone.
func (r *Reconciler) enqueueVault(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	for _, key := range r.Keys.Keys() {
		queue.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: key.Name}})
	}
	return nil
}

// Reconcile gives one EncryptionKey its material, then reports on all of them:
// a new key changes what the others are used for.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (ctrl.Result, error) {
	object := &v1alpha1.EncryptionKey{}
	err := r.Client.Get(ctx, req.NamespacedName, object)
	if apierrors.IsNotFound(err) {
		return ctrl.Result{}, r.makeAgain(ctx, req.Name)
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("reading EncryptionKey %q: %w", req.Name, err)
	}
	made, err := r.Keys.EnsureKey(ctx, object.Name)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("making the material of EncryptionKey %q: %w", object.Name, err)
	}
	if made {
		r.Events.Eventf(object, nil, corev1.EventTypeNormal, "MaterialMade", "Generate", "New values are sealed with this key from now on")
	}
	return ctrl.Result{}, r.reportAll(ctx)
}

func (r *Reconciler) makeAgain(ctx context.Context, name string) error {
	for _, key := range r.Keys.Keys() {
		if key.Name != name {
			continue
		}
		object := &v1alpha1.EncryptionKey{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := r.Client.Create(ctx, object); client.IgnoreAlreadyExists(err) != nil {
			return fmt.Errorf("making EncryptionKey %q again: %w", name, err)
		}
	}
	return nil
}

func (r *Reconciler) reportAll(ctx context.Context) error {
	counts, err := r.sealedSecrets(ctx)
	if err != nil {
		return err
	}
	var objects v1alpha1.EncryptionKeyList
	if err := r.Client.List(ctx, &objects); err != nil {
		return fmt.Errorf("listing EncryptionKeys: %w", err)
	}
	var failed []error
	for i := range objects.Items {
		object := &objects.Items[i]
		failed = append(failed, r.patchStatus(ctx, object, report(object, r.Keys.Keys(), counts, r.Clock.Now())))
	}
	return errors.Join(failed...)
}

// sealedSecrets counts UserSecrets by the id of the key that seals them.
func (r *Reconciler) sealedSecrets(ctx context.Context) (map[envelope.KeyID]int64, error) {
	var list v1alpha1.UserSecretList
	if err := r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing UserSecrets: %w", err)
	}
	counts := map[envelope.KeyID]int64{}
	for i := range list.Items {
		counts[sealedWith(&list.Items[i])]++
	}
	return counts, nil
}

// report says what a key is used for.
func report(object *v1alpha1.EncryptionKey, keys []keyring.Key, counts map[envelope.KeyID]int64, now time.Time) v1alpha1.EncryptionKeyStatus {
	status := *object.Status.DeepCopy()
	status.ObservedGeneration = object.Generation
	status.Phase, status.KeyID, status.SealedSecrets = v1alpha1.KeyPending, "", 0
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonNoMaterial, Message: "The key has no material yet"}
	for i, key := range keys {
		if key.Name != object.Name {
			continue
		}
		status.KeyID, status.SealedSecrets = string(key.ID), counts[key.ID]
		status.Phase = phase(i == len(keys)-1, status.SealedSecrets)
		ready.Status, ready.Reason, ready.Message = metav1.ConditionTrue, v1alpha1.ReasonMaterialLoaded, "The vault holds the key's material"
	}
	ready.ObservedGeneration = object.Generation
	ready.LastTransitionTime = metav1.Time{Time: now.Truncate(time.Second)}
	meta.SetStatusCondition(&status.Conditions, ready)
	return status
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

func (r *Reconciler) patchStatus(ctx context.Context, object *v1alpha1.EncryptionKey, status v1alpha1.EncryptionKeyStatus) error {
	if equality.Semantic.DeepEqual(object.Status, status) {
		return nil
	}
	before := object.DeepCopy()
	object.Status = status
	if err := r.Client.Status().Patch(ctx, object, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reporting on EncryptionKey %q: %w", object.Name, err)
	}
	return nil
}
