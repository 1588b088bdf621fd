package cli

import (
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// ownerRole is the ClusterRole of a namespace's owner, and the name of the
// RoleBinding to it.
const ownerRole = "usersecret-owner"

// onboarding is what gives a user a namespace.
type onboarding struct {
	namespace *unstructured.Unstructured
	binding   *unstructured.Unstructured
}

func newOnboarding(user, namespace, annotation string) (*onboarding, error) {
	owned, err := asManifest(corev1.SchemeGroupVersion.WithKind("Namespace"), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{
			Name:        namespace,
			Annotations: map[string]string{annotation: user},
		},
	})
	if err != nil {
		return nil, err
	}
	subject, err := subjectOf(user)
	if err != nil {
		return nil, err
	}
	binding, err := asManifest(rbacv1.SchemeGroupVersion.WithKind("RoleBinding"), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: ownerRole},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: ownerRole},
		Subjects:   []rbacv1.Subject{subject},
	})
	if err != nil {
		return nil, err
	}
	return &onboarding{namespace: owned, binding: binding}, nil
}
