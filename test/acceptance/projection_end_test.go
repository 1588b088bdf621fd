package acceptance_test

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/test/rig"
)

// running is a pod of a user, on a node, with its projection in place.
func running(ctx context.Context, owner *rig.Person, name string) (*corev1.Pod, *corev1.Secret) {
	GinkgoHelper()
	pod := start(ctx, asking(owner.Namespace, name, "openai"))
	issued := projectionOf(ctx, pod)
	bind(ctx, pod)
	return pod, issued
}

// steadily is how many looks in a row must see the same. A Secret that was under
// way when its pod went is collected a moment after it came.
const steadily = int(awhile / interval)

// goneFor waits until a pod is gone for good: no finalizer holds it.
func goneFor(ctx context.Context, pod *corev1.Pod) {
	GinkgoHelper()
	Eventually(func() error { return product.Client.Get(ctx, client.ObjectKeyFromObject(pod), &corev1.Pod{}) }).
		Should(MatchError(apierrors.IsNotFound, "the pod is gone"))
}

// still expects that a pod's projection stays as it is.
func still(ctx context.Context, pod *corev1.Pod, issued *corev1.Secret) {
	GinkgoHelper()
	Consistently(projected(ctx, pod)).Should(HaveLen(len(issued.Data)))
	untouched(ctx, pod, issued)
}

var _ = Describe("A projection's end", func() {
	It("is that of its pod, however that ends", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		storeOpenAI(ctx, alice, "phases")
		for _, phase := range []corev1.PodPhase{corev1.PodSucceeded, corev1.PodFailed} {
			pod, issued := running(ctx, alice, strings.ToLower(string(phase)))
			pod.Status.Phase = corev1.PodRunning
			Expect(product.Client.Status().Update(ctx, pod)).To(Succeed())
			still(ctx, pod, issued)
			pod.Status.Phase = phase
			Expect(product.Client.Status().Update(ctx, pod)).To(Succeed())
			vanishes(ctx, issued)
			missing(ctx, pod)
		}
	})

	It("is the deletion of its pod, once that has stopped", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		storeOpenAI(ctx, alice, "deleted")
		pod, issued := running(ctx, alice, "step")
		Expect(product.Client.Delete(ctx, pod)).To(Succeed())
		By("while it stops it may still need its values")
		still(ctx, pod, issued)
		By("as its kubelet says that it has stopped")
		Expect(product.Client.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
		goneFor(ctx, pod)
		vanishes(ctx, issued)
	})

	It("does not wait for a pod that is already stopping", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		pod := start(ctx, asking(alice.Namespace, "step", "openai"))
		bind(ctx, pod)
		Expect(product.Client.Delete(ctx, pod)).To(Succeed())
		openai := storeOpenAI(ctx, alice, "stopping")
		missing(ctx, pod)
		Expect(countOf(ctx, openai)).To(BeZero())
	})

	DescribeTable("comes before that of a pod whose deletion waits for its dependents",
		func(ctx SpecContext, cascade string) {
			alice := newUser(ctx, "alice")
			storeOpenAI(ctx, alice, cascade)
			waiting := start(ctx, asking(alice.Namespace, "unscheduled", "openai"))
			first := projectionOf(ctx, waiting)
			deleteBy(ctx, waiting, cascade)
			goneFor(ctx, waiting)
			vanishes(ctx, first)

			pod, issued := running(ctx, alice, "scheduled")
			deleteBy(ctx, pod, cascade)
			if cascade == "orphan" {
				By("a finalizer holds the pod, and its projection cannot be cut loose from it")
				still(ctx, pod, issued)
			}
			Expect(client.IgnoreNotFound(product.Client.Delete(ctx, pod, client.GracePeriodSeconds(0)))).To(Succeed())
			goneFor(ctx, pod)
			vanishes(ctx, issued)
			Expect(projectionsIn(ctx, alice.Namespace)()).To(BeEmpty())
		},
		Entry("kubectl delete --cascade=orphan", "orphan"),
		Entry("kubectl delete --cascade=foreground", "foreground"),
	)

	It("comes even where a pod of the same name follows at once", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		openai := storeOpenAI(ctx, alice, "replaced")
		var last *corev1.Pod
		for range 5 {
			if last != nil {
				Expect(product.Client.Delete(ctx, last)).To(Succeed())
			}
			last = start(ctx, asking(alice.Namespace, "step", "openai"))
		}
		gets(ctx, last, values{"OPENAI_API_KEY": openAIKey("replaced")})
		Eventually(projectionsIn(ctx, alice.Namespace)).MustPassRepeatedly(steadily).Should(ConsistOf(projectionKey(last).Name))
		Expect(countOf(ctx, openai)).To(BeNumerically("<=", 5))
	})

	It("comes even where a pod was gone before it was served", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		storeOpenAI(ctx, alice, "hasty")
		for n := range 10 {
			pod := start(ctx, asking(alice.Namespace, fmt.Sprintf("step-%d", n), "openai"))
			Expect(product.Client.Delete(ctx, pod)).To(Succeed())
		}
		Eventually(projectionsIn(ctx, alice.Namespace)).MustPassRepeatedly(steadily).Should(BeEmpty())
	})

	It("is that of its namespace, with all else in it", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		storeOpenAI(ctx, alice, "namespace")
		for n := range 3 {
			projectionOf(ctx, start(ctx, asking(alice.Namespace, fmt.Sprintf("step-%d", n), "openai")))
		}
		start(ctx, asking(alice.Namespace, "waits", "openai, name:never-there"))
		ns := &corev1.Namespace{}
		ns.Name = alice.Namespace
		Expect(product.Client.Delete(ctx, ns)).To(Succeed())
		Eventually(func() error { return product.Client.Get(ctx, client.ObjectKeyFromObject(ns), ns) }).
			Should(MatchError(apierrors.IsNotFound, "the namespace is gone"))
		dump, err := product.DumpEtcd(ctx)
		Expect(err).NotTo(HaveOccurred())
		for stored := range dump {
			Expect(stored).NotTo(ContainSubstring("/"+alice.Namespace+"/"), "etcd holds nothing of the namespace")
		}
	})
})

// deleteBy deletes a pod with kubectl, which does not wait for it.
func deleteBy(ctx context.Context, pod *corev1.Pod, cascade string) {
	GinkgoHelper()
	result := product.Kubectl(ctx, product.AdminKubeconfig, nil, "delete", "pod", pod.Name, "-n", pod.Namespace, "--cascade="+cascade, "--wait=false")
	Expect(result.Err()).NotTo(HaveOccurred())
}
