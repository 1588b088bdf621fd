package policy

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// bindRole gives a user what the rules say, in a namespace, or everywhere where that is empty.
func bindRole(ctx context.Context, username, namespace string, rules ...rbacv1.PolicyRule) {
	GinkgoHelper()
	bind(ctx, clusterRole(ctx, rules...), namespace, user(username))
}

func user(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}
}

// clusterRole makes one and is its name.
func clusterRole(ctx context.Context, rules ...rbacv1.PolicyRule) string {
	GinkgoHelper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{GenerateName: "policy-test-"}, Rules: rules}
	Expect(admin.Create(ctx, role)).To(Succeed())
	return role.Name
}

func bind(ctx context.Context, role, namespace string, subject rbacv1.Subject) {
	GinkgoHelper()
	bindKind(ctx, "ClusterRole", role, namespace, subject)
}

func bindKind(ctx context.Context, kind, role, namespace string, subject rbacv1.Subject) {
	GinkgoHelper()
	meta := metav1.ObjectMeta{GenerateName: "policy-test-", Namespace: namespace}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role}
	if namespace == "" {
		Expect(admin.Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: meta, RoleRef: ref, Subjects: []rbacv1.Subject{subject},
		})).To(Succeed())
		return
	}
	Expect(admin.Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: meta, RoleRef: ref, Subjects: []rbacv1.Subject{subject},
	})).To(Succeed())
}

// allowed asks the API server whether RBAC lets the user, in no group but system:authenticated.
func allowed(ctx context.Context, username string, request *authorizationv1.ResourceAttributes) bool {
	GinkgoHelper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: username, Groups: []string{"system:authenticated"}, ResourceAttributes: request,
	}}
	Expect(admin.Create(ctx, review)).To(Succeed())
	return review.Status.Allowed
}
