package api_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/lab"
)

// shipped are the folders of config that an install applies.
var shipped = []string{"crd/bases", "manager", "rbac", "policy", "providers", "webhook"}

var _ = Describe("The shipped manifests", Ordered, func() {
	// Dry-run: what they install would guard, and so disturb, the other specs. The
	// namespace alone must be there for what lies in it.
	BeforeAll(func(ctx context.Context) {
		Expect(controlPlane.Apply(ctx, []string{filepath.Join(configFolder, "manager", "namespace.yaml")})).To(Succeed())
	})

	DescribeTable("are taken by the API server without a warning, as create has it and as apply does", func(ctx context.Context, folder string) {
		for _, o := range manifests(filepath.Join(configFolder, folder)) {
			what := o.GetKind() + " " + o.GetName()
			Expect(admin.Create(ctx, o.DeepCopy(), client.DryRunAll, client.FieldValidation("Strict"))).
				To(Or(Succeed(), MatchError(apierrors.IsAlreadyExists, "is there")), what)
			Expect(apply(ctx, o.DeepCopy(), client.DryRunAll)).To(Succeed(), what)
			Expect(warnings.take()).To(BeEmpty(), what)
		}
	},
		Entry("CRDs", "crd/bases"),
		Entry("manager", "manager"),
		Entry("RBAC", "rbac"),
		Entry("policies", "policy"),
		Entry("webhooks", "webhook"),
		Entry("catalogue", "providers"),
	)

	DescribeTable("come whole with kustomize", func(folder, files string) {
		Expect(resourcesOf(folder)).To(ConsistOf(without("kustomization.yaml", filesOf(folder, files))))
	},
		Entry("CRDs", "crd", "bases/*.yaml"),
		Entry("manager", "manager", "*.yaml"),
		Entry("RBAC", "rbac", "*.yaml"),
		Entry("policies", "policy", "*.yaml"),
		Entry("webhooks", "webhook", "*.yaml"),
		Entry("catalogue", "providers", "*.yaml"),
	)

	It("come all with config/default", func(ctx context.Context) {
		var folders []string
		for _, file := range filesOf("", "*/kustomization.yaml") {
			folders = append(folders, "../"+filepath.Dir(file))
		}
		Expect(resourcesOf("default")).To(ConsistOf(without("../default", folders)))

		built := controlPlane.Kubectl(ctx, "", nil, "kustomize", filepath.Join(configFolder, "default"))
		Expect(built.Err()).NotTo(HaveOccurred())
		Expect(built.Stderr).To(BeEmpty())
		all := filepath.Join(GinkgoT().TempDir(), "all.yaml")
		Expect(os.WriteFile(all, []byte(built.Stdout), 0o600)).To(Succeed())
		var each []string
		for _, folder := range shipped {
			each = append(each, names(manifests(filepath.Join(configFolder, folder)))...)
		}
		Expect(names(manifests(all))).To(ConsistOf(each))
	})

	It("make a pod for the operator that its own namespace admits: Pod Security level restricted", func(ctx context.Context) {
		pod := &corev1.Pod{}
		for _, o := range manifests(filepath.Join(configFolder, "manager")) {
			if o.GetKind() == "Deployment" {
				template, err := json.Marshal(at(o, "spec.template"))
				Expect(err).NotTo(HaveOccurred())
				Expect(json.Unmarshal(template, pod)).To(Succeed())
			}
		}
		Expect(pod.Spec.Containers).NotTo(BeEmpty())
		pod.Namespace, pod.Name = v1alpha1.OperatorNamespace, "operator"
		Expect(admin.Create(ctx, pod.DeepCopy(), client.DryRunAll)).To(Succeed())

		pod.Spec.SecurityContext.RunAsNonRoot = nil
		Expect(admin.Create(ctx, pod, client.DryRunAll)).To(MatchError(ContainSubstring(`violates PodSecurity "restricted:latest"`)))
	})
})

func manifests(path string) []*unstructured.Unstructured {
	GinkgoHelper()
	objects, err := lab.ReadManifests([]string{path})
	Expect(err).NotTo(HaveOccurred())
	return objects
}

// filesOf are those below a folder of config that a pattern matches, as paths from that folder.
func filesOf(folder, pattern string) []string {
	GinkgoHelper()
	files, err := fs.Glob(os.DirFS(filepath.Join(configFolder, folder)), pattern)
	Expect(err).NotTo(HaveOccurred())
	Expect(files).NotTo(BeEmpty())
	return files
}

// resourcesOf are those that a folder's kustomization.yaml lists.
func resourcesOf(folder string) []string {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join(configFolder, folder, "kustomization.yaml"))
	Expect(err).NotTo(HaveOccurred())
	var kustomization struct {
		APIVersion string   `json:"apiVersion"`
		Kind       string   `json:"kind"`
		Resources  []string `json:"resources"`
	}
	Expect(yaml.UnmarshalStrict(text, &kustomization)).To(Succeed())
	return kustomization.Resources
}

func names(objects []*unstructured.Unstructured) []string {
	var all []string
	for _, o := range objects {
		all = append(all, o.GroupVersionKind().String()+" "+client.ObjectKeyFromObject(o).String())
	}
	return all
}
