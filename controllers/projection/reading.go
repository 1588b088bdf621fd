package projection

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// LookThrough returns a function that reads a projection as the API server holds
// it; its error is NotFound where there is none. api is a REST client for the
// core API group.
//
// The operator may neither get Secrets nor patch them: the API server answers a
// patch that it cannot decode with the whole object, before any policy is asked,
// so whoever may patch Secrets can read every one. It may delete them, and the dry
// run of a deletion that would wait for dependents changes nothing and answers
// with the object, after the policies have refused it for any Secret but ours.
func LookThrough(api rest.Interface) func(context.Context, types.NamespacedName) (*corev1.Secret, error) {
	return func(ctx context.Context, name types.NamespacedName) (*corev1.Secret, error) {
		secret := &corev1.Secret{}
		err := api.Delete().Namespace(name.Namespace).Resource("secrets").Name(name.Name).
			// In the address and not in the body, so that the audit log tells it
			// from a deletion.
			Param("dryRun", metav1.DryRunAll).Param("propagationPolicy", string(metav1.DeletePropagationForeground)).
			Do(ctx).Into(secret)
		if err != nil {
			return nil, err
		}
		undelete(secret)
		return secret, nil
	}
}

// undelete takes off what the deletion would have put on, so that the object can
// be written back.
func undelete(secret *corev1.Secret) {
	secret.DeletionTimestamp, secret.DeletionGracePeriodSeconds = nil, nil
	secret.Finalizers = slices.DeleteFunc(secret.Finalizers, func(finalizer string) bool {
		return finalizer == metav1.FinalizerDeleteDependents
	})
	secret.ManagedFields = nil // written back, they would be taken for a change
}
