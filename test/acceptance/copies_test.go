package acceptance_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/inject"
	"usersecrets.dev/operator/test/rig"
)

const notRequested = "the pod has no annotation usersecrets.dev/inject: name the secrets in it, or remove the Secret whose name " +
	"starts with usersecret- from the spec"

// Whoever may create pods in alice's namespace may have her value, which is not
// promised otherwise. It is recorded under the name of who does, and no two pods
// share a projection.
var _ = Describe("A pod that eve creates in alice's namespace", func() {
	var alice *estate
	var eve *rig.Person

	BeforeEach(func(ctx SpecContext) {
		alice = newEstate(ctx)
		eve = newMeddler(ctx, alice.Namespace)
	})

	It("is recorded under her own name, whatever it says", func(ctx SpecContext) {
		pod := workflowPod(alice.Namespace, "eves", "openai")
		pod.Annotations[v1alpha1.RequestedByAnnotation] = alice.Name
		pod.Annotations[v1alpha1.ProjectionAnnotation] = alice.projection.Name
		pod.Labels[v1alpha1.InjectedLabel] = "true"
		Expect(eve.Client.Create(ctx, pod)).To(Succeed())
		ownProjection(ctx, alice, pod)
		Expect(lastAccess(ctx, alice).Actor).To(Equal(eve.Name))
	})

	It("gets one of its own in place of one that it names as a copy would", func(ctx SpecContext) {
		pod := plainPod(alice.Namespace, "eves")
		pod.Spec.Containers[0].EnvFrom = envFromAll(alice.projection.Name)
		Expect(eve.Client.Create(ctx, pod)).To(Succeed())
		ownProjection(ctx, alice, pod)
		Expect(lastAccess(ctx, alice).Actor).To(Equal(eve.Name))
	})

	It("names nothing that was issued before beside what it gets", func(ctx SpecContext) {
		pod := plainPod(alice.Namespace, "eves")
		pod.Spec.Containers[0].EnvFrom = envFromAll(alice.projection.Name)
		pod.Spec.Containers[0].Env = envFromKey(alice.projection.Name)
		alice.refuses(eve.Client.Create(ctx, pod), byPolicy("pod-secret-names")+envReserved)
		alice.untouched(ctx)
	})

	It("gets nothing by claiming alice's for its own, and is told what to do", func(ctx SpecContext) {
		pod := plainPod(alice.Namespace, "eves")
		pod.Annotations = map[string]string{v1alpha1.ProjectionAnnotation: alice.projection.Name}
		pod.Spec.Volumes = []corev1.Volume{{Name: "claimed", VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: alice.projection.Name},
		}}}
		alice.refuses(eve.Client.Create(ctx, pod), byWebhook("inject"), notRequested)
		alice.untouched(ctx)
	})

	It("gets nothing by naming what nobody was issued", func(ctx SpecContext) {
		pod := plainPod(alice.Namespace, "eves")
		pod.Spec.Containers[0].EnvFrom = envFromAll("usersecret-nobodys")
		alice.refuses(eve.Client.Create(ctx, pod), byWebhook("inject"), issuedToAnother)
		alice.untouched(ctx)
	})
})

var _ = Describe("kubectl debug --copy-to", func() {
	var alice *estate
	var operations *rig.Person

	BeforeEach(func(ctx SpecContext) {
		alice = newEstate(ctx)
		operations = newMeddler(ctx, alice.Namespace)
	})

	DescribeTable("of an injected pod makes one with a projection of its own",
		func(ctx SpecContext, as, container string, flags ...string) {
			original := workflowPod(alice.Namespace, "original", "openai")
			original.Spec.InitContainers = []corev1.Container{{Name: "prepare", Image: "example.invalid/prepare"}}
			if container != "" {
				original.Annotations[v1alpha1.ContainersAnnotation] = container
			}
			original.Annotations[v1alpha1.InjectAsAnnotation] = as
			original.Annotations[v1alpha1.TTLAnnotation] = "2h"
			start(ctx, original)
			before := projectionOf(ctx, original)

			args := append([]string{"debug", "original", "-n", alice.Namespace, "--copy-to=copied", "--image=example.invalid/debug",
				"--container=debugger", "--attach=false", "--quiet"}, flags...)
			result := operations.Kubectl(ctx, "", args...)
			Expect(result.Err()).NotTo(HaveOccurred())
			alice.untold(result.Stdout + result.Stderr)

			copied := &corev1.Pod{}
			Expect(product.Client.Get(ctx, types.NamespacedName{Namespace: alice.Namespace, Name: "copied"}, copied)).To(Succeed())
			Expect(copied.Annotations).To(HaveKeyWithValue(v1alpha1.TTLAnnotation, "2h"), "it asks for what the original asked for")
			ownProjection(ctx, alice, copied)
			Expect(projectionKey(copied)).NotTo(Equal(projectionKey(original)))
			Expect(lastAccess(ctx, alice).Actor).To(Equal(operations.Name))

			// Each goes with its own pod.
			finish(ctx, copied)
			Eventually(func() error { return product.Client.Get(ctx, projectionKey(copied), &corev1.Secret{}) }).ShouldNot(Succeed())
			after := &corev1.Secret{}
			Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(before), after)).To(Succeed())
			Expect(after.Data).To(Equal(before.Data))
		},
		Entry("as files, with its annotations", "volume", "", "--keep-annotations"),
		Entry("as files, without its annotations", "volume", ""),
		Entry("as files, with its annotations and labels", "volume", "", "--keep-annotations", "--keep-labels"),
		Entry("as variables, with its annotations", "env", "", "--keep-annotations"),
		Entry("as variables, without its annotations", "env", ""),
		Entry("as variables, under another profile", "env", "", "--profile=general"),
		Entry("as variables of an init container alone", "env", "prepare"),
	)

	It("of a pod that is gone by then is refused with the remedy", func(ctx SpecContext) {
		manifest := alice.pod.DeepCopy()
		manifest.ObjectMeta = metav1.ObjectMeta{Namespace: alice.Namespace, Name: "late"}
		Expect(product.Client.Delete(ctx, alice.pod.DeepCopy())).To(Succeed())
		Eventually(func() error { return operations.Client.Create(ctx, manifest.DeepCopy(), client.DryRunAll) }).
			Should(MatchError(And(ContainSubstring(byWebhook("inject")), ContainSubstring(issuedToAnother))))
	})
})

// ownProjection expects that a pod has alice's value by a projection of its own,
// and names no other.
func ownProjection(ctx context.Context, alice *estate, pod *corev1.Pod) {
	GinkgoHelper()
	own := projectionOf(ctx, pod)
	Expect(own.Name).NotTo(Equal(alice.projection.Name))
	Expect(own.Annotations).To(HaveKeyWithValue(v1alpha1.PodUIDAnnotation, string(pod.UID)))
	Expect(own.Data).To(Equal(map[string][]byte{"OPENAI_API_KEY": []byte(alice.value)}))
	for _, named := range inject.SecretNames(pod) {
		Expect(named.Name).To(Equal(own.Name), named.Path)
	}
}

// lastAccess is the newest record of a use of alice's value.
func lastAccess(ctx context.Context, alice *estate) v1alpha1.Access {
	GinkgoHelper()
	us := &v1alpha1.UserSecret{}
	Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(alice.userSecret), us)).To(Succeed())
	Expect(us.Status.RecentAccesses).NotTo(BeEmpty())
	return us.Status.RecentAccesses[0]
}
