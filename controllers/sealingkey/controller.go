// Package sealingkey publishes, in every user namespace, the public key that
// values for its owner are sealed with. It follows the Namespace's owner and
// the vault's active key; a namespace without owner has no SealingKey.
package sealingkey

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/internal/owner"
)

// +kubebuilder:rbac:groups=usersecrets.dev,resources=sealingkeys,verbs=get;list;watch;create;update;delete
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconciler reconciles the SealingKey of a Namespace.
type Reconciler struct {
	Client client.Client
	Keys   *keyring.Keyring
	Owners *owner.Resolver
	Events events.EventRecorder
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("sealingkey").
		For(owner.Metadata(), builder.OnlyMetadata, builder.WithPredicates(predicate.AnnotationChangedPredicate{})).
		Watches(&v1alpha1.SealingKey{}, handler.EnqueueRequestsFromMapFunc(namespaceOf), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.EncryptionKey{}, handler.EnqueueRequestsFromMapFunc(r.all), builder.WithPredicates(keyChanged())).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}).
		Complete(r)
}

// Reconcile makes the SealingKey of one namespace what it should be.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (ctrl.Result, error) {
	namespace := req.Name
	ns := owner.Metadata()
	if err := r.Client.Get(ctx, types.NamespacedName{Name: namespace}, ns); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !ns.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	current, err := r.current(ctx, namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	// A new leader may not know of a rotation that its forerunner began; what was
	// published must not go back.
	if current != nil && !r.Keys.Has(envelope.KeyID(current.Spec.KeyID)) {
		if err := r.Keys.Reload(ctx); err != nil {
			return ctrl.Result{}, err
		}
	}
	wanted, err := r.wanted(ctx, namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, r.apply(ctx, current, wanted)
}

// current is the SealingKey that is there, or nil.
func (r *Reconciler) current(ctx context.Context, namespace string) (*v1alpha1.SealingKey, error) {
	key := &v1alpha1.SealingKey{}
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: v1alpha1.SealingKeyName}, key)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the sealing key: %w", err)
	}
	return key, nil
}

// wanted is the SealingKey that should be there, or nil.
func (r *Reconciler) wanted(ctx context.Context, namespace string) (*v1alpha1.SealingKey, error) {
	name, err := r.Owners.Of(ctx, namespace)
	if errors.Is(err, owner.ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	public, err := r.Keys.PublicKey(name)
	if err != nil {
		return nil, fmt.Errorf("deriving the public key of namespace %q: %w", namespace, err)
	}
	return &v1alpha1.SealingKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.SealingKeyName},
		Spec: v1alpha1.SealingKeySpec{
			Owner:       name,
			KeyID:       string(public.KeyID()),
			PublicKey:   public.Bytes(),
			Fingerprint: public.Fingerprint(),
		},
	}, nil
}

func (r *Reconciler) apply(ctx context.Context, current, wanted *v1alpha1.SealingKey) error {
	switch {
	case current == nil && wanted == nil:
		return nil
	case wanted == nil:
		return client.IgnoreNotFound(r.Client.Delete(ctx, current, client.Preconditions{UID: &current.UID}))
	case current == nil:
		return r.create(ctx, wanted)
	case equality.Semantic.DeepEqual(current.Spec, wanted.Spec):
		return nil
	}
	updated := current.DeepCopy()
	updated.Spec = wanted.Spec
	if err := r.Client.Update(ctx, updated); err != nil {
		return fmt.Errorf("publishing the sealing key: %w", err)
	}
	r.announce(updated, "Replaced")
	return nil
}

// create passes over what only time or an event mends: a cache that lags behind
// our own write, and a namespace that is going.
func (r *Reconciler) create(ctx context.Context, key *v1alpha1.SealingKey) error {
	err := r.Client.Create(ctx, key)
	switch {
	case apierrors.IsAlreadyExists(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	case err != nil:
		return fmt.Errorf("publishing the sealing key: %w", err)
	}
	r.announce(key, "Published")
	return nil
}

func (r *Reconciler) announce(key *v1alpha1.SealingKey, reason string) {
	r.Events.Eventf(key, nil, corev1.EventTypeNormal, reason, "Publish", "Values for %s are sealed with key %s, fingerprint %s", key.Spec.Owner, key.Spec.KeyID, key.Spec.Fingerprint)
}
