package verification

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"usersecrets.dev/operator/api/v1alpha1"
)

// mayChangeWhatIsDue passes what a decision is made from, and not the uses of
// pods.
func mayChangeWhatIsDue() predicate.Predicate {
	return predicate.Funcs{
		DeleteFunc: func(event.DeleteEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(*v1alpha1.UserSecret)
			after, isUserSecret := e.ObjectNew.(*v1alpha1.UserSecret)
			return ok && isUserSecret && !sameToUs(before, after)
		},
	}
}

func sameToUs(a, b *v1alpha1.UserSecret) bool {
	const request = v1alpha1.VerifyRequestedAtAnnotation
	return a.UID == b.UID && a.Generation == b.Generation && a.Annotations[request] == b.Annotations[request] &&
		a.Status.ValueID == b.Status.ValueID &&
		meta.IsStatusConditionTrue(a.Status.Conditions, v1alpha1.ConditionSealed) == meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionSealed) &&
		equality.Semantic.DeepEqual(a.Status.Verification, b.Status.Verification) &&
		equality.Semantic.DeepEqual(verdictOf(a), verdictOf(b))
}

// forget drops what was found of a UserSecret that is gone.
func (r *Reconciler) forget(_ context.Context, e event.DeleteEvent, _ workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	r.found.drop(client.ObjectKeyFromObject(e.Object))
}

// afterStart passes over what is there at start, when every UserSecret is looked
// at anyway.
func afterStart() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return !e.IsInInitialList },
	}
}

// undecidedOf are the UserSecrets of a provider that it has said neither yes nor
// no to. A verdict stands, however often the catalogue is edited: it was the
// provider's, and to test all values again would be a storm on it.
func (r *Reconciler) undecidedOf(ctx context.Context, object client.Object) []reconcile.Request {
	var list v1alpha1.UserSecretList
	if err := r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "listing UserSecrets")
		return nil
	}
	var found []reconcile.Request
	for i := range list.Items {
		us := &list.Items[i]
		if us.Spec.Provider == object.GetName() && !decided(us) {
			found = append(found, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(us)})
		}
	}
	return found
}

func decided(us *v1alpha1.UserSecret) bool {
	verdict := verdictOf(us)
	return verdict != nil && (verdict.Reason == v1alpha1.ReasonAccepted || verdict.Reason == v1alpha1.ReasonRejected)
}
