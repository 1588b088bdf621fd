package acceptance_test

import (
	"context"
	"fmt"
	"regexp"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/lab"
	"usersecrets.dev/operator/test/rig"
)

var _ = Describe("kubectl, with a value that is there already", func() {
	var (
		alice *rig.Person
		us    *v1alpha1.UserSecret
	)

	BeforeEach(func(ctx SpecContext) {
		alice = newUser(ctx, "alice")
		kubectlSays(ctx, alice, plaintextManifest(alice, "openai", typedValue), "apply", "-f", "-")
		us = settled(ctx, alice, "openai")
	})

	// keeps expects creator and value to be as they were, and no trace of the value.
	keeps := func(ctx context.Context) *v1alpha1.UserSecret {
		GinkgoHelper()
		now := settled(ctx, alice, "openai")
		expectSameValue(now, us)
		Expect(now.Annotations).To(HaveKeyWithValue(v1alpha1.CreatedByAnnotation, alice.Name))
		expectNoTrace(ctx, now, typedValue)
		return now
	}

	DescribeTable("seals a new value", func(ctx SpecContext, printed string, how ...string) {
		const changed = typedValue + "-changed"
		Expect(kubectlSays(ctx, alice, plaintextManifest(alice, "openai", changed), append(how, "-f", "-")...)).To(Equal(printed))
		var now *v1alpha1.UserSecret
		Eventually(func(g Gomega) {
			now = asStored(ctx, us)
			g.Expect(now.Status.ValueID).NotTo(Equal(us.Status.ValueID))
		}).Should(Succeed())
		Expect(now.Spec.EncryptedValue).NotTo(Equal(us.Spec.EncryptedValue))
		Expect(now.Status.Masked).To(Equal("........nged"))
		Expect(now.Annotations).To(HaveKeyWithValue(v1alpha1.CreatedByAnnotation, alice.Name))
		expectNoTrace(ctx, now, changed)
	},
		Entry("by apply", printedConfigured, "apply"),
		Entry("by apply --server-side", printedApplied, "apply", "--server-side"),
		Entry("by replace", "usersecret.usersecrets.dev/openai replaced\n", "replace"),
		Entry("by replace --save-config", "usersecret.usersecrets.dev/openai replaced\n", "replace", "--save-config"),
	)

	It("shows in a diff that the value changes, and not to what", func(ctx SpecContext) {
		const changed = typedValue + "-changed"
		result := alice.Kubectl(ctx, plaintextManifest(alice, "openai", changed), "diff", "-f", "-")
		Expect(result.ExitCode).To(Equal(1), result.Stderr)
		Expect(changedLines(result.Stdout)).To(ContainElement(HavePrefix("+  encryptedValue: us1.")))
		expectSilence(result.Stdout+result.Stderr, typedValue)
		expectUntouched(ctx, us)
	})

	It("goes over to a sealed manifest and back", func(ctx SpecContext) {
		manifest := sealedManifest(alice, "openai", sealFor(ctx, alice, "openai", typedValue))
		Expect(kubectlSays(ctx, alice, manifest, "apply", "-f", "-")).To(Equal(printedConfigured))
		sealed := settled(ctx, alice, "openai")
		Expect(sealed.Spec.EncryptedValue).NotTo(Equal(us.Spec.EncryptedValue), "as the manifest says")
		Expect(sealed.Status.ValueID).To(Equal(us.Status.ValueID), "the same value")
		Expect(sealed.Status.ValueUpdatedAt).To(Equal(us.Status.ValueUpdatedAt))

		Expect(kubectlSays(ctx, alice, plaintextManifest(alice, "openai", typedValue), "apply", "-f", "-")).To(Equal(printedConfigured))
		plain := settled(ctx, alice, "openai")
		expectSameValue(plain, sealed)
		expectNoTrace(ctx, plain, typedValue)
	})

	DescribeTable("keeps creator and value", func(ctx SpecContext, printed, verb string, args ...string) {
		args = append([]string{verb, "usersecret/openai"}, args...)
		Expect(kubectlSays(ctx, alice, "", args...)).To(Equal("usersecret.usersecrets.dev/openai " + printed + "\n"))
		keeps(ctx)
	},
		Entry("on patch", "patched", "patch", "--type=merge", "-p", `{"spec":{"description":"as by kubectl edit"}}`),
		Entry("on annotate", "annotated", "annotate", "note=mine"),
		Entry("on label", "labeled", "label", "team=platform", "--overwrite"),
		Entry("where its annotation is removed", "annotated", "annotate", v1alpha1.CreatedByAnnotation+"-"),
	)

	DescribeTable("writes nothing for the same value", func(ctx SpecContext, kind, patch string) {
		us = rested(ctx, alice)
		Expect(kubectlSays(ctx, alice, "", "patch", "usersecret/openai", "--type="+kind, "-p", patch)).To(Equal(
			"usersecret.usersecrets.dev/openai patched (no change)\n"))
		expectUntouched(ctx, us)
	},
		Entry("by a merge patch", "merge", `{"spec":{"value":"`+typedValue+`"}}`),
		Entry("by a JSON patch", "json", `[{"op":"add","path":"/spec/value","value":"`+typedValue+`"}]`),
	)

	It("keeps creator and value on replace", func(ctx SpecContext) {
		kubectlSays(ctx, alice, plaintextManifest(alice, "openai", typedValue), "replace", "-f", "-")
		keeps(ctx)
	})

	DescribeTable("keeps creator and value when what get printed is applied", func(ctx SpecContext, how ...string) {
		printed := kubectlSays(ctx, alice, "", "get", "usersecret/openai", "-o", "yaml")
		kubectlSays(ctx, alice, withoutVersion(printed), append([]string{"apply", "-f", "-"}, how...)...)
		keeps(ctx)

		By("applying the manifest again, which knows nothing of the creator")
		kubectlSays(ctx, alice, plaintextManifest(alice, "openai", typedValue), append([]string{"apply", "-f", "-"}, how...)...)
		again := keeps(ctx)
		rested(ctx, alice)
		kubectlSays(ctx, alice, plaintextManifest(alice, "openai", typedValue), append([]string{"apply", "-f", "-"}, how...)...)
		expectUntouched(ctx, again)
	},
		Entry("by client"),
		Entry("by server", "--server-side"),
	)

	It("keeps creator and value when what get printed replaces it", func(ctx SpecContext) {
		printed := kubectlSays(ctx, alice, "", "get", "usersecret/openai", "-o", "yaml")
		kubectlSays(ctx, alice, printed, "replace", "-f", "-")
		keeps(ctx)
	})

	It("keeps no plaintext in an annotation set by hand", func(ctx SpecContext) {
		kubectlSays(ctx, alice, plaintextManifest(alice, "openai", typedValue), "apply", "set-last-applied", "--create-annotation", "-f", "-")
		keeps(ctx)
	})

	It("lets a GitOps tool and alice take turns", func(ctx SpecContext) {
		robot := newServiceAccount(ctx, "robot", alice.Namespace, "usersecret-delegate")
		theirs := userSecret(ctx, alice, "openai", "openai", v1alpha1.TypeAPIKey, typedValue)
		gitops := func() {
			GinkgoHelper()
			config := client.ApplyConfigurationFromUnstructured(asUnstructured(theirs))
			Expect(robot.Client.Apply(ctx, config, client.FieldOwner("gitops"))).To(Succeed())
		}
		hers := func(value string) {
			GinkgoHelper()
			Expect(kubectlSays(ctx, alice, plaintextManifest(alice, "openai", value), "apply", "-f", "-")).To(Equal(printedConfigured))
		}

		gitops()
		now := rested(ctx, alice)
		Expect(now.Spec.EncryptedValue).To(Equal(theirs.Spec.EncryptedValue))
		Expect(now.Status.ValueID).To(Equal(us.Status.ValueID), "the same value, sealed by them")
		Expect(now.Status.ValueUpdatedAt).To(Equal(us.Status.ValueUpdatedAt))
		Expect(now.Annotations).To(HaveKeyWithValue(v1alpha1.CreatedByAnnotation, alice.Name))
		for range 2 {
			hers(typedValue)
			expectUntouched(ctx, now)
			gitops()
			expectUntouched(ctx, now)
		}
		expectNoTrace(ctx, now, typedValue)
		Expect(alice.Kubectl(ctx, plaintextManifest(alice, "openai", typedValue), "diff", "-f", "-")).To(Equal(lab.Result{}))

		By("alice changing the value, which the other's manifest does not know of")
		hers(typedValue + "-hers")
		Eventually(func() string { return asStored(ctx, us).Status.Masked }).Should(HaveSuffix("hers"))
		gitops()
		Eventually(func() string { return asStored(ctx, us).Status.ValueID }).Should(Equal(us.Status.ValueID))
		Expect(asStored(ctx, us).Spec.EncryptedValue).To(Equal(theirs.Spec.EncryptedValue))
		expectNoTrace(ctx, us, typedValue)
	})

	// kubectl itself takes the fields and the annotation of client-side apply
	// over when somebody applies by server; the next client-side apply puts the
	// annotation back.
	It("lets two people with kubectl take turns", func(ctx SpecContext) {
		robot := newServiceAccount(ctx, "robot", alice.Namespace, "usersecret-delegate")
		theirs := sealedManifest(alice, "openai", sealFor(ctx, alice, "openai", typedValue))
		for range 2 {
			Expect(kubectlSays(ctx, robot, theirs, "apply", "--server-side", "--field-manager=gitops", "-f", "-")).To(Equal(printedApplied))
			Expect(kubectlSays(ctx, alice, plaintextManifest(alice, "openai", typedValue), "apply", "-f", "-")).To(Equal(printedConfigured))
			now := settled(ctx, alice, "openai")
			Expect(theirs).To(ContainSubstring(now.Spec.EncryptedValue), "alice's value is the same, and is not sealed again")
			Expect(now.Status.ValueID).To(Equal(us.Status.ValueID))
			Expect(now.Annotations).To(HaveKeyWithValue(v1alpha1.CreatedByAnnotation, alice.Name))
			expectNoTrace(ctx, now, typedValue)
		}
	})
})

var _ = Describe("kubectl, with a value that somebody else applied sealed", func() {
	It("meets the conflict that every field has between two owners", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		kubectlSays(ctx, alice, sealedManifest(alice, "openai", sealFor(ctx, alice, "openai", typedValue)), "apply", "-f", "-")
		us := settled(ctx, alice, "openai")
		robot := newServiceAccount(ctx, "robot", alice.Namespace, "usersecret-delegate")
		manifest := sealedManifest(alice, "openai", sealFor(ctx, alice, "openai", typedValue))

		result := robot.Kubectl(ctx, manifest, "apply", "--server-side", "--field-manager=gitops", "-f", "-")
		Expect(result.ExitCode).To(Equal(1))
		Expect(result.Stderr).To(ContainSubstring(`conflict with "kubectl-client-side-apply" using usersecrets.dev/v1alpha1: .spec.encryptedValue`))
		expectUntouched(ctx, us)
		kubectlSays(ctx, robot, manifest, "apply", "--server-side", "--field-manager=gitops", "--force-conflicts", "-f", "-")
		Expect(settled(ctx, alice, "openai").Status.ValueID).To(Equal(us.Status.ValueID))
	})
})

// withoutVersion is what get printed without its resourceVersion: kubectl cannot
// apply any custom resource a second time by client that had one at first.
func withoutVersion(printed string) string {
	return regexp.MustCompile(`(?m)^  resourceVersion: .*\n`).ReplaceAllString(printed, "")
}

// asUnstructured is a UserSecret as a tool without our types applies it.
func asUnstructured(us *v1alpha1.UserSecret) *unstructured.Unstructured {
	GinkgoHelper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(us)
	Expect(err).NotTo(HaveOccurred())
	delete(content, "status")
	object := &unstructured.Unstructured{Object: content}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("UserSecret"))
	return object
}

// newServiceAccount is a ServiceAccount with a role in its own namespace.
func newServiceAccount(ctx context.Context, prefix, namespace, clusterRole string) *rig.Person {
	GinkgoHelper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("%s-%d", prefix, serial.Add(1))}}
	Expect(product.Client.Create(ctx, account)).To(Succeed())
	person, err := product.ServiceAccountPerson(ctx, namespace, account.Name)
	Expect(err).NotTo(HaveOccurred())
	allow(ctx, person, namespace, clusterRole)
	awaitRight(ctx, person, "update", namespace)
	return person
}
