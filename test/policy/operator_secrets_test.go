package policy

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

const operatorSecretsPolicy = "usersecrets-operator-secrets"

const (
	otherTypeMessage = "outside usersecrets-system the UserSecret operator writes Secrets of type " +
		"usersecrets.dev/projection alone: use another account for any other Secret."
	noTokensMessage = "the UserSecret operator mints no service account tokens: use another account, or the " +
		"TokenRequest API."
	ownNamespaceMessage = "in usersecrets-system the UserSecret operator writes Secrets labelled usersecrets.dev/key-material and " +
		"the one named webhook-ca alone: use another account for any other Secret."
	prefixMessage     = "a projection needs a name that starts with usersecret-: only those are kept from other pods."
	ownedByPodMessage = "a projection needs exactly one owner reference, to a Pod, with neither controller nor " +
		"blockOwnerDeletion, and the same UID in its annotation usersecrets.dev/pod-uid."
)

// secretWrites are the ways to write the Secret, or to read it back from a write.
func secretWrites(ctx context.Context, existing *corev1.Secret) map[string]func(client.Client) error {
	patches := map[types.PatchType]string{
		types.JSONPatchType:           `[]`,
		types.MergePatchType:          `{}`,
		types.StrategicMergePatchType: `{"metadata":{"labels":{"a":"b"}}}`,
		types.ApplyPatchType:          `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"` + existing.Name + `"}}`,
	}
	fresh := secret(existing.Namespace, "fresh")
	writes := map[string]func(client.Client) error{
		"create":          func(c client.Client) error { return c.Create(ctx, fresh) },
		"create, dry run": func(c client.Client) error { return c.Create(ctx, fresh, client.DryRunAll) },
		"update":          func(c client.Client) error { return c.Update(ctx, existing.DeepCopy()) },
		"delete":          func(c client.Client) error { return c.Delete(ctx, existing.DeepCopy()) },
		"delete, dry run": func(c client.Client) error { return c.Delete(ctx, existing.DeepCopy(), client.DryRunAll) },
		"delete all": func(c client.Client) error {
			return c.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(existing.Namespace))
		},
	}
	for patchType, text := range patches {
		patch := client.RawPatch(patchType, []byte(text))
		writes[string(patchType)] = func(c client.Client) error {
			return c.Patch(ctx, existing.DeepCopy(), patch, client.FieldOwner("test"))
		}
		writes[string(patchType)+", dry run"] = func(c client.Client) error {
			return c.Patch(ctx, existing.DeepCopy(), patch, client.FieldOwner("test"), client.DryRunAll)
		}
	}
	return writes
}

var _ = Describe("The operator's account", func() {
	var namespace string

	BeforeEach(func(ctx context.Context) {
		namespace = newNamespace(ctx)
	})

	It("can neither write a foreign Secret nor read one back from a write", func(ctx context.Context) {
		foreign := secret(namespace, "foreign")
		Expect(as(bob).Create(ctx, foreign)).To(Succeed())
		for way, write := range secretWrites(ctx, foreign) {
			Expect(write(as(operator))).To(beDenied(operatorSecretsPolicy, otherTypeMessage), way)
		}
		answer := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: foreign.Name, Namespace: namespace}}
		Expect(as(operator).Patch(ctx, answer, client.RawPatch(types.MergePatchType, []byte(`{}`)))).NotTo(Succeed())
		Expect(answer.Data).To(BeEmpty())
	})

	// Whether an update is right is compared before validating policies are asked.
	It("cannot tell a right guess of an immutable Secret from a wrong one", func(ctx context.Context) {
		foreign := secret(namespace, "immutable")
		foreign.Immutable = new(true)
		Expect(admin.Create(ctx, foreign)).To(Succeed())
		wrong, posing := foreign.DeepCopy(), foreign.DeepCopy()
		wrong.Data["password"] = []byte("a guess")
		posing.Type, posing.Data = v1alpha1.ProjectionSecretType, wrong.Data
		answer := func(guess *corev1.Secret) string {
			return fmt.Sprint(as(operator).Update(ctx, guess.DeepCopy(), client.DryRunAll))
		}
		Eventually(func() string { return answer(foreign) }).WithTimeout(enforcementTimeout).WithPolling(enforcementPoll).Should(
			HavePrefix("policy 'usersecrets-operator-updates' with binding 'usersecrets-operator-updates' denied request: "))
		Expect(answer(wrong)).To(Equal(answer(foreign)))
		Expect(answer(posing)).To(Equal(answer(foreign)))
		Expect(answer(foreign)).To(ContainSubstring("the UserSecret operator changes no immutable Secret: use another account"))

		Expect(as(bob).Update(ctx, foreign.DeepCopy())).To(Succeed(), "others are not bound")
		Expect(as(bob).Update(ctx, wrong)).To(MatchError(apierrors.IsInvalid, "immutable as ever"))
	})

	It("takes no Secret of another type under the reserved prefix", func(ctx context.Context) {
		Expect(as(operator).Create(ctx, secret(namespace, "usersecret-other"))).
			To(beDenied(operatorSecretsPolicy, otherTypeMessage))
	})

	It("mints no service account token, in its own namespace either", func(ctx context.Context) {
		makeOperatorNamespace(ctx)
		token := secret(v1alpha1.OperatorNamespace, "token")
		token.Type = corev1.SecretTypeServiceAccountToken
		token.Annotations = map[string]string{corev1.ServiceAccountNameKey: v1alpha1.OperatorName}
		Expect(as(operator).Create(ctx, token)).To(beDenied(operatorSecretsPolicy, noTokensMessage))

		token.Namespace = namespace
		Expect(as(operator).Create(ctx, token)).To(beDenied(operatorSecretsPolicy, otherTypeMessage))
	})

	It("keeps key material and its certificate authority in its own namespace", func(ctx context.Context) {
		makeOperatorNamespace(ctx)
		material := secret(v1alpha1.OperatorNamespace, "key-v1")
		material.Labels = map[string]string{"usersecrets.dev/key-material": "encryption-key"}
		for _, own := range []*corev1.Secret{material, secret(v1alpha1.OperatorNamespace, "webhook-ca")} {
			Expect(as(operator).Create(ctx, own)).To(Succeed(), own.Name)
			own.Data["more"] = []byte("x")
			Expect(as(operator).Update(ctx, own)).To(Succeed(), own.Name)
			Expect(as(operator).Delete(ctx, own)).To(Succeed(), own.Name)
		}
	})

	It("writes no other Secret there, the root key least of all, nor makes one its own by a label", func(ctx context.Context) {
		makeOperatorNamespace(ctx)
		rootKey := secret(v1alpha1.OperatorNamespace, "root-key")
		Expect(admin.Create(ctx, rootKey)).To(Succeed())
		labelled := rootKey.DeepCopy()
		labelled.Labels = map[string]string{"usersecrets.dev/key-material": "encryption-key"}
		for way, err := range map[string]error{
			"created":           as(operator).Create(ctx, secret(v1alpha1.OperatorNamespace, "other")),
			"created, as ours":  as(operator).Create(ctx, projection(v1alpha1.OperatorNamespace, "usersecret-ours")),
			"updated":           as(operator).Update(ctx, rootKey.DeepCopy()),
			"updated to a key":  as(operator).Update(ctx, labelled),
			"deleted":           as(operator).Delete(ctx, rootKey.DeepCopy()),
			"deleted, dry run":  as(operator).Delete(ctx, rootKey.DeepCopy(), client.DryRunAll),
			"deleted, with all": as(operator).DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(v1alpha1.OperatorNamespace)),
		} {
			Expect(err).To(beDenied(operatorSecretsPolicy, ownNamespaceMessage), way)
		}
		Expect(admin.Update(ctx, labelled)).To(Succeed())
		labelled.Labels = nil
		Expect(as(operator).Update(ctx, labelled)).To(beDenied(operatorSecretsPolicy, ownNamespaceMessage), "a key that stops being one")
		Expect(admin.Delete(ctx, labelled)).To(Succeed())
	})

	It("issues, changes and deletes projections", func(ctx context.Context) {
		issued := projection(namespace, "usersecret-issued")
		Expect(as(operator).Create(ctx, issued)).To(Succeed())
		Expect(as(operator).Patch(ctx, issued, client.RawPatch(types.MergePatchType, []byte(`{"data":null}`)))).To(Succeed())
		Expect(issued.Data).To(BeEmpty())
		Expect(as(operator).Delete(ctx, issued, client.Preconditions{UID: &issued.UID})).To(Succeed())
	})

	DescribeTable("issues no projection",
		func(ctx context.Context, edit func(*corev1.Secret), wantMessage string) {
			odd := projection(namespace, "usersecret-odd")
			edit(odd)
			Expect(as(operator).Create(ctx, odd)).To(beDenied(operatorSecretsPolicy, wantMessage))
		},
		Entry("outside the reserved prefix",
			func(s *corev1.Secret) { s.Name = "odd" }, prefixMessage),
		Entry("that nobody owns",
			func(s *corev1.Secret) { s.OwnerReferences = nil }, ownedByPodMessage),
		Entry("that two pods own", func(s *corev1.Secret) {
			other := s.OwnerReferences[0]
			other.Name = "other"
			s.OwnerReferences = append(s.OwnerReferences, other)
		}, ownedByPodMessage),
		Entry("that another kind owns",
			func(s *corev1.Secret) { s.OwnerReferences[0].Kind = "ConfigMap" }, ownedByPodMessage),
		Entry("that a Pod of another group owns",
			func(s *corev1.Secret) { s.OwnerReferences[0].APIVersion = "example.com/v1" }, ownedByPodMessage),
		Entry("that its pod controls",
			func(s *corev1.Secret) { s.OwnerReferences[0].Controller = new(true) }, ownedByPodMessage),
		Entry("that holds up its pod's deletion",
			func(s *corev1.Secret) { s.OwnerReferences[0].BlockOwnerDeletion = new(true) }, ownedByPodMessage),
		Entry("for a pod other than its owner",
			func(s *corev1.Secret) { s.Annotations[v1alpha1.PodUIDAnnotation] = "other" }, ownedByPodMessage),
		Entry("that does not say for which pod",
			func(s *corev1.Secret) { delete(s.Annotations, v1alpha1.PodUIDAnnotation) }, ownedByPodMessage),
	)

	It("binds nobody else", func(ctx context.Context) {
		other := secret(namespace, "other")
		Expect(as(bob).Create(ctx, other)).To(Succeed())
		Expect(as(bob).Delete(ctx, other)).To(Succeed())
	})
})
