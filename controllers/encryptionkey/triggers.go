package encryptionkey

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
)

// countDelay gathers a burst of UserSecrets into one new count.
const countDelay = 2 * time.Second

// countSoon asks for a new count a little later. The count is of all keys, so
// it does not matter which one is asked for.
type countSoon struct{}

func (countSoon) enqueue(object client.Object, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	us, ok := object.(*v1alpha1.UserSecret)
	if !ok {
		return
	}
	if name := envelope.KeyIDOf(us.Spec.EncryptedValue).Name(); name != "" {
		queue.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}, countDelay)
	}
}

// Create implements handler.EventHandler.
func (h countSoon) Create(_ context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	h.enqueue(e.Object, q)
}

// Update implements handler.EventHandler.
func (h countSoon) Update(_ context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	h.enqueue(e.ObjectNew, q)
}

// Delete implements handler.EventHandler.
func (h countSoon) Delete(_ context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	h.enqueue(e.Object, q)
}

// Generic implements handler.EventHandler.
func (h countSoon) Generic(_ context.Context, e event.GenericEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	h.enqueue(e.Object, q)
}

// asked passes an EncryptionKey that is new, or that somebody asks something of.
func asked() predicate.Predicate {
	return predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})
}

// sealedWithAnother passes what changes a count. The initial list does not: the
// keys themselves are looked at then.
func sealedWithAnother() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return !e.IsInInitialList },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(*v1alpha1.UserSecret)
			after, isSecret := e.ObjectNew.(*v1alpha1.UserSecret)
			return ok && isSecret && envelope.KeyIDOf(before.Spec.EncryptedValue) != envelope.KeyIDOf(after.Spec.EncryptedValue)
		},
	}
}
