package policy

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

const podBindingsPolicy = "usersecrets-pod-bindings"

const bindingMessage = "a Binding may not carry labels or annotations usersecrets.dev/*, which would be merged into " +
	"the pod: remove them."

func nodeBinding(namespace, pod string) *corev1.Binding {
	return &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: namespace},
		Target:     corev1.ObjectReference{Kind: "Node", Name: "node"},
	}
}

// stampingBinding would give the pod another's projection.
func stampingBinding(namespace, pod string) *corev1.Binding {
	b := nodeBinding(namespace, pod)
	b.Annotations = map[string]string{v1alpha1.ProjectionAnnotation: "usersecret-of-alice"}
	return b
}

var _ = Describe("A binding", func() {
	var waiting *corev1.Pod

	BeforeEach(func(ctx context.Context) {
		waiting = injectedPod(newNamespace(ctx), "waiting", bob, "usersecret-mine")
		Expect(as(bob).Create(ctx, waiting)).To(Succeed())
	})

	stampingLabel := func(namespace, pod string) *corev1.Binding {
		b := nodeBinding(namespace, pod)
		b.Labels = map[string]string{v1alpha1.InjectedLabel: "false"}
		return b
	}

	DescribeTable("stamps nothing on its pod",
		func(ctx context.Context, bind func(context.Context, *corev1.Binding) error) {
			Expect(bind(ctx, stampingBinding(waiting.Namespace, waiting.Name))).To(beDenied(podBindingsPolicy, bindingMessage))
			Expect(bind(ctx, stampingLabel(waiting.Namespace, waiting.Name))).To(beDenied(podBindingsPolicy, bindingMessage))

			plain := nodeBinding(waiting.Namespace, waiting.Name)
			plain.Annotations = map[string]string{"example.com/zone": "a"}
			Expect(bind(ctx, plain)).To(Succeed())
			bound := &corev1.Pod{}
			Expect(admin.Get(ctx, client.ObjectKeyFromObject(waiting), bound)).To(Succeed())
			Expect(bound.Spec.NodeName).To(Equal("node"))
			Expect(bound.Annotations).To(HaveKeyWithValue("example.com/zone", "a"), "bindings are merged into pods")
			Expect(bound.Annotations).To(HaveKeyWithValue(v1alpha1.ProjectionAnnotation, "usersecret-mine"))
		},
		Entry("pods/binding", func(ctx context.Context, b *corev1.Binding) error {
			return as(bob).SubResource("binding").Create(ctx, waiting, b)
		}),
		Entry("bindings", func(ctx context.Context, b *corev1.Binding) error {
			return as(bob).Create(ctx, b)
		}),
	)
})
