package verification_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

var _ = Describe("500 tests at once, half of them of servers that hang", Ordered, func() {
	const (
		users   = 10
		servers = 10 // every other one hangs
		each    = 50 // of one user
		half    = users * each / 2
		samples = 20
		// atMost is generous: what is measured is printed, and an answer that waits for
		// the servers that hang takes minutes.
		atMost = time.Minute
	)
	var (
		people    []*rig.Person
		providers []*provider
		before    []time.Duration
	)
	name := func(n int) string { return fmt.Sprintf("crowd-%d", n) }

	BeforeAll(func(ctx SpecContext) {
		for n := range servers {
			p := serve()
			p.stuck.Store(n%2 == 1)
			providers = append(providers, p)
			catalogue(ctx, name(n), nil)
		}
		for n := range users {
			person := onboard(ctx, fmt.Sprintf("user-%d", n))
			people = append(people, person)
			for k := range each {
				us, err := product.Sealed(ctx, person, fmt.Sprintf("key-%d", k), name(k%servers), v1alpha1.TypeAPIKey, good)
				Expect(err).NotTo(HaveOccurred())
				Expect(product.Client.Create(ctx, us)).To(Succeed())
			}
		}
		Eventually(count(ctx)).Should(HaveKeyWithValue("NotTestable", 2*half))
		before = latencies(ctx, people[0], "before", samples)
	}, NodeTimeout(startTime))

	It("are done in seconds where the server answers, and slow nothing else down", func(ctx SpecContext) {
		began := time.Now()
		for n := range servers {
			setTest(ctx, name(n), providers[n].test())
		}
		var took time.Duration
		Eventually(func(g Gomega) {
			g.Expect(count(ctx)()).To(HaveKeyWithValue("Accepted", half))
			took = time.Since(began)
		}).WithTimeout(atMost).Should(Succeed())
		hanging := count(ctx)
		during := latencies(ctx, people[0], "during", samples)
		AddReportEntry("500 tests at once", fmt.Sprintf("%d of servers that answer were done after %v; a UserSecret had its status after %v (median; slowest %v) before, and after %v (slowest %v) while the others hung",
			half, took.Round(10*time.Millisecond), median(before), slices.Max(before), median(during), slices.Max(during)))
		Expect(hanging()).To(HaveKeyWithValue("NotTestable", BeNumerically(">", 0)), "some servers were still to be heard out")
		Expect(slices.Max(during)).To(BeNumerically("<", atMost/2))
	}, SpecTimeout(5*time.Minute))

	It("are done too where it does not", func(ctx SpecContext) {
		Eventually(count(ctx)).WithTimeout(3 * time.Minute).WithPolling(time.Second).Should(HaveKeyWithValue("Unreachable", half))
	}, SpecTimeout(4*time.Minute))
})

// count is how many values of the crowd have which verdict.
func count(ctx context.Context) func() (map[string]int, error) {
	return func() (map[string]int, error) {
		var list v1alpha1.UserSecretList
		err := product.Client.List(ctx, &list)
		found := map[string]int{}
		for i := range list.Items {
			if us := &list.Items[i]; len(us.Spec.Provider) > 6 && us.Spec.Provider[:6] == "crowd-" {
				found[reasonOf(us, v1alpha1.ConditionVerified)]++
			}
		}
		return found, err
	}
}

// latencies are how long it takes until a UserSecret that is stored has a status,
// one after the other.
func latencies(ctx context.Context, owner *rig.Person, prefix string, samples int) []time.Duration {
	GinkgoHelper()
	var all []time.Duration
	for n := range samples {
		us, err := product.Sealed(ctx, owner, fmt.Sprintf("%s-%d", prefix, n), "custom", v1alpha1.TypeCustom, "a value")
		Expect(err).NotTo(HaveOccurred())
		began := time.Now()
		Expect(product.Client.Create(ctx, us)).To(Succeed())
		Eventually(func(g Gomega) {
			current := &v1alpha1.UserSecret{}
			g.Expect(product.Client.Get(ctx, types.NamespacedName{Namespace: us.Namespace, Name: us.Name}, current)).To(Succeed())
			g.Expect(meta.FindStatusCondition(current.Status.Conditions, v1alpha1.ConditionReady)).NotTo(BeNil())
		}).WithPolling(5 * time.Millisecond).Should(Succeed())
		all = append(all, time.Since(began).Round(time.Millisecond))
		Expect(product.Client.Delete(ctx, us, client.PropagationPolicy("Background"))).To(Succeed())
	}
	return all
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
