package endurance_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

// writers create UserSecrets and injected pods all the time, as users do, and note
// what fails.
type writers struct {
	product *rig.Rig
	owner   *rig.Person
	made    atomic.Int64
	pods    atomic.Int64
	bursts  atomic.Int64
	mu      sync.Mutex
	failed  []failure
}

type failure struct {
	at  time.Time
	err error
}

// Writers come in bursts. In between, the API server's connections are closed, as
// load balancers close them some time: each burst so meets both replicas.
const (
	hands  = 8
	each   = 4
	breath = 20 * time.Millisecond
	gap    = 300 * time.Millisecond
)

// write goes on until ctx ends.
func (w *writers) write(ctx context.Context) {
	for burst := 0; ctx.Err() == nil; burst++ {
		var all sync.WaitGroup
		for n := range hands {
			all.Go(func() {
				for i := range each {
					w.one(ctx, fmt.Sprintf("load-%d-%d-%d", n, i, time.Now().UnixNano()), i == 0)
					pause(ctx, breath)
				}
			})
		}
		all.Wait()
		w.product.ShedConnections()
		w.bursts.Add(1)
		pause(ctx, gap)
	}
}

func (w *writers) one(ctx context.Context, name string, pod bool) {
	var err error
	if pod {
		err = w.pod(ctx, name)
	} else {
		err = w.secret(ctx, name)
	}
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = append(w.failed, failure{time.Now(), err})
}

func (w *writers) secret(ctx context.Context, name string) error {
	us, err := w.product.Sealed(ctx, w.owner, name, "custom", v1alpha1.TypeCustom, "a value that is long enough")
	if err != nil {
		return err
	}
	if err := w.product.Client.Create(ctx, us); err != nil {
		return err
	}
	w.made.Add(1)
	return nil
}

// pod creates a pod that asks for a secret, and deletes it.
func (w *writers) pod(ctx context.Context, name string) error {
	pod := rig.WorkflowPod(w.owner.Namespace, name, "name:"+loadSecret+"=KEY")
	if err := w.product.Client.Create(ctx, pod); err != nil {
		return err
	}
	w.pods.Add(1)
	return w.product.Client.Delete(context.WithoutCancel(ctx), pod)
}

// loadSecret is the UserSecret that the load's pods ask for.
const loadSecret = "load"

// failures are those so far, and forgets them.
func (w *writers) failures() []failure {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.failed
	w.failed = nil
	return out
}

var _ = Describe("Two replicas", Ordered, func() {
	// afterKill is how long requests may fail after a replica was lost: those
	// under way at it, and those until it is known to be gone.
	const afterKill = 2 * time.Second
	const (
		least = 30 // creates in each spec
		after = 4  // bursts that come when it has happened
	)
	// connectionLost is how the API server tells of a replica that was lost.
	const connectionLost = `failed calling webhook "[a-z.]+": failed to call webhook: Post "[^"]+": .*(EOF|connection reset by peer|connection refused|broken pipe|server closed idle connection|client connection force closed via ClientConn.Close)$`
	var (
		product *rig.Rig
		load    *writers
	)
	BeforeAll(func(ctx SpecContext) {
		product = startRig(rig.Options{Replicas: 2})
		owner, err := product.Onboard(ctx, "user-0", "user-0")
		Expect(err).NotTo(HaveOccurred())
		load = &writers{product: product, owner: owner}
		Expect(load.secret(ctx, loadSecret)).To(Succeed())
	}, NodeTimeout(2*time.Minute))
	AfterAll(func() { stopRig(product) })

	// under has something happen while the load goes on, and a while longer.
	under := func(ctx context.Context, happen func()) {
		GinkgoHelper()
		load.made.Store(0)
		load.pods.Store(0)
		loading, stop := context.WithCancel(ctx)
		var done sync.WaitGroup
		done.Go(func() { load.write(loading) })
		pause(ctx, time.Second)
		happen()
		for until := load.bursts.Load() + after; load.bursts.Load() < until && ctx.Err() == nil; {
			pause(ctx, interval)
		}
		stop()
		done.Wait()
		AddReportEntry("UserSecrets and pods made", fmt.Sprintf("%d, %d", load.made.Load(), load.pods.Load()))
		Expect(load.made.Load()).To(BeNumerically(">", least))
		Expect(load.pods.Load()).To(BeNumerically(">", least/6))
	}
	// servedByBoth comes while the load goes on: a replica that is ready is known as
	// that to the Service a moment later.
	servedByBoth := func(ctx context.Context) {
		GinkgoHelper()
		for i := range 2 {
			var served float64
			Eventually(func() (_ float64, err error) {
				served, err = metric(ctx, product.Replica(i), "controller_runtime_webhook_requests_total")
				return served, err
			}).Should(BeNumerically(">", 0), "replica %d", i)
			AddReportEntry(fmt.Sprintf("admission requests that replica %d served", i), served)
		}
	}
	none := func() {
		GinkgoHelper()
		for _, f := range load.failures() {
			Expect(f.err).NotTo(HaveOccurred())
		}
	}

	It("serve admission from their first ready second", func(ctx SpecContext) {
		under(ctx, func() {
			Expect(product.StartReplica(ctx, 1)).To(Succeed())
			servedByBoth(ctx)
		})
		none()
	}, SpecTimeout(2*time.Minute))

	It("let no request fail through a rolling restart", func(ctx SpecContext) {
		under(ctx, func() {
			for i := range 2 {
				Expect(product.StopReplica(i)).To(Succeed())
				Expect(product.StartReplica(ctx, i)).To(Succeed())
			}
			servedByBoth(ctx)
		})
		none()
	}, SpecTimeout(2*time.Minute))

	It("go on when one is lost, and the other takes over", func(ctx SpecContext) {
		secrets := map[string][]*v1alpha1.UserSecret{"user-0": nil}
		for n := range 3 {
			us, err := product.Sealed(ctx, load.owner, fmt.Sprintf("key-%d", n), "custom", v1alpha1.TypeCustom, "a value that is long enough")
			Expect(err).NotTo(HaveOccurred())
			Expect(product.Client.Create(ctx, us)).To(Succeed())
			secrets["user-0"] = append(secrets["user-0"], us)
		}
		leader := leaderOf(ctx, product)
		AddReportEntry("the leader was replica", leader)
		var tookOver time.Duration
		var killed time.Time
		under(ctx, func() {
			killed = time.Now()
			product.KillReplica(leader)
			pod := rig.WorkflowPod("user-0", "after-the-kill", "name:key-0=KEY")
			Expect(insist(ctx, func() error { return product.Client.Create(ctx, pod) })).To(Succeed())
			Expect(awaitServed(ctx, product, pod)).To(Succeed())
			tookOver = time.Since(killed)
			Expect(insist(ctx, func() error { return end(ctx, product, pod, 0) })).To(Succeed())
		})
		failed := load.failures()
		AddReportEntry("requests that failed at the kill", len(failed))
		AddReportEntry("served again after", tookOver)
		for _, f := range failed {
			Expect(f.at).To(BeTemporally("<", killed.Add(afterKill)), "%v", f.err)
			Expect(f.err).To(MatchError(MatchRegexp(connectionLost)))
		}
		Expect(countOf(ctx, product, secrets["user-0"][0])).To(BeEquivalentTo(1), "granted once")
	}, SpecTimeout(3*time.Minute))

	It("grant exactly while the leader changes", func(ctx SpecContext) {
		Expect(product.StartReplica(ctx, 1-survivor(product))).To(Succeed())
		made := map[string][]*v1alpha1.UserSecret{}
		own := "user-0"
		for n := range 3 {
			us, err := product.Sealed(ctx, load.owner, fmt.Sprintf("exact-%d", n), "custom", v1alpha1.TypeCustom, "a value that is long enough")
			Expect(err).NotTo(HaveOccurred())
			Expect(product.Client.Create(ctx, us)).To(Succeed())
			made[own] = append(made[own], us)
		}
		changing, stop := context.WithCancel(ctx)
		var done sync.WaitGroup
		done.Go(func() {
			defer GinkgoRecover()
			for range 3 {
				pause(changing, 4*time.Second)
				leader := leaderOf(ctx, product)
				product.KillReplica(leader)
				Expect(product.StartReplica(ctx, leader)).To(Succeed())
			}
		})
		granted, err := crowd{product: product, secrets: made, random: seeded(4), pods: 60, spread: 15 * time.Second}.come(ctx)
		stop()
		done.Wait()
		Expect(err).NotTo(HaveOccurred())
		expectExact(ctx, product, made, granted)
	}, SpecTimeout(5*time.Minute))
})
