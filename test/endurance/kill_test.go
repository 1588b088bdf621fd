package endurance_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"usersecrets.dev/operator/test/rig"
)

var _ = Describe("An operator that is killed", Ordered, func() {
	const (
		pods = 300
		// kills are those of a process that led, at least. A new process waits for
		// the Lease of the one that was killed, about 4 s.
		kills  = 20
		spread = 160 * time.Second
		// patience is how long a pod may wait: a leader that lives for a second or
		// two gets little done on a loaded machine, until the last kill.
		patience = 6 * time.Minute
	)
	var product *rig.Rig
	BeforeAll(func() { product = startRig(rig.Options{}) })
	AfterAll(func() { stopRig(product) })

	It("counts every pod once, leaves nothing behind, and keeps nobody waiting", func(ctx SpecContext) {
		secrets := onboard(ctx, product, 3, 6)
		k := &killer{product: product, random: seeded(2), enough: kills}
		killing, stop := context.WithCancel(ctx)
		var done sync.WaitGroup
		done.Go(func() {
			defer GinkgoRecover()
			k.kill(ctx, killing)
		})
		granted, err := crowd{product: product, secrets: secrets, random: seeded(1), pods: pods, spread: spread, patience: patience}.come(ctx)
		stop()
		done.Wait()
		AddReportEntry("killed while it led", k.leaders)
		AddReportEntry("killed before it led", k.early)
		Expect(err).NotTo(HaveOccurred())
		Expect(k.leaders).To(BeNumerically(">=", kills), "kills of a leader that fell into the crowd's time")
		Expect(k.early).To(BeNumerically(">", 0))
		expectExact(ctx, product, secrets, granted)
	}, SpecTimeout(15*time.Minute))
})

// killer kills the one operator at random moments, and counts how often it led.
type killer struct {
	product        *rig.Rig
	random         *rand.Rand
	leaders, early int
	enough         int // kills of a leader
}

// maxLead is the longest that a leader lives.
const maxLead = 2500 * time.Millisecond

// kill goes on until killing ends, or it was enough. Every eighth process does not live to lead.
func (k *killer) kill(ctx, killing context.Context) {
	GinkgoHelper()
	for n := 1; killing.Err() == nil && k.leaders < k.enough; n++ {
		early := n%8 == 0
		if !early {
			awaitLead(ctx, k.product)
		}
		pause(killing, time.Duration(k.random.Int64N(int64(maxLead))))
		if killing.Err() != nil {
			return
		}
		k.product.KillReplica(0)
		Expect(k.product.StartOperator(ctx)).To(Succeed())
		if early {
			k.early++
		} else {
			k.leaders++
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
