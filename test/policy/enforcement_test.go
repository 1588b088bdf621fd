package policy

import (
	"context"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// probes make, for each policy, a request that it refuses. A policy is enforced a moment
// after it was created, and nothing in its status says when.
func probes(ctx context.Context, namespace string) map[string]func() error {
	dryRun := func(username string, object client.Object) func() error {
		c := as(username)
		return func() error {
			return c.Create(ctx, object.DeepCopyObject().(client.Object), client.DryRunAll)
		}
	}
	naming := pod(namespace, "naming")
	naming.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "usersecret-foreign"}}
	stamped := pod(namespace, "stamped")
	stamped.Labels = map[string]string{v1alpha1.InjectedLabel: "true"}
	owned := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "probe", Annotations: map[string]string{v1alpha1.OwnerAnnotation: bob},
	}}
	plaintext := userSecret(namespace, "plaintext")
	plaintext.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: `{"spec":{"value":"x"}}`}

	unsealed := userSecret(namespace, "status")
	Expect(admin.Create(ctx, unsealed)).To(Succeed())
	unsealed.Status.Owner = bob

	return map[string]func() error{
		projectionsPolicy:     dryRun(bob, secret(namespace, "usersecret-probe")),
		operatorSecretsPolicy: dryRun(operator, secret(namespace, "probe")),
		podSecretNamesPolicy:  dryRun(bob, naming),
		podMetadataPolicy:     dryRun(bob, stamped),
		podBindingsPolicy:     dryRun(bob, stampingBinding(namespace, "nobody")),
		namespaceOwnerPolicy:  dryRun(bob, owned),
		sealingKeysPolicy:     dryRun(bob, sealingKey(namespace)),
		lastAppliedPolicy:     dryRun(bob, plaintext),
		statusPolicy: func() error {
			return as(bob).Status().Update(ctx, unsealed.DeepCopy(), client.DryRunAll)
		},
	}
}

func waitForEveryPolicy(ctx context.Context) {
	GinkgoHelper()
	all := probes(ctx, newNamespace(ctx))
	for _, policy := range shipped("ValidatingAdmissionPolicy") {
		Expect(all).To(HaveKey(policy.GetName()), "every policy has a probe")
		waitFor(policy.GetName(), all[policy.GetName()])
	}
}

func waitFor(policy string, probe func() error) {
	GinkgoHelper()
	Eventually(probe).WithTimeout(enforcementTimeout).WithPolling(enforcementPoll).
		Should(MatchError(ContainSubstring("ValidatingAdmissionPolicy '" + policy + "'")))
}

// without runs what happened before the policy was installed.
func without(ctx context.Context, policy string, run func()) {
	GinkgoHelper()
	probe := probes(ctx, newNamespace(ctx))[policy]
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{}
	Expect(admin.Get(ctx, client.ObjectKey{Name: policy}, binding)).To(Succeed())
	Expect(admin.Delete(ctx, binding)).To(Succeed())
	defer func() {
		binding.ResourceVersion, binding.UID = "", ""
		Expect(admin.Create(ctx, binding)).To(Succeed())
		waitFor(policy, probe)
	}()
	run()
}

// shipped are the objects of this kind in config/policy.
func shipped(kind string) []*unstructured.Unstructured {
	GinkgoHelper()
	var found []*unstructured.Unstructured
	for _, object := range manifests(filepath.Join(configFolder, "policy")) {
		if object.GetKind() == kind {
			found = append(found, object)
		}
	}
	return found
}

var _ = Describe("Every policy", func() {
	It("fails closed, refuses by its binding, and is labelled as ours", func() {
		bindings := map[string]*admissionv1.ValidatingAdmissionPolicyBinding{}
		for _, object := range shipped("ValidatingAdmissionPolicyBinding") {
			binding := &admissionv1.ValidatingAdmissionPolicyBinding{}
			Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, binding)).To(Succeed())
			bindings[binding.Spec.PolicyName] = binding
		}
		for _, object := range shipped("ValidatingAdmissionPolicy") {
			policy := &admissionv1.ValidatingAdmissionPolicy{}
			Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, policy)).To(Succeed())
			Expect(policy.Spec.FailurePolicy).To(HaveValue(Equal(admissionv1.Fail)), policy.Name)
			Expect(policy.Labels).To(HaveKeyWithValue("app.kubernetes.io/part-of", "usersecret-operator"), policy.Name)

			Expect(bindings).To(HaveKey(policy.Name))
			binding := bindings[policy.Name]
			Expect(binding.Name).To(Equal(policy.Name))
			Expect(binding.Labels).To(Equal(policy.Labels), policy.Name)
			Expect(binding.Spec.ValidationActions).To(Equal([]admissionv1.ValidationAction{admissionv1.Deny}), policy.Name)
			Expect(binding.Spec.MatchResources).To(BeNil(), policy.Name)
		}
	})
})
