package acceptance_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// nothing is what a projection holds once it is emptied: it exists without data,
// so that no other Secret can take its place, and a volume of it stays mounted.
var nothing = values{}

// untouched expects that a projection is still the very Secret that was issued.
func untouched(ctx context.Context, pod *corev1.Pod, issued *corev1.Secret) {
	GinkgoHelper()
	Expect(projectionOf(ctx, pod).UID).To(Equal(issued.UID), "the Secret that was issued, and no other")
}

// inFuture is a time to come, in whole seconds as the API keeps it, and at least
// the seconds given away.
func inFuture(seconds int) *metav1.Time {
	at := metav1.NewTime(time.Now().Truncate(time.Second).Add(time.Duration(seconds+1) * time.Second))
	return &at
}

var _ = Describe("A pod's time to live", func() {
	const ttl = 3 * time.Second

	It("counts from the Secret's creation, and then the values are gone", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		openai := storeOpenAI(ctx, alice, "ttl")
		pod := start(ctx, asking(alice.Namespace, "step", "openai", map[string]string{v1alpha1.TTLAnnotation: ttl.String()}))
		issued := gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("ttl")})
		ends := issued.CreationTimestamp.Add(ttl)

		Eventually(projected(ctx, pod)).WithPolling(10 * time.Millisecond).Should(Equal(nothing))
		// A creation time has no fractions of a second.
		Expect(time.Now()).To(BeTemporally(">=", ends), "not before its time")
		Expect(time.Now()).To(BeTemporally("<", ends.Add(ttl)), "nor long after")
		Eventually(eventsOf(ctx, pod, "SecretRevoked")).Should(ConsistOf(
			"Secret " + issued.Name + " lost OPENAI_API_KEY: the pod's time to live of 3s is over"))

		By("and nothing brings them back")
		revalue(ctx, alice, openai, openAIKey("newer"))
		activate(ctx, alice, openai, false)
		activate(ctx, alice, openai, true)
		Consistently(projected(ctx, pod)).Should(Equal(nothing))
		untouched(ctx, pod, issued)
		Expect(countOf(ctx, openai)).To(Equal(1))
	})

	It("does not start anew when a value comes late or changes", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		openai := storeOpenAI(ctx, alice, "first")
		pod := start(ctx, asking(alice.Namespace, "step", "openai", map[string]string{v1alpha1.TTLAnnotation: "4s"}))
		issued := gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("first")})
		revalue(ctx, alice, openai, openAIKey("second"))
		gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("second")})
		Eventually(projected(ctx, pod)).Should(Equal(nothing))
		Expect(time.Now()).To(BeTemporally("<", issued.CreationTimestamp.Add(7*time.Second)))
	})
})

var _ = Describe("A projection's data", func() {
	It("goes when its UserSecret is switched off, and comes back with it", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		openai := storeOpenAI(ctx, alice, "switched")
		pod := start(ctx, asking(alice.Namespace, "step", "openai"))
		issued := gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("switched")})

		activate(ctx, alice, openai, false)
		Eventually(projected(ctx, pod)).Should(Equal(nothing))
		Eventually(eventsOf(ctx, pod, "SecretRevoked")).Should(ConsistOf(
			"Secret " + issued.Name + ` lost OPENAI_API_KEY: UserSecret is inactive: "openai"; its owner sets spec.active to true again`))

		activate(ctx, alice, openai, true)
		gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("switched")})
		untouched(ctx, pod, issued)
		Expect(countOf(ctx, openai)).To(Equal(1), "the pod was granted it once")
	})

	It("loses the key of the UserSecret that is switched off, and no other", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		storeOpenAI(ctx, alice, "stays")
		goes := storeCustom(ctx, alice, "goes", "a value")
		pod := start(ctx, asking(alice.Namespace, "step", "openai, name:goes=FIRST, name:goes=SECOND"))
		gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("stays"), "FIRST": "a value", "SECOND": "a value"})
		activate(ctx, alice, goes, false)
		gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("stays")})
	})

	It("goes when its UserSecret expires, and comes back when that is put off", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		us := userSecret(ctx, alice, "openai", "openai", v1alpha1.TypeAPIKey, openAIKey("expires"))
		us.Spec.ExpiresAt = inFuture(4)
		Expect(alice.Client.Create(ctx, us)).To(Succeed())
		pod := start(ctx, asking(alice.Namespace, "step", "openai"))
		issued := gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("expires")})

		Eventually(projected(ctx, pod)).WithPolling(10 * time.Millisecond).Should(Equal(nothing))
		Expect(time.Now()).To(BeTemporally("~", us.Spec.ExpiresAt.Time, 2*time.Second))
		Eventually(eventsOf(ctx, pod, "SecretRevoked")).Should(ConsistOf(ContainSubstring("UserSecret has expired")))

		change(ctx, alice, us, func(us *v1alpha1.UserSecret) { us.Spec.ExpiresAt = inFuture(3600) })
		gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("expires")})
		untouched(ctx, pod, issued)
	})

	It("follows its UserSecret's value", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		openai := storeOpenAI(ctx, alice, "one")
		pod := start(ctx, asking(alice.Namespace, "step", "openai, openai=AGAIN"))
		issued := gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("one"), "AGAIN": openAIKey("one")})
		revalue(ctx, alice, openai, openAIKey("two"))
		gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("two"), "AGAIN": openAIKey("two")})
		untouched(ctx, pod, issued)
		Eventually(eventsOf(ctx, pod, "SecretRefreshed")).Should(ConsistOf(
			"Secret " + issued.Name + " has new values of AGAIN, OPENAI_API_KEY"))
		Expect(countOf(ctx, openai)).To(Equal(1))
	})

	It("goes with its UserSecret, and another of that name is another use", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		openai := storeOpenAI(ctx, alice, "former")
		pod := start(ctx, asking(alice.Namespace, "step", "openai"))
		issued := gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("former")})

		Expect(alice.Client.Delete(ctx, openai)).To(Succeed())
		Eventually(projected(ctx, pod)).Should(Equal(nothing))
		Eventually(eventsOf(ctx, pod, "SecretRevoked")).Should(ConsistOf(ContainSubstring("no such UserSecret yet")))

		latter := storeOpenAI(ctx, alice, "latter")
		Expect(latter.UID).NotTo(Equal(openai.UID))
		gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("latter")})
		untouched(ctx, pod, issued)
		Expect(countOf(ctx, latter)).To(Equal(1))
		Expect(podNames(statusOf(ctx, latter).RecentAccesses)).To(Equal([]string{pod.Name}))
		Expect(issued.Annotations[v1alpha1.SourcesAnnotation]).To(ContainSubstring(string(openai.UID)))
		Expect(projectionOf(ctx, pod).Annotations[v1alpha1.SourcesAnnotation]).To(ContainSubstring(string(latter.UID)))
	})

	It("comes when the UserSecret does that its pod was made before", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		allowPods(ctx, alice, alice.Namespace)
		manifest := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"early","annotations":{"usersecrets.dev/inject":"openai"}},` +
			`"spec":{"containers":[{"name":"main","image":"example.invalid/step"}]}}`
		result := alice.Kubectl(ctx, manifest, "create", "-f", "-")
		Expect(result.Err()).NotTo(HaveOccurred())
		Expect(oneLine(result.Stderr)).To(Equal(`Warning: openai: no such UserSecret yet: provider "openai", type api_key; ` +
			`the namespace's owner makes one with 'kubectl usersecret create'; the pod waits for it`))
		pod := &corev1.Pod{}
		pod.Namespace, pod.Name = alice.Namespace, "early"
		Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(pod), pod)).To(Succeed())
		waits(ctx, pod, "openai: no such UserSecret yet")

		openai := storeOpenAI(ctx, alice, "late")
		gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("late")})
		Expect(countOf(ctx, openai)).To(Equal(1))
		Expect(eventsOf(ctx, pod, "WaitingForSecret")()).To(HaveLen(1), "told once")
	})

	It("does not come while the UserSecret that a pod waits for is switched off", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		pod := start(ctx, asking(alice.Namespace, "early", "name:mine"))
		waits(ctx, pod, "name:mine: no such UserSecret yet")
		mine := userSecret(ctx, alice, "mine", "custom", v1alpha1.TypeCustom, "mine alone")
		off := false
		mine.Spec.Active = &off
		Expect(alice.Client.Create(ctx, mine)).To(Succeed())
		waits(ctx, pod, "name:mine: UserSecret is inactive")
		activate(ctx, alice, mine, true)
		gets(ctx, pod, values{"CUSTOM_SECRET": "mine alone"})
	})

	It("goes when the namespace gets another owner, for whom it does not open", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		openai := storeOpenAI(ctx, alice, "inherited")
		pod := start(ctx, asking(alice.Namespace, "step", "openai"))
		issued := gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("inherited")})
		setOwner(ctx, alice.Namespace, "eve")
		Eventually(projected(ctx, pod)).Should(Equal(nothing))
		waits(ctx, start(ctx, asking(alice.Namespace, "next", "openai")), "the sealed value does not open here")

		setOwner(ctx, alice.Namespace, alice.Name)
		gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("inherited")})
		untouched(ctx, pod, issued)
		Eventually(func() int { return countOf(ctx, openai) }).Should(Equal(2))
	})
})

// setOwner hands a namespace to somebody, as an administrator may.
func setOwner(ctx context.Context, namespace, owner string) {
	GinkgoHelper()
	ns := &corev1.Namespace{}
	ns.Name = namespace
	Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(ns), ns)).To(Succeed())
	before := ns.DeepCopy()
	ns.Annotations[v1alpha1.OwnerAnnotation] = owner
	Expect(product.Client.Patch(ctx, ns, client.MergeFrom(before))).To(Succeed())
}
