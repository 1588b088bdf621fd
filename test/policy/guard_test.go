package policy

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/guard"
)

var installation = guard.Installation{Account: operator, Namespace: v1alpha1.OperatorNamespace, OwnerAnnotation: v1alpha1.OwnerAnnotation}

// look is what the operator's guard says about the policies after one look.
func look(ctx context.Context, goesBy guard.Installation) error {
	GinkgoHelper()
	once, cancel := context.WithTimeout(ctx, enforcementPoll*10)
	defer cancel()
	g := guard.New(as(operator), goesBy)
	Expect(g.Start(once)).To(Succeed())
	return g.Check()
}

var _ = Describe("The operator's guard", func() {
	It("knows every policy that ships, and kustomize applies each", func() {
		var names []string
		for _, object := range shipped("ValidatingAdmissionPolicy") {
			names = append(names, object.GetName())
		}
		Expect(guard.Names()).To(ConsistOf(names))
		var applied []string
		for _, object := range kustomized("default") {
			if object.GetKind() == "ValidatingAdmissionPolicy" {
				applied = append(applied, object.GetName())
			}
		}
		Expect(applied).To(ConsistOf(names))
	})

	It("is content with what ships, as the API server stores and enforces it", func(ctx context.Context) {
		Expect(look(ctx, installation)).To(Succeed())
	})

	It("is not, where a binding is missing", func(ctx context.Context) {
		without(ctx, sealingKeysPolicy, func() {
			Expect(look(ctx, installation)).To(MatchError(
				`admission policies are not in place: binding "usersecrets-sealing-keys" is missing: apply config/policy`))
		})
	})

	It("is content with another annotation where flag and policy agree, as the component has them", func(ctx context.Context) {
		kubeflow := installation
		kubeflow.OwnerAnnotation = "owner"
		Expect(look(ctx, kubeflow)).To(MatchError(`admission policies are not in place: policy "usersecrets-namespace-owner" does not know the annotation 'owner': ` +
			"put it in the place of 'usersecrets.dev/owner' in the policy's expressions"))

		changed, stored := &admissionv1.ValidatingAdmissionPolicy{}, &admissionv1.ValidatingAdmissionPolicy{}
		into(kustomized("default", "owner-annotation"), namespaceOwnerPolicy, changed)
		Expect(admin.Get(ctx, client.ObjectKey{Name: namespaceOwnerPolicy}, stored)).To(Succeed())
		was := stored.Spec
		replace := func(ctx context.Context, spec admissionv1.ValidatingAdmissionPolicySpec) {
			stored.Spec = spec
			Expect(admin.Update(ctx, stored)).To(Succeed())
		}
		replace(ctx, changed.Spec)
		DeferCleanup(func(ctx context.Context) {
			replace(ctx, was)
			waitFor(namespaceOwnerPolicy, probes(ctx, newNamespace(ctx))[namespaceOwnerPolicy])
		})
		Expect(look(ctx, kubeflow)).To(Succeed())
		Expect(look(ctx, installation)).To(MatchError(`admission policies are not in place: policy "usersecrets-namespace-owner" does not know the annotation ` +
			`'usersecrets.dev/owner': apply this version's config/policy`))

		deployment := &appsv1.Deployment{}
		into(kustomized("default", "owner-annotation"), v1alpha1.OperatorName, deployment)
		Expect(deployment.Spec.Template.Spec.Containers[0].Args).To(ContainElement("--owner-annotation=owner"))
	})
})

var _ = Describe("The components that narrow who calls the webhooks", func() {
	It("are valid, and know the ports and pods of the Deployment", func(ctx context.Context) {
		makeOperatorNamespace(ctx)
		objects := kustomized("default", "network-policy", "webhook-client-ca")
		network, deployment := &networkingv1.NetworkPolicy{}, &appsv1.Deployment{}
		into(objects, v1alpha1.OperatorName, network)
		into(objects, v1alpha1.OperatorName, deployment)
		Expect(admin.Create(ctx, network, client.DryRunAll)).To(Succeed())
		Expect(admin.Create(ctx, deployment, client.DryRunAll)).To(Succeed())

		pod := deployment.Spec.Template
		for key, value := range network.Spec.PodSelector.MatchLabels {
			Expect(pod.Labels).To(HaveKeyWithValue(key, value))
		}
		ports := map[string]bool{}
		for _, port := range pod.Spec.Containers[0].Ports {
			ports[port.Name] = true
		}
		for _, rule := range network.Spec.Ingress {
			for _, port := range rule.Ports {
				Expect(ports).To(HaveKey(port.Port.StrVal))
				if len(rule.From) == 0 {
					Expect(port.Port.StrVal).To(Equal("health"), "open to everybody")
				}
			}
		}
		mount := pod.Spec.Containers[0].VolumeMounts[0]
		Expect(pod.Spec.Containers[0].Args).To(ContainElement("--webhook-client-ca-file=" + mount.MountPath + "/ca.crt"))
		Expect(pod.Spec.Volumes[0].Name).To(Equal(mount.Name))
	})
})

// kustomized are the objects of a folder of config with components on top.
func kustomized(folder string, components ...string) []*unstructured.Unstructured {
	GinkgoHelper()
	top := GinkgoT().TempDir()
	config, err := filepath.Abs(configFolder)
	Expect(err).NotTo(HaveOccurred())
	config, err = filepath.Rel(top, config)
	Expect(err).NotTo(HaveOccurred())
	overlay := map[string]any{"resources": []string{filepath.Join(config, folder)}}
	var named []string
	for _, component := range components {
		named = append(named, filepath.Join(config, "components", component))
	}
	overlay["components"] = named
	text, err := yaml.Marshal(overlay)
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(filepath.Join(top, "kustomization.yaml"), text, 0o600)).To(Succeed())

	kubectl := exec.Command(filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), "kustomize", top)
	var said bytes.Buffer
	kubectl.Stderr = &said
	rendered, err := kubectl.Output()
	Expect(err).NotTo(HaveOccurred(), said.String())
	file := filepath.Join(top, "rendered.yaml")
	Expect(os.WriteFile(file, rendered, 0o600)).To(Succeed())
	return documents(file)
}

// into decodes the object of target's kind and this name.
func into(objects []*unstructured.Unstructured, name string, target client.Object) {
	GinkgoHelper()
	gvk, err := admin.GroupVersionKindFor(target)
	Expect(err).NotTo(HaveOccurred())
	for _, object := range objects {
		if object.GroupVersionKind() == gvk && object.GetName() == name {
			Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, target)).To(Succeed())
			return
		}
	}
	Fail("no " + gvk.Kind + " " + name)
}
