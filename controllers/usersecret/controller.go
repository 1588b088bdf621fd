// Package usersecret keeps the status of UserSecrets: whether the value opens,
// has expired, and may be given out, what it looks like masked, and when it
// last changed. It issues nothing.
//
// Of spec it writes encryptedValue alone, and only to seal the same value with a
// newer key. That is one half of a rotation; the other is controllers/encryptionkey.
// Nothing remembers how far a rotation is: each UserSecret says by its key id
// whether it is still to be done, so a process that dies only costs time.
package usersecret

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/internal/owner"
)

// FieldManager owns the part of status that this controller writes.
const FieldManager = "usersecret-operator/usersecret"

// workers bounds how many UserSecrets are worked on, and so resealed, at once.
const workers = 8

// +kubebuilder:rbac:groups=usersecrets.dev,resources=usersecrets,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=usersecrets.dev,resources=usersecrets/status,verbs=patch
// +kubebuilder:rbac:groups=usersecrets.dev,resources=secretproviders,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconciler reconciles UserSecrets.
type Reconciler struct {
	Client client.Client
	// Live reads past the cache, which keeps no managed fields.
	Live   client.Reader
	Keys   *keyring.Keyring
	Owners *owner.Resolver
	Events events.EventRecorder
	Clock  clock.PassiveClock
}

var _ reconcile.ObjectReconciler[*v1alpha1.UserSecret] = (*Reconciler)(nil)

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.UserSecret{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.UserSecret{}, handler.EnqueueRequestsFromMapFunc(r.siblings), builder.WithPredicates(rivalryChanged())).
		Watches(&v1alpha1.SecretProvider{}, handler.EnqueueRequestsFromMapFunc(r.ofProvider), builder.WithPredicates(predicate.GenerationChangedPredicate{}, afterStart())).
		Watches(owner.Metadata(), handler.EnqueueRequestsFromMapFunc(r.ofNamespace), builder.OnlyMetadata, builder.WithPredicates(predicate.AnnotationChangedPredicate{}, afterStart())).
		Watches(&v1alpha1.EncryptionKey{}, handler.EnqueueRequestsFromMapFunc(r.unopened), builder.WithPredicates(afterStart())).
		Watches(&v1alpha1.EncryptionKey{}, r.rotation(), builder.WithPredicates(activeChanged())).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(reconcile.AsReconciler(r.Client, r))
}

// Reconcile observes one UserSecret and reports what it saw in its status.
func (r *Reconciler) Reconcile(ctx context.Context, us *v1alpha1.UserSecret) (ctrl.Result, error) {
	if !us.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	s := &scope{userSecret: us, now: r.Clock.Now()}
	before := us.Status.DeepCopy()
	var after *v1alpha1.UserSecretStatus
	err := r.observe(ctx, s)
	if err == nil {
		err = r.carryOut(ctx, s)
	}
	if err == nil {
		after = report(s)
		err = r.applyStatus(ctx, s.userSecret, before, after)
	}
	switch {
	case apierrors.IsConflict(err), errors.Is(err, errStale):
		return ctrl.Result{RequeueAfter: staleRetry}, nil
	case apierrors.IsNotFound(err):
		return ctrl.Result{}, nil // gone meanwhile: there is nothing to tell of
	case err != nil:
		return ctrl.Result{}, fmt.Errorf("reporting: %w", err)
	}
	r.announce(s.userSecret, before, after)
	return ctrl.Result{RequeueAfter: untilNextLook(s)}, nil
}

// staleRetry is when to look again where the cache was behind the API server: by
// then it has caught up.
const staleRetry = 100 * time.Millisecond

// unknownKeyRetry is when to look again for a key that was not in the vault:
// what tells of it may come before the key does. Looking only reads.
const unknownKeyRetry = time.Minute

// Warnings are given this long before expiry.
var warnings = []time.Duration{7 * 24 * time.Hour, 24 * time.Hour}

// untilNextLook is the time until the report may change with nobody to tell of
// it; zero means never.
func untilNextLook(s *scope) time.Duration {
	waits := []time.Duration{untilNext(s.userSecret.Spec.ExpiresAt, s.now)}
	if s.rivalExpiresAt != nil {
		waits = append(waits, s.rivalExpiresAt.Sub(s.now))
	}
	if s.sealReason == v1alpha1.ReasonUnknownKey {
		waits = append(waits, unknownKeyRetry)
	}
	waits = slices.DeleteFunc(waits, func(wait time.Duration) bool { return wait <= 0 })
	if len(waits) == 0 {
		return 0
	}
	return slices.Min(waits)
}

// untilNext is the time until a value's own expiry changes the report; zero
// means never.
func untilNext(expiresAt *metav1.Time, now time.Time) time.Duration {
	if expiresAt == nil {
		return 0
	}
	for _, ahead := range append(warnings[:len(warnings):len(warnings)], 0) {
		if left := expiresAt.Add(-ahead).Sub(now); left > 0 {
			return left
		}
	}
	return 0
}

// afterStart passes over what is there at start, when every UserSecret is looked
// at anyway. What comes later counts: a provider, key or namespace may come back.
func afterStart() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return !e.IsInInitialList },
	}
}

// rivalryChanged passes what may decide which of several UserSecrets of one
// provider and type is given out.
func rivalryChanged() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return !e.IsInInitialList },
		UpdateFunc: func(e event.UpdateEvent) bool {
			return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration()
		},
	}
}

// siblings are the other UserSecrets of the same namespace, provider and type,
// where one alone of them is given out. Of a type that allows several, none has to
// do with another: looking at all of them for each that comes would take time with
// the square of their number.
func (r *Reconciler) siblings(ctx context.Context, object client.Object) []reconcile.Request {
	us, ok := object.(*v1alpha1.UserSecret)
	if !ok || r.allowsSeveral(ctx, us) {
		return nil
	}
	return r.requests(ctx, us.Namespace, func(other *v1alpha1.UserSecret) bool {
		return other.Name != us.Name && other.Spec.Provider == us.Spec.Provider && other.Spec.Type == us.Spec.Type
	})
}

// allowsSeveral says whether the catalogue surely does.
func (r *Reconciler) allowsSeveral(ctx context.Context, us *v1alpha1.UserSecret) bool {
	entry, err := r.observeCatalogue(ctx, &scope{userSecret: us})
	return err == nil && entry != nil && entry.AllowMultiple
}

func (r *Reconciler) ofProvider(ctx context.Context, object client.Object) []reconcile.Request {
	return r.requests(ctx, "", func(us *v1alpha1.UserSecret) bool { return us.Spec.Provider == object.GetName() })
}

func (r *Reconciler) ofNamespace(ctx context.Context, object client.Object) []reconcile.Request {
	return r.requests(ctx, object.GetName(), func(*v1alpha1.UserSecret) bool { return true })
}

// unopened are the UserSecrets whose key was not in the vault.
func (r *Reconciler) unopened(ctx context.Context, _ client.Object) []reconcile.Request {
	return r.requests(ctx, "", func(us *v1alpha1.UserSecret) bool {
		sealed := condition(us.Status.Conditions, v1alpha1.ConditionSealed)
		return sealed != nil && sealed.Reason == v1alpha1.ReasonUnknownKey
	})
}

func (r *Reconciler) requests(ctx context.Context, namespace string, wanted func(*v1alpha1.UserSecret) bool) []reconcile.Request {
	var list v1alpha1.UserSecretList
	if err := r.Client.List(ctx, &list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "listing UserSecrets", "namespace", namespace)
		return nil
	}
	var found []reconcile.Request
	for i := range list.Items {
		if wanted(&list.Items[i]) {
			found = append(found, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: list.Items[i].Namespace, Name: list.Items[i].Name}})
		}
	}
	return found
}
