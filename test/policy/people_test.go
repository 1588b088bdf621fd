package policy

import (
	"context"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/api/v1alpha1"
)

var (
	reads  = []string{"get", "list", "watch"}
	writes = []string{"create", "update", "patch", "delete"}
	all    = append(append([]string{"deletecollection"}, reads...), writes...)
)

// may is whether RBAC lets a user do each of the verbs; where it differs from verb to verb, that fails the test.
func may(ctx context.Context, username, namespace, group, resource string, verbs []string) bool {
	GinkgoHelper()
	answers := map[bool][]string{}
	for _, verb := range verbs {
		answer := allowed(ctx, username, &authorizationv1.ResourceAttributes{
			Verb: verb, Group: group, Resource: resource, Namespace: namespace,
		})
		answers[answer] = append(answers[answer], verb)
	}
	Expect(answers).To(HaveLen(1), "%s on %s: allowed %v, not allowed %v", username, resource, answers[true], answers[false])
	return len(answers[true]) > 0
}

var _ = Describe("The roles for people", Ordered, func() {
	const group = "usersecrets.dev"
	var home, foreign string

	BeforeAll(func(ctx context.Context) {
		makeOperatorNamespace(ctx)
		for _, role := range []string{"auditor", "catalogue_reader", "delegate", "key_admin", "onboarder", "owner"} {
			apply(ctx, filepath.Join(configFolder, "rbac", "usersecret_"+role+".yaml"))
		}
		home, foreign = newNamespace(ctx), newNamespace(ctx)
		bind(ctx, "usersecret-owner", home, user("test:owner"))
		bind(ctx, "usersecret-delegate", home, user("test:delegate"))
		bind(ctx, "usersecret-auditor", "", user("test:auditor"))
		bind(ctx, "usersecret-onboarder", "", user("test:onboarder"))
		bind(ctx, "usersecret-key-admin", "", user("test:key-admin"))
		bindKind(ctx, "Role", "usersecret-key-backup", v1alpha1.OperatorNamespace, user("test:key-backup"))

		Eventually(ctx, func(ctx context.Context) bool {
			return may(ctx, "test:owner", home, group, "usersecrets", reads) &&
				may(ctx, "test:delegate", home, group, "usersecrets", reads) &&
				may(ctx, "test:auditor", home, group, "usersecrets", reads) &&
				may(ctx, "test:onboarder", "", "", "namespaces", reads) &&
				may(ctx, "test:key-admin", "", group, "encryptionkeys", reads) &&
				may(ctx, "test:key-backup", v1alpha1.OperatorNamespace, "", "secrets", []string{"get", "list"}) &&
				may(ctx, bob, "", group, "secretproviders", reads)
		}).WithTimeout(enforcementTimeout).WithPolling(enforcementPoll).Should(BeTrue())
	})

	It("let the owner write UserSecrets, and see what becomes of them", func(ctx context.Context) {
		Expect(may(ctx, "test:owner", home, group, "usersecrets", writes)).To(BeTrue())
		for _, resource := range []string{"pods", "events"} {
			Expect(may(ctx, "test:owner", home, "", resource, reads)).To(BeTrue(), resource)
			Expect(may(ctx, "test:owner", home, "", resource, writes)).To(BeFalse(), resource)
		}
		Expect(may(ctx, "test:owner", home, group, "sealingkeys", reads)).To(BeTrue())
		Expect(may(ctx, "test:owner", home, group, "sealingkeys", writes)).To(BeFalse())
	})

	It("keep the owner from Secrets, status and everybody else's namespace", func(ctx context.Context) {
		Expect(may(ctx, "test:owner", home, "", "secrets", all)).To(BeFalse())
		Expect(may(ctx, "test:owner", home, group, "usersecrets/status", writes)).To(BeFalse())
		Expect(may(ctx, "test:owner", home, group, "usersecrets", []string{v1alpha1.DelegateVerb})).To(BeFalse())
		Expect(may(ctx, "test:owner", foreign, group, "usersecrets", all)).To(BeFalse())
		Expect(may(ctx, "test:owner", home, "", "namespaces", []string{v1alpha1.AssignOwnerVerb})).To(BeFalse())
	})

	It("let a delegate write UserSecrets where it is one, and no more", func(ctx context.Context) {
		Expect(may(ctx, "test:delegate", home, group, "usersecrets", append(writes, v1alpha1.DelegateVerb))).To(BeTrue())
		Expect(may(ctx, "test:delegate", foreign, group, "usersecrets", append(all, v1alpha1.DelegateVerb))).To(BeFalse())
		Expect(may(ctx, "test:delegate", home, "", "secrets", all)).To(BeFalse())
	})

	It("let an auditor see all of it and change none of it", func(ctx context.Context) {
		for _, resource := range []string{"usersecrets", "sealingkeys", "encryptionkeys", "secretproviders", "usersecrets/status"} {
			Expect(may(ctx, "test:auditor", foreign, group, resource, reads)).To(BeTrue(), resource)
			Expect(may(ctx, "test:auditor", foreign, group, resource, append(writes, v1alpha1.DelegateVerb))).To(BeFalse(), resource)
		}
		for _, resource := range []string{"namespaces", "pods", "events"} {
			Expect(may(ctx, "test:auditor", foreign, "", resource, reads)).To(BeTrue(), resource)
			Expect(may(ctx, "test:auditor", foreign, "", resource, writes)).To(BeFalse(), resource)
		}
		Expect(may(ctx, "test:auditor", foreign, "", "secrets", all)).To(BeFalse())
	})

	It("show the catalogue to everyone, and let nobody write it", func(ctx context.Context) {
		for _, username := range []string{bob, "test:owner", "test:auditor", "test:delegate"} {
			Expect(may(ctx, username, "", group, "secretproviders", reads)).To(BeTrue(), username)
			Expect(may(ctx, username, "", group, "secretproviders", writes)).To(BeFalse(), username)
		}
		Expect(may(ctx, bob, home, group, "usersecrets", all)).To(BeFalse())
	})

	It("let a key admin rotate and retire keys, and see what they seal, but no material", func(ctx context.Context) {
		Expect(may(ctx, "test:key-admin", "", group, "encryptionkeys", []string{"get", "list", "watch", "create", "patch", "delete"})).To(BeTrue())
		Expect(may(ctx, "test:key-admin", "", group, "encryptionkeys", []string{"update", "deletecollection"})).To(BeFalse())
		Expect(may(ctx, "test:key-admin", "", group, "encryptionkeys/status", writes)).To(BeFalse())
		Expect(may(ctx, "test:key-admin", home, group, "usersecrets", []string{"get", "list"})).To(BeTrue())
		Expect(may(ctx, "test:key-admin", home, group, "usersecrets", append(writes, v1alpha1.DelegateVerb))).To(BeFalse())
		for _, namespace := range []string{"", home, v1alpha1.OperatorNamespace} {
			Expect(may(ctx, "test:key-admin", namespace, "", "secrets", all)).To(BeFalse(), namespace)
		}
	})

	It("let who backs up and restores read and make key material in the operator's namespace alone, and change none", func(ctx context.Context) {
		Expect(may(ctx, "test:key-backup", v1alpha1.OperatorNamespace, "", "secrets", []string{"get", "list", "create"})).To(BeTrue())
		Expect(may(ctx, "test:key-backup", v1alpha1.OperatorNamespace, "", "secrets", []string{"update", "patch", "delete", "deletecollection"})).To(BeFalse())
		Expect(may(ctx, "test:key-backup", home, "", "secrets", all)).To(BeFalse())
		Expect(may(ctx, "test:key-backup", "", group, "encryptionkeys", all)).To(BeFalse())
	})

	It("let an onboarder give a new namespace to its owner, and no other rights", func(ctx context.Context) {
		onboarder := impersonate("test:onboarder")
		owned := ownedNamespace(alice)
		Expect(onboarder.Create(ctx, owned)).To(Succeed())

		grant := func(role string) error {
			return onboarder.Create(ctx, &rbacv1.RoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: role, Namespace: owned.Name},
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
				Subjects:   []rbacv1.Subject{user(alice)},
			})
		}
		Expect(grant("usersecret-owner")).To(Succeed())
		for _, role := range []string{"usersecret-delegate", "usersecret-auditor", "cluster-admin"} {
			Expect(grant(role)).To(MatchError(apierrors.IsForbidden, "is forbidden"), role)
		}
		Expect(may(ctx, "test:onboarder", home, "", "secrets", all)).To(BeFalse())
		Expect(may(ctx, "test:onboarder", home, group, "usersecrets", all)).To(BeFalse())
		Expect(may(ctx, "test:onboarder", "", "", "namespaces", []string{"update", "patch", "delete"})).To(BeFalse())
	})
})
