package endurance_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

var _ = Describe("An operator with nothing to do", Ordered, func() {
	const (
		users   = 10
		secrets = 50
		pods    = 50
		// settled is how long no write must come before the silence counts:
		// client-go writes an Event that did not get through again after 10 s to
		// 12.5 s.
		settled = 15 * time.Second
		silence = 60 * time.Second
	)
	var product *rig.Rig
	BeforeAll(func(ctx SpecContext) {
		product = startRig(rig.Options{})
		made := onboard(ctx, product, users, secrets)
		for n := range pods {
			user := fmt.Sprintf("user-%d", n%users)
			pod := rig.WorkflowPod(user, fmt.Sprintf("step-%d", n), "name:"+made[user][n%secrets].Name+"=KEY")
			Expect(product.Client.Create(ctx, pod)).To(Succeed())
			Expect(awaitServed(ctx, product, pod)).To(Succeed())
		}
		Eventually(func(g Gomega) {
			var list v1alpha1.UserSecretList
			g.Expect(product.Client.List(ctx, &list)).To(Succeed())
			g.Expect(list.Items).To(HaveLen(users * secrets))
			for i := range list.Items {
				g.Expect(list.Items[i].Status.ObservedGeneration).To(Equal(list.Items[i].Generation))
			}
		}).Should(Succeed())
	}, NodeTimeout(5*time.Minute))
	AfterAll(func() { stopRig(product) })

	quiet := func() ([]string, error) { return writesSince(product, time.Now().Add(-settled)) }

	It("announced every value once", func(ctx SpecContext) {
		Eventually(quiet).Should(BeEmpty(), "Events come last, one after the other")
		var all eventsv1.EventList
		Expect(product.Client.List(ctx, &all)).To(Succeed())
		times := map[types.UID]int{}
		for i := range all.Items {
			if event := &all.Items[i]; event.Reason == "ValueStored" {
				Expect(event.Series).To(BeNil(), event.Regarding.Name)
				times[event.Regarding.UID]++
			}
		}
		Expect(times).To(HaveLen(users * secrets))
		Expect(times).To(HaveEach(1))
	})

	It("writes nothing but its Lease", func() {
		Eventually(quiet).Should(BeEmpty())
		began := time.Now()
		Consistently(func() ([]string, error) { return writesSince(product, began) }).
			WithTimeout(silence).WithPolling(time.Second).Should(BeEmpty())
	})

	for n, restart := range []struct {
		how  string
		stop func()
	}{
		{"a restart", func() { Expect(product.StopOperator()).To(Succeed()) }},
		{"a crash", func() { product.KillReplica(0) }},
	} {
		It("writes what changed meanwhile, and nothing else, after "+restart.how, func(ctx SpecContext) {
			restart.stop()
			began := time.Now()
			// No pod uses it.
			edited := &v1alpha1.UserSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "user-0", Name: fmt.Sprintf("key-%d", n+1)}}
			editUnseen(ctx, product, edited, "a value that came while nobody looked")
			Expect(product.StartOperator(ctx)).To(Succeed())
			leaderOf(ctx, product)
			owed := ConsistOf(
				HavePrefix("patch /apis/usersecrets.dev/v1alpha1/namespaces/user-0/usersecrets/"+edited.Name+"/status?"),
				HavePrefix("create /apis/events.k8s.io/v1/namespaces/user-0/events"),
			)
			Eventually(func() ([]string, error) { return writesSince(product, began) }).Should(owed)
			Consistently(func() ([]string, error) { return writesSince(product, began) }).
				WithTimeout(silence / 3).WithPolling(time.Second).Should(owed)
			Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(edited), edited)).To(Succeed())
			Expect(edited.Status.ObservedGeneration).To(Equal(edited.Generation))
			Expect(projections(ctx, product)).To(HaveLen(pods))
		}, SpecTimeout(3*time.Minute))
	}
})

// editUnseen stores a new value while no operator runs. Its webhooks would refuse
// that, and are made to fail open meanwhile.
func editUnseen(ctx context.Context, product *rig.Rig, us *v1alpha1.UserSecret, value string) {
	GinkgoHelper()
	failing(ctx, product, admissionregistrationv1.Ignore)
	owner := &rig.Person{Name: us.Namespace, Namespace: us.Namespace}
	sealed, err := product.Seal(ctx, owner, us.Name, value)
	Expect(err).NotTo(HaveOccurred())
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"encryptedValue":%q}}`, sealed))
	Expect(insist(ctx, func() error { return product.Client.Patch(ctx, us, patch) })).To(Succeed())
	failing(ctx, product, admissionregistrationv1.Fail)
}

// failing says how the webhooks that look at a UserSecret's writes fail.
func failing(ctx context.Context, product *rig.Rig, policy admissionregistrationv1.FailurePolicyType) {
	GinkgoHelper()
	const patch = `[{"op":"replace","path":"/webhooks/0/failurePolicy","value":%q}]`
	meta := metav1.ObjectMeta{Name: v1alpha1.OperatorName}
	for _, config := range []client.Object{
		&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: meta},
		&admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: meta},
	} {
		Expect(product.Client.Patch(ctx, config, client.RawPatch(types.JSONPatchType, fmt.Appendf(nil, patch, policy)))).To(Succeed())
	}
}
