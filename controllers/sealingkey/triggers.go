package sealingkey

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"usersecrets.dev/operator/api/v1alpha1"
)

func namespaceOf(_ context.Context, object client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: object.GetNamespace()}}}
}

// keyChanged passes an EncryptionKey whose material came to be or changed.
func keyChanged() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return !e.IsInInitialList },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(*v1alpha1.EncryptionKey)
			after, isKey := e.ObjectNew.(*v1alpha1.EncryptionKey)
			return ok && isKey && before.Status.KeyID != after.Status.KeyID
		},
	}
}

// all are the namespaces that have an owner.
func (r *Reconciler) all(ctx context.Context, _ client.Object) []reconcile.Request {
	namespaces := &metav1.PartialObjectMetadataList{}
	namespaces.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := r.Client.List(ctx, namespaces); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "listing namespaces")
		return nil
	}
	var requests []reconcile.Request
	for i := range namespaces.Items {
		if namespaces.Items[i].Annotations[r.Owners.Annotation] != "" {
			requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Name: namespaces.Items[i].Name}})
		}
	}
	return requests
}
