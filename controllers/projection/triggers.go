package projection

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/inject"
)

// afterStart passes over the initial list: every pod is looked at then anyway.
func afterStart() predicate.Predicate {
	return predicate.Funcs{CreateFunc: func(e event.CreateEvent) bool { return !e.IsInInitialList }}
}

// specChanged passes changes of a spec, and an object that took the place of
// another while the watch was broken: both have generation 1.
func specChanged() predicate.Predicate {
	replaced := predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetUID() != e.ObjectNew.GetUID()
	}}
	return predicate.Or(predicate.GenerationChangedPredicate{}, replaced)
}

// podsOfUserSecret are the pods that a UserSecret may be meant by.
func (r *Reconciler) podsOfUserSecret(ctx context.Context, object client.Object) []reconcile.Request {
	us, ok := object.(*v1alpha1.UserSecret)
	if !ok {
		return nil
	}
	return r.pods(ctx, us.Namespace, func(pod *corev1.Pod) bool {
		return r.asks(pod, func(item inject.Item) bool {
			return item.Name == us.Name || item.Provider == us.Spec.Provider
		})
	})
}

// podsOfProvider are all pods that may wait for a provider's entry.
func (r *Reconciler) podsOfProvider(ctx context.Context, object client.Object) []reconcile.Request {
	return r.pods(ctx, "", func(pod *corev1.Pod) bool {
		return r.asks(pod, func(item inject.Item) bool { return item.Name != "" || item.Provider == object.GetName() })
	})
}

func (r *Reconciler) podsOfNamespace(ctx context.Context, object client.Object) []reconcile.Request {
	return r.pods(ctx, object.GetName(), func(*corev1.Pod) bool { return true })
}

func (r *Reconciler) asks(pod *corev1.Pod, wanted func(inject.Item) bool) bool {
	items, err := inject.ParseList(pod.Annotations[v1alpha1.InjectAnnotation])
	if err != nil {
		return true // it may have been readable when the projection was issued
	}
	for _, item := range items {
		if wanted(item) {
			return true
		}
	}
	return false
}

func (r *Reconciler) pods(ctx context.Context, namespace string, wanted func(*corev1.Pod) bool) []reconcile.Request {
	var list corev1.PodList
	if err := r.Cache.List(ctx, &list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "listing pods", "namespace", namespace)
		return nil
	}
	var found []reconcile.Request
	for i := range list.Items {
		pod := &list.Items[i]
		if !done(pod) && wanted(pod) {
			found = append(found, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}})
		}
	}
	return found
}
