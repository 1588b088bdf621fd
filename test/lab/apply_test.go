package lab_test

import (
	"context"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"usersecrets.dev/operator/test/lab"
)

// manifests writes files and returns their folder.
func manifests(files map[string]string) string {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	for name, content := range files {
		Expect(os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600)).To(Succeed())
	}
	return dir
}

const beads = `
# Comes after its instances in the folder's order.
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: beads.lab.example.com}
spec:
  group: lab.example.com
  scope: Namespaced
  names: {kind: Bead, plural: beads, singular: bead}
  versions:
    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
apiVersion: v1
kind: Namespace
metadata: {name: beadwork}
---
`

var _ = Describe("Apply", func() {
	It("applies a folder, definitions first, and passes each object through the edits", func(ctx context.Context) {
		dir := manifests(map[string]string{
			"a.yaml":             "{apiVersion: lab.example.com/v1, kind: Bead, metadata: {name: red, namespace: beadwork}}",
			"b.yaml":             "---\n{apiVersion: lab.example.com/v1, kind: Bead, metadata: {name: blue, namespace: beadwork}}\n",
			"z.yaml":             beads,
			"kustomization.yaml": "resources: [a.yaml]",
			"notes.txt":          "no manifest",
		})
		edit := func(object *unstructured.Unstructured) error {
			if object.GetName() == "blue" {
				return lab.Skip
			}
			object.SetLabels(map[string]string{"edited": "yes"})
			return nil
		}
		Expect(control.Apply(ctx, []string{dir}, edit)).To(Succeed())

		api, err := dynamic.NewForConfig(control.Admin())
		Expect(err).NotTo(HaveOccurred())
		list, err := api.Resource(schema.GroupVersionResource{Group: "lab.example.com", Version: "v1", Resource: "beads"}).
			List(ctx, metav1.ListOptions{LabelSelector: "edited=yes"})
		Expect(err).NotTo(HaveOccurred())
		Expect(list.Items).To(HaveLen(1))
		Expect(list.Items[0].GetName()).To(Equal("red"))
		Expect(list.Items[0].GetManagedFields()[0].Manager).To(Equal("lab"))
	})

	It("does not wait for what will not come", func(ctx context.Context) {
		dir := manifests(map[string]string{"a.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: lost, namespace: never-made}}"})
		err := control.Apply(ctx, []string{dir})
		Expect(err).To(MatchError(And(
			ContainSubstring("applying ConfigMap never-made/lost: "), ContainSubstring(`namespaces "never-made" not found`),
		)))
	})

	DescribeTable("refuses what is no manifest, naming the file",
		func(ctx context.Context, content, want string) {
			dir := manifests(map[string]string{"a.yaml": content})
			Expect(control.Apply(ctx, []string{dir})).To(MatchError(And(ContainSubstring("a.yaml"), ContainSubstring(want))))
		},
		Entry("no kind", "{apiVersion: v1, metadata: {name: x}}", "has no apiVersion, kind or metadata.name"),
		Entry("a key twice", "{apiVersion: v1, apiVersion: v1, kind: ConfigMap, metadata: {name: x}}", "already set"),
	)

	It("asks for the namespace that is missing", func(ctx context.Context) {
		dir := manifests(map[string]string{"a.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: homeless}}"})
		err := control.Apply(ctx, []string{dir})
		Expect(err).To(MatchError(And(ContainSubstring("applying ConfigMap homeless: "), ContainSubstring("it has no metadata.namespace"))))
	})

	It("refuses a folder without manifests", func(ctx context.Context) {
		Expect(control.Apply(ctx, []string{GinkgoT().TempDir()})).To(MatchError(ContainSubstring("holds no *.yaml")))
	})

	It("returns when policies are enforced", func(ctx context.Context) {
		dir := manifests(map[string]string{"policy.yaml": `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-blue}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  validations: [{expression: "object.metadata.name != 'blue'", message: "no blue here"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-blue}
spec: {policyName: no-blue, validationActions: [Deny]}
`})
		Expect(control.Apply(ctx, []string{dir})).To(Succeed())
		blue := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "blue"}}
		_, err := admin.CoreV1().ConfigMaps("default").Create(ctx, blue, metav1.CreateOptions{})
		Expect(err).To(MatchError(ContainSubstring("no blue here"))) // at once: nothing waits here

		registry := admin.AdmissionregistrationV1()
		policies, err := registry.ValidatingAdmissionPolicies().List(ctx, metav1.ListOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(policies.Items).To(HaveLen(1), "the canary is gone")
		Expect(registry.ValidatingAdmissionPolicies().Delete(ctx, "no-blue", metav1.DeleteOptions{})).To(Succeed())
		Expect(registry.ValidatingAdmissionPolicyBindings().Delete(ctx, "no-blue", metav1.DeleteOptions{})).To(Succeed())
		Expect(control.AwaitAdmission(ctx)).To(Succeed())
	})
})

var _ = Describe("AwaitAdmission", func() {
	It("takes its canary away when it may not wait to the end", func(ctx context.Context) {
		short, cancel := context.WithCancel(ctx)
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- control.AwaitAdmission(short) }()
		bindings := func() int {
			list, err := admin.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().List(ctx, metav1.ListOptions{})
			Expect(err).NotTo(HaveOccurred())
			return len(list.Items)
		}
		Eventually(bindings).WithPolling(time.Millisecond).Should(Equal(1))
		cancel()
		Eventually(ended).Should(Receive(Or(BeNil(), MatchError(context.Canceled))))
		Expect(bindings()).To(BeZero())
	})
})

var _ = Describe("WebhookURL", func() {
	It("turns a service into a URL, and leaves everything else", func() {
		dir := manifests(map[string]string{"hooks.yaml": `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: hooks}
webhooks:
  - {name: served, clientConfig: {caBundle: Q0E=, service: {name: s, namespace: n, path: /mutate}}}
  - {name: by-url, clientConfig: {url: "https://elsewhere/x"}}
---
{apiVersion: v1, kind: Service, metadata: {name: s, namespace: n}}
`})
		objects, err := lab.ReadManifests([]string{dir}, lab.WebhookURL("https://127.0.0.1:9443"))
		Expect(err).NotTo(HaveOccurred())
		Expect(objects).To(HaveLen(2))
		Expect(objects[0].Object["webhooks"]).To(Equal([]any{
			map[string]any{"name": "served", "clientConfig": map[string]any{"caBundle": "Q0E=", "url": "https://127.0.0.1:9443/mutate"}},
			map[string]any{"name": "by-url", "clientConfig": map[string]any{"url": "https://elsewhere/x"}},
		}))
	})
})

var _ = Describe("Await", func() {
	It("says what it waited for in vain", func(ctx context.Context) {
		short, cancel := context.WithTimeout(ctx, 2*polling)
		defer cancel()
		err := lab.Await(short, "rain", func(context.Context) (bool, error) { return false, nil })
		Expect(err).To(MatchError(lab.ErrTimeout))
		Expect(err).To(MatchError(HavePrefix("waiting for rain")))
	})

	It("stops at the probe's error", func(ctx context.Context) {
		started := time.Now()
		err := lab.Await(ctx, "rain", func(context.Context) (bool, error) { return false, os.ErrPermission })
		Expect(err).To(MatchError(os.ErrPermission))
		Expect(time.Since(started)).To(BeNumerically("<", eventually))
	})
})

var _ = Describe("FreePort", func() {
	It("never hands out a port twice", func() {
		seen := map[int]bool{}
		// The system alone would repeat itself here and there: 2000 of its 28000.
		for range 2000 {
			port, err := lab.FreePort()
			Expect(err).NotTo(HaveOccurred())
			Expect(seen).NotTo(HaveKey(port))
			seen[port] = true
		}
	})
})
