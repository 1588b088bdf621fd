package endurance_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

// crowd is a number of pods that come and go, each with one to three secrets of
// its user's.
type crowd struct {
	product *rig.Rig
	secrets map[string][]*v1alpha1.UserSecret
	random  *rand.Rand
	pods    int
	// spread is the time over which the pods come.
	spread time.Duration
	// patience is how long a pod may wait; servedTime where zero.
	patience time.Duration
}

// visit is one pod of the crowd.
type visit struct {
	pod   *corev1.Pod
	asks  []*v1alpha1.UserSecret
	after time.Duration
	stays time.Duration
	way   int
}

func (c crowd) plan() []visit {
	visits := make([]visit, 0, c.pods)
	for n := range c.pods {
		user := fmt.Sprintf("user-%d", c.random.IntN(len(c.secrets)))
		own := c.secrets[user]
		v := visit{after: time.Duration(c.random.Int64N(int64(c.spread))), stays: time.Duration(c.random.IntN(3000)) * time.Millisecond, way: c.random.IntN(2)}
		var items []string
		for _, i := range c.random.Perm(len(own))[:1+c.random.IntN(3)] {
			v.asks = append(v.asks, own[i])
			items = append(items, fmt.Sprintf("name:%s=KEY_%d", own[i].Name, i))
		}
		v.pod = rig.WorkflowPod(user, fmt.Sprintf("step-%d", n), strings.Join(items, ","))
		visits = append(visits, v)
	}
	return visits
}

// come has all pods come, be served, and go; it returns how many asked for each
// UserSecret.
func (c crowd) come(ctx context.Context) (map[types.UID]int64, error) {
	granted := map[types.UID]int64{}
	visits := c.plan()
	errs := make(chan error, len(visits))
	var all sync.WaitGroup
	for _, v := range visits {
		for _, us := range v.asks {
			granted[us.UID]++
		}
		all.Go(func() {
			if err := c.visit(ctx, v); err != nil {
				errs <- err
			}
		})
	}
	all.Wait()
	close(errs)
	return granted, first(errs)
}

func (c crowd) visit(ctx context.Context, v visit) error {
	select {
	case <-time.After(v.after):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := insist(ctx, func() error { return c.product.Client.Create(ctx, v.pod) }); err != nil {
		return fmt.Errorf("creating pod %s: %w", v.pod.Name, err)
	}
	if err := awaitServedWithin(ctx, c.product, v.pod, cmp.Or(c.patience, servedTime)); err != nil {
		return err
	}
	select {
	case <-time.After(v.stays):
	case <-ctx.Done():
		return ctx.Err()
	}
	return insist(ctx, func() error { return end(ctx, c.product, v.pod, v.way) })
}

// expectExact waits until nothing is left to do, and compares every count.
func expectExact(ctx context.Context, product *rig.Rig, secrets map[string][]*v1alpha1.UserSecret, granted map[types.UID]int64) {
	GinkgoHelper()
	Eventually(func() ([]string, error) { return projections(ctx, product) }).Should(BeEmpty(), "projections of pods that are done")
	for _, own := range secrets {
		for _, us := range own {
			Expect(countOf(ctx, product, us)).To(Equal(granted[us.UID]), "usage.count of %s/%s", us.Namespace, us.Name)
		}
	}
}
