package policy

import (
	"context"
	"maps"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

const podMetadataPolicy = "usersecrets-pod-metadata"

const (
	stampedMessage = "the label usersecrets.dev/injected and the annotations usersecrets.dev/projection and " +
		"usersecrets.dev/requested-by are stamped at admission on pods that ask for values: remove them, or name the " +
		"values in the annotation usersecrets.dev/inject."
	requestedByMessage = "the annotation usersecrets.dev/requested-by is stamped at admission with the username that " +
		"creates the pod: remove it."
	immutableMessage = "the labels and annotations usersecrets.dev/* of a pod never change after its creation: create " +
		"another pod with the ones that you want."
	runningMessage = "whoever puts another image or container into a pod that was issued values can read them: that takes the " +
		"right to create pods in its namespace."
)

// takeovers are the ways to have something else run with a running pod's volumes.
var takeovers = map[string]func(context.Context, client.Client, *corev1.Pod) error{
	"another image": func(ctx context.Context, c client.Client, p *corev1.Pod) error {
		p.Spec.Containers[0].Image = "example.invalid/other"
		return c.Update(ctx, p)
	},
	"another image, patched": func(ctx context.Context, c client.Client, p *corev1.Pod) error {
		return c.Patch(ctx, p, client.RawPatch(types.JSONPatchType, []byte(`[{"op":"replace","path":"/spec/containers/0/image","value":"example.invalid/other"}]`)))
	},
	"another image of an init container": func(ctx context.Context, c client.Client, p *corev1.Pod) error {
		p.Spec.InitContainers[0].Image = "example.invalid/other"
		return c.Update(ctx, p)
	},
	"an ephemeral container": func(ctx context.Context, c client.Client, p *corev1.Pod) error {
		p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: "debugger", Image: "example.invalid/other", TerminationMessagePolicy: corev1.TerminationMessageReadFile,
			VolumeMounts: []corev1.VolumeMount{{Name: "usersecrets", MountPath: "/stolen"}},
		}}}
		return c.SubResource("ephemeralcontainers").Update(ctx, p)
	},
}

// issuedPod is an injected one with its projection as a volume.
func issuedPod(namespace, name, username string) *corev1.Pod {
	p := injectedPod(namespace, name, username, "usersecret-mine")
	p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "example.invalid/init"}}
	p.Spec.Volumes = []corev1.Volume{{Name: "usersecrets", VolumeSource: corev1.VolumeSource{
		Secret: &corev1.SecretVolumeSource{SecretName: "usersecret-mine"},
	}}}
	return p
}

// podWrites are the ways to write a pod that carry its metadata along.
var podWrites = map[string]func(context.Context, client.Client, *corev1.Pod) error{
	"pods": func(ctx context.Context, c client.Client, p *corev1.Pod) error { return c.Update(ctx, p) },
	"pods/status": func(ctx context.Context, c client.Client, p *corev1.Pod) error {
		return c.Status().Update(ctx, p)
	},
}

var _ = Describe("What admission stamped on a pod", func() {
	var namespace string

	BeforeEach(func(ctx context.Context) {
		namespace = newNamespace(ctx)
	})

	DescribeTable("is not accepted without inject",
		func(ctx context.Context, edit func(*corev1.Pod)) {
			forged := pod(namespace, "forged")
			forged.Labels, forged.Annotations = map[string]string{}, map[string]string{}
			edit(forged)
			Expect(as(bob).Create(ctx, forged)).To(beDenied(podMetadataPolicy, stampedMessage))
		},
		Entry("the label", func(p *corev1.Pod) { p.Labels[v1alpha1.InjectedLabel] = "true" }),
		Entry("the label, with another value", func(p *corev1.Pod) { p.Labels[v1alpha1.InjectedLabel] = "" }),
		Entry("the projection", func(p *corev1.Pod) { p.Annotations[v1alpha1.ProjectionAnnotation] = "usersecret-of-alice" }),
		Entry("the requester", func(p *corev1.Pod) { p.Annotations[v1alpha1.RequestedByAnnotation] = bob }),
		Entry("all, with an empty inject", func(p *corev1.Pod) {
			p.Labels[v1alpha1.InjectedLabel] = "true"
			p.Annotations[v1alpha1.ProjectionAnnotation] = "usersecret-of-alice"
			p.Annotations[v1alpha1.InjectAnnotation] = ""
		}),
	)

	It("names whoever creates the pod, and nobody else", func(ctx context.Context) {
		forged := injectedPod(namespace, "forged", alice, "usersecret-mine")
		Expect(as(bob).Create(ctx, forged)).To(beDenied(podMetadataPolicy, requestedByMessage))
		Expect(as(alice).Create(ctx, forged)).To(Succeed())
	})

	DescribeTable("and every other key of ours never changes",
		func(ctx context.Context, edit func(*corev1.Pod)) {
			running := injectedPod(namespace, "running", bob, "usersecret-mine")
			running.Annotations[v1alpha1.TTLAnnotation] = "30m"
			Expect(as(bob).Create(ctx, running)).To(Succeed())
			for way, write := range podWrites {
				changed := running.DeepCopy()
				edit(changed)
				Expect(write(ctx, as(bob), changed)).To(beDenied(podMetadataPolicy, immutableMessage), way)
			}
		},
		Entry("projection changed", func(p *corev1.Pod) { p.Annotations[v1alpha1.ProjectionAnnotation] = "usersecret-of-alice" }),
		Entry("projection removed", func(p *corev1.Pod) { delete(p.Annotations, v1alpha1.ProjectionAnnotation) }),
		Entry("requester changed", func(p *corev1.Pod) { p.Annotations[v1alpha1.RequestedByAnnotation] = alice }),
		Entry("inject changed", func(p *corev1.Pod) { p.Annotations[v1alpha1.InjectAnnotation] = "slack" }),
		Entry("inject emptied", func(p *corev1.Pod) { p.Annotations[v1alpha1.InjectAnnotation] = "" }),
		Entry("ttl changed", func(p *corev1.Pod) { p.Annotations[v1alpha1.TTLAnnotation] = "720h" }),
		Entry("workflow added", func(p *corev1.Pod) { p.Annotations[v1alpha1.WorkflowAnnotation] = "w" }),
		Entry("an empty annotation added", func(p *corev1.Pod) { p.Annotations["usersecrets.dev/later"] = "" }),
		Entry("all annotations removed", func(p *corev1.Pod) { p.Annotations = nil }),
		Entry("label changed", func(p *corev1.Pod) { p.Labels[v1alpha1.InjectedLabel] = "false" }),
		Entry("label removed", func(p *corev1.Pod) { p.Labels = nil }),
		Entry("everything removed", func(p *corev1.Pod) { p.Labels, p.Annotations = nil, nil }),
		Entry("a label added", func(p *corev1.Pod) { p.Labels["usersecrets.dev/later"] = "" }),
	)

	DescribeTable("is not put on a running pod afterwards",
		func(ctx context.Context, edit func(*corev1.Pod)) {
			running := pod(namespace, "running")
			Expect(as(bob).Create(ctx, running)).To(Succeed())
			for way, write := range podWrites {
				changed := running.DeepCopy()
				changed.Labels, changed.Annotations = map[string]string{}, map[string]string{}
				edit(changed)
				Expect(write(ctx, as(bob), changed)).To(beDenied(podMetadataPolicy, immutableMessage), way)
			}
		},
		Entry("the label", func(p *corev1.Pod) { p.Labels[v1alpha1.InjectedLabel] = "true" }),
		Entry("everything", func(p *corev1.Pod) {
			stamped := injectedPod("", "", bob, "usersecret-of-alice")
			p.Labels, p.Annotations = stamped.Labels, stamped.Annotations
		}),
	)

	It("cannot be changed through ephemeralcontainers and resize, which leave metadata alone", func(ctx context.Context) {
		running := injectedPod(namespace, "running", bob, "usersecret-mine")
		quantity := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}
		running.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: quantity}
		Expect(as(bob).Create(ctx, running)).To(Succeed())
		for _, subresource := range []string{"ephemeralcontainers", "resize"} {
			changed := running.DeepCopy()
			changed.Annotations[v1alpha1.ProjectionAnnotation] = "usersecret-of-alice"
			changed.Labels = nil
			// Either is fine: refused, or carried out without the metadata.
			_ = as(bob).SubResource(subresource).Update(ctx, changed)
			stored := &corev1.Pod{}
			Expect(admin.Get(ctx, client.ObjectKeyFromObject(running), stored)).To(Succeed())
			Expect(stored.Annotations).To(Equal(running.Annotations), subresource)
			Expect(stored.Labels).To(Equal(running.Labels), subresource)
		}
	})

	It("is reached by nobody who may change pods and not create them", func(ctx context.Context) {
		const patcher = "test:pod-patcher"
		bindRole(ctx, patcher, namespace, rbacv1.PolicyRule{
			APIGroups: []string{""}, Resources: []string{"pods", "pods/ephemeralcontainers"}, Verbs: []string{"get", "update", "patch"},
		})
		Eventually(ctx, func(ctx context.Context) bool {
			return may(ctx, patcher, namespace, "", "pods", []string{"update", "patch"})
		}).WithTimeout(enforcementTimeout).WithPolling(enforcementPoll).Should(BeTrue())

		issued, plain := issuedPod(namespace, "issued", bob), issuedPod(namespace, "plain", bob)
		plain.Labels, plain.Annotations, plain.Spec.Volumes[0].Secret.SecretName = nil, nil, "settings"
		for _, p := range []*corev1.Pod{issued, plain} {
			Expect(as(bob).Create(ctx, p)).To(Succeed())
		}
		for way, take := range takeovers {
			Expect(take(ctx, impersonate(patcher), issued.DeepCopy())).To(beDenied(podMetadataPolicy, runningMessage), way)
		}
		for way, take := range takeovers {
			current := &corev1.Pod{}
			for _, c := range []struct {
				who client.Client
				pod *corev1.Pod
			}{{impersonate(patcher), plain}, {as(bob), issued}} {
				Expect(admin.Get(ctx, client.ObjectKeyFromObject(c.pod), current)).To(Succeed())
				Expect(take(ctx, c.who, current)).To(Succeed(), way)
			}
		}

		deadline := int64(600)
		current := &corev1.Pod{}
		Expect(admin.Get(ctx, client.ObjectKeyFromObject(issued), current)).To(Succeed())
		current.Spec.ActiveDeadlineSeconds = &deadline
		Expect(impersonate(patcher).Update(ctx, current)).To(Succeed(), "what does not reach a value may be changed")
	})

	It("leaves other keys, and pods without ours, alone", func(ctx context.Context) {
		for _, p := range []*corev1.Pod{
			pod(namespace, "plain"), injectedPod(namespace, "injected", bob, "usersecret-mine"),
		} {
			Expect(as(bob).Create(ctx, p)).To(Succeed())
			for way, write := range podWrites {
				changed := p.DeepCopy()
				changed.Labels, changed.Annotations = maps.Clone(p.Labels), maps.Clone(p.Annotations)
				changed.SetAnnotations(with(changed.Annotations, "example.com/usersecrets.dev", way))
				changed.SetLabels(with(changed.Labels, "usersecrets", "yes"))
				Expect(write(ctx, as(bob), changed)).To(Succeed(), way)
				p = changed
			}
			Expect(as(bob).Delete(ctx, p)).To(Succeed())
		}
	})
})

// with is the map with one more entry.
func with(m map[string]string, key, value string) map[string]string {
	grown := maps.Clone(m)
	if grown == nil {
		grown = map[string]string{}
	}
	grown[key] = value
	return grown
}
