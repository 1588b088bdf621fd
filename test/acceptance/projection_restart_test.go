package acceptance_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// away stops the operator, lets something happen, and starts it again, also
// where that fails.
func away(ctx context.Context, meanwhile func()) {
	GinkgoHelper()
	Expect(product.StopOperator()).To(Succeed())
	DeferCleanup(backAgain)
	meanwhile()
	backAgain(ctx)
}

// killed ends the operator as a crash would: it releases nothing, its Lease
// least of all.
func killed(ctx context.Context) {
	GinkgoHelper()
	product.Operator.Kill()
	product.Operator = nil
	DeferCleanup(backAgain)
	backAgain(ctx)
}

// backAgain starts the operator where it does not run.
func backAgain(ctx context.Context) {
	GinkgoHelper()
	if product.Operator == nil {
		Expect(product.StartOperator(ctx)).To(Succeed())
	}
}

// uidsOf are the projections of pods that exist, by pod name.
func uidsOf(ctx context.Context, pods []*corev1.Pod) map[string]types.UID {
	uids := map[string]types.UID{}
	for _, pod := range pods {
		secret := &corev1.Secret{}
		if err := product.Client.Get(ctx, projectionKey(pod), secret); err == nil {
			uids[pod.Name] = secret.UID
		}
	}
	return uids
}

var _ = Describe("A restart of the operator", Serial, func() {
	It("neither makes projections anew nor counts them again, and they follow their values as before", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		openai := storeOpenAI(ctx, alice, "kept")
		pods := stepsOf(alice, "step", "openai", 25)
		together(ctx, pods)
		for _, pod := range pods {
			projectionOf(ctx, pod)
		}
		before := uidsOf(ctx, pods)
		Eventually(eventsOf(ctx, openai, "Used")).Should(HaveLen(25))

		away(ctx, func() {})
		Expect(uidsOf(ctx, pods)).To(Equal(before))
		By("an operator that starts leads a moment later: what it does then tells that it has looked")
		revalue(ctx, alice, openai, openAIKey("renewed"))
		for _, pod := range pods {
			gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("renewed")})
		}
		killed(ctx)
		activate(ctx, alice, openai, false)
		for _, pod := range pods {
			Eventually(projected(ctx, pod)).Should(Equal(nothing))
		}
		Expect(uidsOf(ctx, pods)).To(Equal(before))
		Expect(countOf(ctx, openai)).To(Equal(25))
		Expect(eventsOf(ctx, openai, "Used")()).To(HaveLen(25))
	})

	It("finds what came, went and ended while it was away", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		openai := storeOpenAI(ctx, alice, "stays")
		goes := storeCustom(ctx, alice, "goes", "what goes")
		const ttl = 4 * time.Second
		stays := start(ctx, asking(alice.Namespace, "stays", "openai, name:goes"))
		ends := start(ctx, asking(alice.Namespace, "ends", "openai"))
		deleted := start(ctx, asking(alice.Namespace, "deleted", "openai"))
		timed := start(ctx, asking(alice.Namespace, "timed", "openai", map[string]string{v1alpha1.TTLAnnotation: ttl.String()}))
		emptied := start(ctx, asking(alice.Namespace, "emptied", "openai", map[string]string{v1alpha1.TTLAnnotation: "1s"}))
		waiting := start(ctx, asking(alice.Namespace, "waiting", "openai, name:never-there"))
		pods := []*corev1.Pod{stays, ends, deleted, timed, emptied}
		for _, pod := range pods {
			projectionOf(ctx, pod)
		}
		Eventually(projected(ctx, emptied)).Should(Equal(nothing))
		Eventually(eventsOf(ctx, waiting, "WaitingForSecret")).Should(HaveLen(1))
		before := uidsOf(ctx, pods)
		endedSecret, deletedSecret, timedSecret := projectionOf(ctx, ends), projectionOf(ctx, deleted), projectionOf(ctx, timed)

		away(ctx, func() {
			finish(ctx, ends)
			Expect(product.Client.Delete(ctx, deleted)).To(Succeed())
			Expect(alice.Client.Delete(ctx, goes)).To(Succeed())
			vanishes(ctx, deletedSecret) // by garbage collection
			Eventually(time.Now).Should(BeTemporally(">", timedSecret.CreationTimestamp.Add(ttl)))
			Expect(projected(ctx, timed)()).NotTo(BeEmpty(), "nobody was there to take it away")
		})
		vanishes(ctx, endedSecret)
		gets(ctx, stays, values{"OPENAI_API_KEY": openAIKey("stays")})
		Eventually(projected(ctx, timed)).Should(Equal(nothing))
		Consistently(projected(ctx, emptied)).Should(Equal(nothing), "what was over stays over")
		missing(ctx, ends)
		missing(ctx, waiting)
		delete(before, ends.Name)
		delete(before, deleted.Name)
		Expect(uidsOf(ctx, pods)).To(Equal(before))
		Expect(countOf(ctx, openai)).To(Equal(5))
		Expect(eventsOf(ctx, waiting, "WaitingForSecret")()).To(HaveLen(1), "what was told is not told again")
	})

	It("counts each pod once that the last one recorded and did not serve", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		openai := storeOpenAI(ctx, alice, "unserved")
		other := storeCustom(ctx, alice, "other", "the other value")
		quota := noSecrets(ctx, alice.Namespace)
		pods := stepsOf(alice, "step", "openai, name:other", 2*v1alpha1.MaxRecentAccesses)
		together(ctx, pods)
		recorded := func() int { return max(countOf(ctx, openai), countOf(ctx, other)) }
		fits := BeNumerically("<=", v1alpha1.MaxRecentAccesses)
		Eventually(refusalsTold(ctx, pods)).Should(ContainElement(ContainSubstring("the API server refuses the pod's Secret (Forbidden)")))
		By("no more are recorded than the record holds, and none can be served")
		Expect(recorded()).To(BeNumerically(">", 0))
		Consistently(recorded).Should(fits)
		killed(ctx)
		Consistently(recorded).Should(fits, "nor after a restart")
		Expect(projectionsIn(ctx, alice.Namespace)()).To(BeEmpty())

		product.Operator.Kill()
		Expect(product.Client.Delete(ctx, quota)).To(Succeed())
		killed(ctx)
		for _, pod := range pods {
			gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("unserved"), "CUSTOM_SECRET": "the other value"})
		}
		Expect(countOf(ctx, openai)).To(Equal(len(pods)))
		Expect(countOf(ctx, other)).To(Equal(len(pods)))
	})

	It("counts each pod once, wherever the last one was killed", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		openai := storeOpenAI(ctx, alice, "killed")
		other := storeCustom(ctx, alice, "other", "the other value")
		var pods []*corev1.Pod
		for round := range 3 {
			waiting := stepsOf(alice, fmt.Sprintf("round-%d", round), "openai, name:other", 30)
			together(ctx, waiting)
			pods = append(pods, waiting...)
			By(fmt.Sprintf("round %d: killed amid it all, after %d projections", round, 10*round))
			Eventually(func() bool {
				recorded := max(countOf(ctx, openai), countOf(ctx, other))
				return recorded > 30*round && len(uidsOf(ctx, waiting)) >= 10*round
			}).WithPolling(time.Millisecond).Should(BeTrue())
			product.Operator.Kill()
			before := uidsOf(ctx, pods)
			killed(ctx)
			for _, pod := range waiting {
				gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("killed"), "CUSTOM_SECRET": "the other value"})
			}
			after := uidsOf(ctx, pods)
			Expect(after).To(HaveLen(len(pods)))
			for name, uid := range before {
				Expect(after).To(HaveKeyWithValue(name, uid), "not made anew")
			}
			Expect(countOf(ctx, openai)).To(Equal(len(pods)), "after round %d", round)
			Expect(countOf(ctx, other)).To(Equal(len(pods)), "after round %d", round)
		}
	})
})

// refusalsTold is why the pods wait, as they were told.
func refusalsTold(ctx context.Context, pods []*corev1.Pod) func() ([]string, error) {
	return func() ([]string, error) {
		var all []string
		for _, pod := range pods {
			notes, err := eventsOf(ctx, pod, "WaitingForSecret")()
			if err != nil {
				return nil, err
			}
			all = append(all, notes...)
		}
		return all, nil
	}
}

// noSecrets keeps everybody from creating Secrets in a namespace.
func noSecrets(ctx context.Context, namespace string) *corev1.ResourceQuota {
	GinkgoHelper()
	none := corev1.ResourceList{corev1.ResourceSecrets: resource.MustParse("0")}
	quota := &corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{Hard: none}}
	quota.Namespace, quota.Name = namespace, "no-secrets"
	Expect(product.Client.Create(ctx, quota)).To(Succeed())
	probe := &corev1.Secret{}
	probe.Namespace, probe.Name = namespace, "probe"
	Eventually(func() error { return product.Client.Create(ctx, probe.DeepCopy(), client.DryRunAll) }).
		Should(MatchError(ContainSubstring("exceeded quota")))
	return quota
}
