package endurance_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

var _ = Describe("An operator with nothing to do", Ordered, func() {
	const (
		users   = 10
		secrets = 50
		pods    = 50
		// settled is how long no write must come before the silence counts.
		settled = 5 * time.Second
		silence = 60 * time.Second
	)
	var product *rig.Rig
	BeforeAll(func(ctx SpecContext) {
		product = startRig(rig.Options{})
		made := onboard(ctx, product, users, secrets)
		for n := range pods {
			user := fmt.Sprintf("user-%d", n%users)
			pod := rig.WorkflowPod(user, fmt.Sprintf("step-%d", n), "name:"+made[user][n%secrets].Name)
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

	It("writes nothing but its Lease", func() {
		Eventually(quiet).Should(BeEmpty())
		began := time.Now()
		Consistently(func() ([]string, error) { return writesSince(product, began) }).
			WithTimeout(silence).WithPolling(time.Second).Should(BeEmpty())
	})

	It("writes nothing after a restart either", func(ctx SpecContext) {
		Expect(product.StopOperator()).To(Succeed())
		began := time.Now()
		Expect(product.StartOperator(ctx)).To(Succeed())
		Consistently(func() ([]string, error) { return writesSince(product, began) }).
			WithTimeout(silence / 3).WithPolling(time.Second).Should(BeEmpty())
		Expect(projections(ctx, product)).To(HaveLen(pods))
	}, SpecTimeout(3*time.Minute))
})
