package policy

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

const namespaceOwnerPolicy = "usersecrets-namespace-owner"

const namespaceOwnerMessage = "the annotation usersecrets.dev/owner says whom a namespace and its secrets belong to. " +
	"Setting, changing or removing it needs the verb assign-owner on this namespace, from a ClusterRoleBinding: ask an " +
	"administrator."

// namespaceWrites are the ways to write a namespace's metadata.
var namespaceWrites = map[string]func(context.Context, client.Client, *corev1.Namespace) error{
	"namespaces": func(ctx context.Context, c client.Client, ns *corev1.Namespace) error { return c.Update(ctx, ns) },
	"namespaces/status": func(ctx context.Context, c client.Client, ns *corev1.Namespace) error {
		return c.Status().Update(ctx, ns)
	},
	"namespaces/finalize": func(ctx context.Context, c client.Client, ns *corev1.Namespace) error {
		return c.SubResource("finalize").Update(ctx, ns)
	},
}

func ownedNamespace(owner string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "policy-owned-", Annotations: map[string]string{v1alpha1.OwnerAnnotation: owner},
	}}
}

var _ = Describe("A namespace's owner", func() {
	var owned *corev1.Namespace

	BeforeEach(func(ctx context.Context) {
		owned = ownedNamespace(alice)
		Expect(admin.Create(ctx, owned)).To(Succeed())
	})

	DescribeTable("is set by holders of assign-owner alone",
		func(ctx context.Context, edit func(*corev1.Namespace)) {
			for way, write := range namespaceWrites {
				changed := owned.DeepCopy()
				edit(changed)
				Expect(write(ctx, as(bob), changed)).To(beDenied(namespaceOwnerPolicy, namespaceOwnerMessage), way)

				Expect(write(ctx, admin, changed)).To(Succeed(), way)
				changed.Annotations = owned.Annotations
				Expect(admin.Update(ctx, changed)).To(Succeed(), way)
				owned = changed
			}
		},
		Entry("changed", func(ns *corev1.Namespace) { ns.Annotations[v1alpha1.OwnerAnnotation] = bob }),
		Entry("emptied", func(ns *corev1.Namespace) { ns.Annotations[v1alpha1.OwnerAnnotation] = "" }),
		Entry("removed", func(ns *corev1.Namespace) { delete(ns.Annotations, v1alpha1.OwnerAnnotation) }),
		Entry("removed with all annotations", func(ns *corev1.Namespace) { ns.Annotations = nil }),
	)

	It("is not given to a new or an ordinary namespace by others", func(ctx context.Context) {
		denied := beDenied(namespaceOwnerPolicy, namespaceOwnerMessage)
		named := ownedNamespace(bob)
		named.Name, named.GenerateName = "policy-of-bob", ""
		Expect(as(bob).Create(ctx, named)).To(denied)
		Expect(as(bob).Create(ctx, ownedNamespace(bob))).To(denied)
		Expect(as(bob).Create(ctx, ownedNamespace(""))).To(denied)

		ordinary := &corev1.Namespace{}
		Expect(admin.Get(ctx, types.NamespacedName{Name: newNamespace(ctx)}, ordinary)).To(Succeed())
		ordinary.Annotations = map[string]string{v1alpha1.OwnerAnnotation: bob}
		for way, write := range namespaceWrites {
			Expect(write(ctx, as(bob), ordinary.DeepCopy())).To(denied, way)
		}
	})

	It("stays while others write the rest of the namespace", func(ctx context.Context) {
		for way, write := range namespaceWrites {
			owned.Annotations["example.com/usersecrets.dev"] = way
			Expect(write(ctx, as(bob), owned)).To(Succeed(), way)
		}
		Expect(as(bob).Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "policy-"}})).To(Succeed())
		Expect(as(bob).Delete(ctx, owned)).To(Succeed())
	})

	It("may be assigned for one namespace by name, and no other", func(ctx context.Context) {
		const theOne = "policy-the-one"
		bindRole(ctx, "eve", "", assignOwner(theOne))
		one := ownedNamespace(alice)
		one.Name, one.GenerateName = theOne, ""
		Eventually(func() error { return as("eve").Create(ctx, one, client.DryRunAll) }).
			WithTimeout(enforcementTimeout).WithPolling(enforcementPoll).Should(Succeed())

		Expect(as("eve").Create(ctx, ownedNamespace(alice))).To(beDenied(namespaceOwnerPolicy, namespaceOwnerMessage))
		owned.Annotations[v1alpha1.OwnerAnnotation] = "eve"
		Expect(as("eve").Update(ctx, owned)).To(beDenied(namespaceOwnerPolicy, namespaceOwnerMessage))
	})

	It("is not for a Role inside the namespace to give", func(ctx context.Context) {
		bindRole(ctx, alice, owned.Name, assignOwner(owned.Name))
		Eventually(ctx, func(ctx context.Context) bool {
			return allowed(ctx, alice, &authorizationv1.ResourceAttributes{
				Verb: v1alpha1.AssignOwnerVerb, Resource: "namespaces", Name: owned.Name, Namespace: owned.Name,
			})
		}).WithTimeout(enforcementTimeout).WithPolling(enforcementPoll).Should(BeTrue())

		owned.Annotations[v1alpha1.OwnerAnnotation] = bob
		Expect(as(alice).Update(ctx, owned)).To(beDenied(namespaceOwnerPolicy, namespaceOwnerMessage))
	})
})

func assignOwner(namespace string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{
		APIGroups: []string{""}, Resources: []string{"namespaces"}, ResourceNames: []string{namespace},
		Verbs: []string{v1alpha1.AssignOwnerVerb},
	}
}
