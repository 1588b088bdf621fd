package endurance_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/lab"
	"usersecrets.dev/operator/test/rig"
)

var _ = Describe("An API server that fails", Ordered, func() {
	const (
		pods   = 120
		spread = 30 * time.Second
		oneIn  = 5
	)
	var (
		product *rig.Rig
		faults  *lab.FaultyAPI
	)
	BeforeAll(func() {
		// The Lease meets faults as well. The rig's, which is short, is lost to a few of
		// them in a row on a busy machine, and then the process ends, as it must.
		product = startRig(rig.Options{OperatorArgs: []string{"--lease-duration=15s"}, Through: func(l *lab.Lab, cfg *rest.Config) (*rest.Config, error) {
			var err error
			if faults, err = l.FaultyAPI(); err != nil {
				return nil, err
			}
			return faults.Config(cfg), nil
		}})
	})
	AfterAll(func() {
		stopRig(product)
		if faults != nil {
			faults.Close()
		}
	})

	It("changes nothing about the end", func(ctx SpecContext) {
		secrets := onboard(ctx, product, 3, 4)
		random := seeded(1)
		faults.Choose(hangingToo(seeded(6), lab.RandomFaults(random.Uint64(), oneIn)))
		granted, err := crowd{product: product, secrets: secrets, random: random, pods: pods, spread: spread}.come(ctx)
		Expect(err).NotTo(HaveOccurred())
		expectExact(ctx, product, secrets, granted)
		made := faults.Made()
		all := 0
		for kind := lab.Conflict; kind <= lab.SlowWatch; kind++ {
			AddReportEntry("faults made: "+kind.String(), made[kind])
			Expect(made[kind]).To(BeNumerically(">", 0), kind.String())
			all += made[kind]
		}
		Expect(all).To(BeNumerically(">", pods), "faults were made")
		Expect(product.Operator.Running()).To(BeTrue())
	}, SpecTimeout(10*time.Minute))

	It("does not keep status from becoming true", func(ctx SpecContext) {
		faults.Choose(lab.RandomFaults(seeded(3).Uint64(), oneIn))
		owner, err := product.Onboard(ctx, "late", "late")
		Expect(err).NotTo(HaveOccurred())
		for n := range 20 {
			us, err := product.Sealed(ctx, owner, fmt.Sprintf("key-%d", n), "custom", v1alpha1.TypeCustom, "a value that is long enough")
			Expect(err).NotTo(HaveOccurred())
			Expect(insist(ctx, func() error { return product.Client.Create(ctx, us) })).To(Succeed())
		}
		Eventually(func(g Gomega) {
			var list v1alpha1.UserSecretList
			g.Expect(product.Client.List(ctx, &list)).To(Succeed())
			for i := range list.Items {
				g.Expect(list.Items[i].Status.ObservedGeneration).To(Equal(list.Items[i].Generation))
				g.Expect(list.Items[i].Status.Masked).NotTo(BeEmpty())
			}
		}).Should(Succeed())
		faults.Choose(nil)
	}, SpecTimeout(5*time.Minute))
})

// hangingToo also leaves some writes of projections without any answer. Each costs
// its pod the whole deadline of a request, hence few.
func hangingToo(random *rand.Rand, choose func(*http.Request) lab.Fault) func(*http.Request) lab.Fault {
	const oneIn = 30
	var mu sync.Mutex
	return func(r *http.Request) lab.Fault {
		if lab.IsWrite(r) && strings.Contains(r.URL.Path, "/namespaces/user-") && strings.Contains(r.URL.Path, "/secrets") {
			mu.Lock()
			defer mu.Unlock()
			if random.IntN(oneIn) == 0 {
				return lab.Hang
			}
		}
		return choose(r)
	}
}
