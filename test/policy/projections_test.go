package policy

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

const projectionsPolicy = "usersecrets-projections"

const (
	reservedMessage = "Secrets of type usersecrets.dev/projection, and Secrets whose name starts with usersecret-, " +
		"are reserved to the UserSecret operator: choose another name and type. A pod gets values by its annotation " +
		"usersecrets.dev/inject."
	ownerReferencesMessage = "the owner references of a projection never change, since it lives and dies with its pod: " +
		"delete the pod, and the projection goes with it."
	podUIDMessage = "the annotation usersecrets.dev/pod-uid of a projection never changes: a projection is issued to " +
		"one pod, and another pod gets one of its own."
)

var _ = Describe("Projections", func() {
	var namespace string
	var issued *corev1.Secret

	BeforeEach(func(ctx context.Context) {
		namespace = newNamespace(ctx)
		issued = projection(namespace, "usersecret-issued")
		Expect(as(operator).Create(ctx, issued)).To(Succeed())
	})

	DescribeTable("are created by nobody but the operator",
		func(ctx context.Context, username string, edit func(*corev1.Secret)) {
			forged := projection(namespace, "usersecret-forged")
			edit(forged)
			Expect(as(username).Create(ctx, forged)).To(beDenied(projectionsPolicy, reservedMessage))
		},
		Entry("bob, name and type", bob, func(*corev1.Secret) {}),
		Entry("bob, the type alone", bob, func(s *corev1.Secret) { s.Name = "harmless" }),
		Entry("bob, the name alone", bob, func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }),
		Entry("bob, a generated name", bob, func(s *corev1.Secret) {
			s.Name, s.GenerateName, s.Type = "", "usersecret-", corev1.SecretTypeOpaque
		}),
		Entry("bob, a generated name that goes on", bob, func(s *corev1.Secret) {
			s.Name, s.GenerateName, s.Type = "", "usersecret-issued-", corev1.SecretTypeOpaque
		}),
		Entry("the garbage collector", garbageCollector, func(*corev1.Secret) {}),
		Entry("the storage migrator", storageMigrator, func(*corev1.Secret) {}),
		Entry("an account of the operator's name in another namespace",
			"system:serviceaccount:default:usersecret-operator", func(*corev1.Secret) {}),
		Entry("an account of another name in the operator's namespace",
			"system:serviceaccount:usersecrets-system:default", func(*corev1.Secret) {}),
	)

	It("are created by nobody else through server-side apply", func(ctx context.Context) {
		text := `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"usersecret-forged"}}`
		forged := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "usersecret-forged", Namespace: namespace}}
		err := as(bob).Patch(ctx, forged, client.RawPatch(types.ApplyPatchType, []byte(text)), client.FieldOwner("test"))
		Expect(err).To(beDenied(projectionsPolicy, reservedMessage))
	})

	It("have their prefix reserved in the operator's own namespace too", func(ctx context.Context) {
		makeOperatorNamespace(ctx)
		forged := secret(v1alpha1.OperatorNamespace, "usersecret-forged")
		forged.Labels = map[string]string{"usersecrets.dev/key-material": "encryption-key"}
		Expect(as(bob).Create(ctx, forged)).To(beDenied(projectionsPolicy, reservedMessage))
		Expect(as(operator).Create(ctx, forged, client.DryRunAll)).To(Succeed())
	})

	DescribeTable("are changed by nobody else",
		func(ctx context.Context, username string, edit func(*corev1.Secret)) {
			edit(issued)
			Expect(as(username).Update(ctx, issued)).To(beDenied(projectionsPolicy, reservedMessage))
		},
		Entry("bob, data", bob, func(s *corev1.Secret) { s.Data["OPENAI_API_KEY"] = []byte("other") }),
		Entry("bob, stringData", bob, func(s *corev1.Secret) { s.StringData = map[string]string{"MORE": "x"} }),
		Entry("bob, all data", bob, func(s *corev1.Secret) { s.Data = nil }),
		Entry("bob, a label", bob, func(s *corev1.Secret) { s.Labels = map[string]string{"team": "b"} }),
		Entry("bob, an annotation", bob, func(s *corev1.Secret) { s.Annotations["note"] = "b" }),
		Entry("bob, immutability", bob, func(s *corev1.Secret) { s.Immutable = new(true) }),
		Entry("bob, a finalizer", bob, func(s *corev1.Secret) { s.Finalizers = []string{"example.com/keep"} }),
		Entry("the garbage collector, data", garbageCollector, func(s *corev1.Secret) { s.Data = nil }),
		Entry("the storage migrator, data", storageMigrator, func(s *corev1.Secret) { s.Data = nil }),
	)

	It("are changed by the operator", func(ctx context.Context) {
		issued.Data = nil
		issued.Annotations[v1alpha1.SourcesAnnotation] = "{}"
		Expect(as(operator).Update(ctx, issued)).To(Succeed())
	})

	DescribeTable("may be written by anyone whom RBAC lets, where nothing changes",
		func(ctx context.Context, username string) {
			Expect(as(username).Update(ctx, issued)).To(Succeed())
			issued.ManagedFields = []metav1.ManagedFieldsEntry{{}} // the way to clear them
			Expect(as(username).Update(ctx, issued)).To(Succeed())
		},
		Entry("the storage migrator", storageMigrator),
		Entry("bob", bob),
	)

	DescribeTable("keep their owner references",
		func(ctx context.Context, username string, edit func(*corev1.Secret)) {
			edit(issued)
			Expect(as(username).Update(ctx, issued)).To(beDenied(projectionsPolicy, ownerReferencesMessage))
		},
		Entry("the operator removes", operator, func(s *corev1.Secret) { s.OwnerReferences = nil }),
		Entry("the operator adds", operator, func(s *corev1.Secret) {
			s.OwnerReferences = append(s.OwnerReferences,
				metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: "other", UID: "other"})
		}),
		Entry("the garbage collector orphans", garbageCollector, func(s *corev1.Secret) { s.OwnerReferences = nil }),
		Entry("bob removes", bob, func(s *corev1.Secret) { s.OwnerReferences = nil }),
	)

	DescribeTable("keep their pod's UID, even from the operator",
		func(ctx context.Context, edit func(*corev1.Secret)) {
			edit(issued)
			Expect(as(operator).Update(ctx, issued)).To(beDenied(projectionsPolicy, podUIDMessage))
		},
		Entry("changed", func(s *corev1.Secret) { s.Annotations[v1alpha1.PodUIDAnnotation] = "other" }),
		Entry("emptied", func(s *corev1.Secret) { s.Annotations[v1alpha1.PodUIDAnnotation] = "" }),
		Entry("removed", func(s *corev1.Secret) { delete(s.Annotations, v1alpha1.PodUIDAnnotation) }),
	)

	It("keep their type, by Kubernetes' own rule", func(ctx context.Context) {
		issued.Type = corev1.SecretTypeOpaque
		Expect(as(operator).Update(ctx, issued)).To(MatchError(ContainSubstring("type: Invalid value")))

		other := secret(namespace, "other")
		Expect(as(bob).Create(ctx, other)).To(Succeed())
		other.Type = v1alpha1.ProjectionSecretType
		Expect(as(bob).Update(ctx, other)).To(MatchError(ContainSubstring("type: Invalid value")))
	})

	DescribeTable("are not deleted by others",
		func(ctx context.Context, username string) {
			Expect(as(username).Delete(ctx, issued)).To(beDenied(projectionsPolicy, reservedMessage))
		},
		Entry("bob", bob),
		Entry("the storage migrator", storageMigrator),
	)

	It("are not deleted by others as part of a collection, while other Secrets are", func(ctx context.Context) {
		all := client.InNamespace(namespace)
		Expect(as(bob).DeleteAllOf(ctx, &corev1.Secret{}, all)).To(beDenied(projectionsPolicy, reservedMessage))
		Expect(as(operator).Delete(ctx, issued)).To(Succeed())

		Expect(as(bob).Create(ctx, secret(namespace, "other"))).To(Succeed())
		Expect(as(bob).DeleteAllOf(ctx, &corev1.Secret{}, all)).To(Succeed())
	})

	DescribeTable("are deleted by",
		func(ctx context.Context, username string) {
			Expect(as(username).Delete(ctx, issued)).To(Succeed())
		},
		Entry("the operator", operator),
		Entry("the garbage collector", garbageCollector),
		Entry("the namespace controller", namespaceController),
		Entry("a controller-manager without credentials for each controller", controllerManager),
	)

	It("lose a finalizer to the garbage collector", func(ctx context.Context) {
		issued.Finalizers = []string{metav1.FinalizerOrphanDependents}
		Expect(as(operator).Update(ctx, issued)).To(Succeed())
		issued.Finalizers = nil
		Expect(as(garbageCollector).Update(ctx, issued)).To(Succeed())
	})

	It("leave other Secrets alone", func(ctx context.Context) {
		other := secret(namespace, "my-usersecret-notes")
		other.OwnerReferences = issued.OwnerReferences
		Expect(as(bob).Create(ctx, other)).To(Succeed())
		other.Data, other.OwnerReferences = nil, nil
		Expect(as(bob).Update(ctx, other)).To(Succeed())
		Expect(as(bob).Delete(ctx, other)).To(Succeed())
	})
})
