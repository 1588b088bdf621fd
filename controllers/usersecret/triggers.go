package usersecret

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
)

// activeChanged passes an EncryptionKey that became the active one.
func activeChanged() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return !e.IsInInitialList },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(*v1alpha1.EncryptionKey)
			after, isKey := e.ObjectNew.(*v1alpha1.EncryptionKey)
			return ok && isKey && after.Status.Phase == v1alpha1.KeyActive && (before.Status.Phase != after.Status.Phase || before.Status.KeyID != after.Status.KeyID)
		},
	}
}

// rotation brings every UserSecret that another key seals, behind whatever else
// waits: somebody who stores a value meanwhile sees its status at once.
func (r *Reconciler) rotation() handler.EventHandler {
	enqueue := func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		for _, request := range r.sealedWithOthers(ctx) {
			low := handler.LowPriority
			if ordered, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
				ordered.AddWithOpts(priorityqueue.AddOpts{Priority: &low}, request)
				continue
			}
			queue.Add(request)
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, _ event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			enqueue(ctx, q)
		},
		UpdateFunc: func(ctx context.Context, _ event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			enqueue(ctx, q)
		},
	}
}

func (r *Reconciler) sealedWithOthers(ctx context.Context) []reconcile.Request {
	active, err := r.Keys.Active()
	if err != nil {
		return nil // the key's own status says so
	}
	var list v1alpha1.UserSecretList
	if err := r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "listing UserSecrets")
		return nil
	}
	var found []reconcile.Request
	for i := range list.Items {
		us := &list.Items[i]
		if id := envelope.KeyIDOf(us.Spec.EncryptedValue); id != "" && id != active.ID {
			found = append(found, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: us.Namespace, Name: us.Name}})
		}
	}
	return found
}
