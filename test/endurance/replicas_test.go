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

// writers create UserSecrets all the time, as users do, and note what fails.
type writers struct {
	product *rig.Rig
	owner   *rig.Person
	made    atomic.Int64
	mu      sync.Mutex
	failed  []failure
}

type failure struct {
	at  time.Time
	err error
}

// write goes on until ctx ends, about fifty a second.
func (w *writers) write(ctx context.Context) {
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				w.one(ctx, fmt.Sprintf("load-%d-%d-%d", n, i, time.Now().UnixNano()))
				pause(ctx, 80*time.Millisecond)
			}
		})
	}
	all.Wait()
}

func (w *writers) one(ctx context.Context, name string) {
	us, err := w.product.Sealed(ctx, w.owner, name, "custom", v1alpha1.TypeCustom, "a value that is long enough")
	if err == nil {
		err = w.product.Client.Create(ctx, us)
	}
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		w.made.Add(1)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = append(w.failed, failure{time.Now(), err})
}

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
	var (
		product *rig.Rig
		load    *writers
	)
	BeforeAll(func(ctx SpecContext) {
		product = startRig(rig.Options{Replicas: 2})
		owner, err := product.Onboard(ctx, "user-0", "user-0")
		Expect(err).NotTo(HaveOccurred())
		load = &writers{product: product, owner: owner}
	}, NodeTimeout(2*time.Minute))
	AfterAll(func() { stopRig(product) })

	// under has something happen while the load goes on, and a while longer.
	under := func(ctx context.Context, happen func()) time.Time {
		loading, stop := context.WithCancel(ctx)
		var done sync.WaitGroup
		done.Go(func() { load.write(loading) })
		pause(ctx, time.Second)
		at := time.Now()
		happen()
		pause(ctx, 2*time.Second)
		stop()
		done.Wait()
		return at
	}
	none := func() {
		GinkgoHelper()
		for _, f := range load.failures() {
			Expect(f.err).NotTo(HaveOccurred())
		}
	}

	It("serve admission from their first ready second", func(ctx SpecContext) {
		under(ctx, func() { Expect(product.StartReplica(ctx, 1)).To(Succeed()) })
		none()
	}, SpecTimeout(2*time.Minute))

	It("let no request fail through a rolling restart", func(ctx SpecContext) {
		under(ctx, func() {
			for i := range 2 {
				Expect(product.StopReplica(i)).To(Succeed())
				Expect(product.StartReplica(ctx, i)).To(Succeed())
			}
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
