package api_test

import (
	"context"
	"path/filepath"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/catalogue"
	"usersecrets.dev/operator/internal/inject"
	"usersecrets.dev/operator/internal/secretvalue"
)

var samples = filepath.Join(configFolder, "samples")

var _ = Describe("The samples", Ordered, func() {
	var namespace string

	// alice's namespace, with the strictest level of Pod Security.
	BeforeAll(func(ctx context.Context) {
		namespace = sample("UserSecret").GetNamespace()
		Expect(admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name:   namespace,
			Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"},
		}})).To(Succeed())
	})

	It("are one of each kind that people write", func() {
		var kinds []string
		for _, o := range manifests(samples) {
			kinds = append(kinds, o.GetKind())
		}
		Expect(kinds).To(ConsistOf("EncryptionKey", "Pod", "SecretProvider", "UserSecret"))
	})

	DescribeTable("are taken without a warning", func(ctx context.Context, kind string) {
		Expect(admin.Create(ctx, sample(kind), client.DryRunAll, client.FieldValidation("Strict"))).To(Succeed())
		Expect(apply(ctx, sample(kind), client.DryRunAll)).To(Succeed())
		Expect(warnings.take()).To(BeEmpty())
	},
		Entry("EncryptionKey", "EncryptionKey"),
		Entry("SecretProvider", "SecretProvider"),
		Entry("Pod", "Pod"),
	)

	It("have a UserSecret in the clear, which nothing but that keeps from being stored", func(ctx context.Context) {
		o := sample("UserSecret")
		Expect(refusals(admin.Create(ctx, o.DeepCopy(), client.FieldValidation("Strict")))).To(ConsistOf(valueForbidden))
		put(o, "spec.value", absent)
		put(o, "spec.encryptedValue", "us1.v1-3f9a2c1b.AAAA")
		Expect(admin.Create(ctx, o, client.DryRunAll, client.FieldValidation("Strict"))).To(Succeed())
		Expect(warnings.take()).To(BeEmpty())
	})

	It("have a UserSecret of the shipped catalogue, whose value looks right there", func() {
		var secret v1alpha1.UserSecret
		typed(sample("UserSecret"), &secret)
		entry, err := catalogue.Type(provider(secret.Spec.Provider), secret.Spec.Type)
		Expect(err).NotTo(HaveOccurred())
		Expect(catalogue.CheckPattern(entry, secretvalue.FromString(*secret.Spec.Value))).To(Succeed())
	})

	It("have a pod that asks for that UserSecret, in its namespace", func() {
		var pod corev1.Pod
		typed(sample("Pod"), &pod)
		request, err := inject.ParseRequest(&pod, inject.Limits{})
		Expect(err).NotTo(HaveOccurred())
		Expect(request.Items).To(HaveExactElements(inject.Item{Provider: at(sample("UserSecret"), "spec.provider").(string)}))
		Expect(pod.Namespace).To(Equal(namespace))
		Expect(request.Workflow).NotTo(BeEmpty())
		Expect(request.Node).NotTo(BeEmpty())
	})

	It("have a SecretProvider that the shipped catalogue does not", func() {
		Expect(names(manifests(filepath.Join(configFolder, "providers")))).NotTo(ContainElement(names([]*unstructured.Unstructured{sample("SecretProvider")})[0]))
	})
})

// sample is the one of a kind.
func sample(kind string) *unstructured.Unstructured {
	GinkgoHelper()
	all := manifests(samples)
	i := slices.IndexFunc(all, func(o *unstructured.Unstructured) bool { return o.GetKind() == kind })
	Expect(i).NotTo(Equal(-1), "no sample of a %s", kind)
	return all[i]
}

// provider is one of the shipped catalogue.
func provider(name string) *v1alpha1.SecretProvider {
	GinkgoHelper()
	for _, o := range manifests(filepath.Join(configFolder, "providers")) {
		if o.GetName() == name {
			found := &v1alpha1.SecretProvider{}
			typed(o, found)
			return found
		}
	}
	Fail("the catalogue has no " + name)
	return nil
}

func typed(o *unstructured.Unstructured, into any) {
	GinkgoHelper()
	Expect(runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, into, true)).To(Succeed())
}
