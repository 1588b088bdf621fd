package endurance_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"usersecrets.dev/operator/test/rig"
)

var _ = Describe("An operator that is killed", Ordered, func() {
	const (
		pods   = 300
		kills  = 20
		spread = 100 * time.Second
	)
	var product *rig.Rig
	BeforeAll(func() { product = startRig(rig.Options{}) })
	AfterAll(func() { stopRig(product) })

	It("counts every pod once, leaves nothing behind, and keeps nobody waiting", func(ctx SpecContext) {
		secrets := onboard(ctx, product, 3, 6)
		killing, stop := context.WithCancel(ctx)
		killed := make(chan int, 1)
		random := seeded(2)
		go func() {
			defer GinkgoRecover()
			n := 0
			for ; n < kills && killing.Err() == nil; n++ {
				pause(killing, time.Duration(500+random.IntN(4000))*time.Millisecond)
				product.KillReplica(0)
				Expect(product.StartOperator(ctx)).To(Succeed())
			}
			killed <- n
		}()
		granted, err := crowd{product: product, secrets: secrets, random: seeded(1), pods: pods, spread: spread}.come(ctx)
		stop()
		n := <-killed
		AddReportEntry("killed", n)
		Expect(err).NotTo(HaveOccurred())
		Expect(n).To(BeNumerically(">=", kills), "kills that fell into the crowd's time")
		expectExact(ctx, product, secrets, granted)
	}, SpecTimeout(15*time.Minute))
})

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
