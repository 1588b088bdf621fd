package acceptance_test

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

// A step runs whatever somebody wrote, with a token in a file. What was issued to
// it lies beside; the token adds nothing to that.
var _ = Describe("the token that a step of alice's finds in its pod", Ordered, ContinueOnFailure, func() {
	var alice *estate
	var step *rig.Person

	BeforeAll(func(ctx SpecContext) {
		alice = newEstate(ctx)
		Expect(alice.pod.Spec.ServiceAccountName).To(Equal("default"))
		var err error
		step, err = product.ServiceAccountPerson(ctx, alice.Namespace, alice.pod.Spec.ServiceAccountName)
		Expect(err).NotTo(HaveOccurred())
	})

	AfterEach(func(ctx SpecContext) { alice.untouched(ctx) })

	It("reads no Secret, its own pod's among them, and no UserSecret", func(ctx SpecContext) {
		alice.refuses(step.Client.Get(ctx, client.ObjectKeyFromObject(alice.projection), &corev1.Secret{}), byRBAC(step, "get", "secrets"))
		alice.refuses(step.Client.List(ctx, &corev1.SecretList{}, client.InNamespace(alice.Namespace)), byRBAC(step, "list", "secrets"))
		alice.refuses(step.Client.Get(ctx, client.ObjectKeyFromObject(alice.userSecret), &v1alpha1.UserSecret{}), byRBAC(step, "get", "usersecrets"))
		alice.refuses(step.Client.List(ctx, &v1alpha1.UserSecretList{}, client.InNamespace(alice.Namespace)), byRBAC(step, "list", "usersecrets"))
	})

	It("writes none, and starts no pod that gets one", func(ctx SpecContext) {
		alice.refuses(step.Client.Create(ctx, alice.copyFor(alice.Namespace, "more")), byRBAC(step, "create", "usersecrets"))
		alice.refuses(step.Client.Patch(ctx, alice.copyFor(alice.Namespace, "openai"), mergePatch(`{"spec":{"active":false}}`)), byRBAC(step, "patch", "usersecrets"))
		alice.refuses(step.Client.Create(ctx, workflowPod(alice.Namespace, "more", "openai")), byRBAC(step, "create", "pods"))
	})

	// A workflow platform may give its steps rights over what is in the namespace; the
	// account is of the namespace, and still is not its owner.
	It("writes none with rights to write them either: it is not alice's", func(ctx SpecContext) {
		grant(ctx, "acceptance-step", rbacv1.PolicyRule{
			APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"usersecrets"}, Verbs: []string{"create", "update", "patch", "delete"},
		})
		binding := &rbacv1.RoleBinding{
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "acceptance-step"},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: alice.Namespace, Name: "default"}},
		}
		binding.Namespace, binding.Name = alice.Namespace, fmt.Sprintf("step-%d", serial.Add(1))
		Expect(product.Client.Create(ctx, binding)).To(Succeed())
		awaitGrant(ctx, step, authorizationv1.ResourceAttributes{
			Namespace: alice.Namespace, Verb: "patch", Group: v1alpha1.GroupVersion.Group, Resource: "usersecrets",
		})
		alice.refuses(step.Client.Patch(ctx, alice.copyFor(alice.Namespace, "openai"), mergePatch(`{"spec":{"active":false}}`)), byWebhook("validate")+ownersAndDelegates)
		alice.refuses(step.Client.Patch(ctx, alice.copyFor(alice.Namespace, "openai"), mergePatch(`{"spec":{"value":"steps-value-0123456789"}}`)), byWebhook("seal")+plaintextByOwner)
		alice.refuses(step.Client.Create(ctx, alice.copyFor(alice.Namespace, "more")), byWebhook("validate")+ownersAndDelegates)
		alice.refuses(step.Client.Delete(ctx, alice.copyFor(alice.Namespace, "openai")), byWebhook("delete")+ownersAndDelegates)
	})
})
