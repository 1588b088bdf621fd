package endurance_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/types"

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

	It("announced every value once", func(ctx SpecContext) {
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

	It("writes nothing after a restart either", func(ctx SpecContext) {
		Expect(product.StopOperator()).To(Succeed())
		began := time.Now()
		Expect(product.StartOperator(ctx)).To(Succeed())
		Consistently(func() ([]string, error) { return writesSince(product, began) }).
			WithTimeout(silence / 3).WithPolling(time.Second).Should(BeEmpty())
		Expect(projections(ctx, product)).To(HaveLen(pods))
	}, SpecTimeout(3*time.Minute))
})
