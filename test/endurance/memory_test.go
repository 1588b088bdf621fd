package endurance_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/lab"
	"usersecrets.dev/operator/test/rig"
)

var _ = Describe("The operator's memory", Ordered, func() {
	const (
		foreignSecrets = 20_000
		foreignPods    = 5_000
		// noise is what the heap differs by between two collections, in bytes.
		noise = 4 << 20
		// userSecrets are enough for their share to stand out from the noise.
		userSecrets = 2_000
		maxEach     = 8 << 10
		// settled is time for every UserSecret to be looked at after a start.
		settled = 5 * time.Second
	)
	var (
		product *rig.Rig
		pprof   string
	)
	BeforeAll(func(ctx SpecContext) {
		port, err := lab.FreePort()
		Expect(err).NotTo(HaveOccurred())
		pprof = fmt.Sprintf("127.0.0.1:%d", port)
		product = startRig(rig.Options{OperatorArgs: []string{"--pprof-bind-address=" + pprof}})
		onboard(ctx, product, 1, 1)
	}, NodeTimeout(2*time.Minute))
	AfterAll(func() { stopRig(product) })

	// heap is what is in use after a collection, the least of a few.
	heap := func(ctx context.Context) float64 {
		GinkgoHelper()
		var sizes []float64
		for range 5 {
			Expect(collect(ctx, pprof)).To(Succeed())
			size, err := metric(ctx, product.Replica(0), "go_memstats_heap_inuse_bytes")
			Expect(err).NotTo(HaveOccurred())
			sizes = append(sizes, size)
		}
		return slices.Min(sizes)
	}

	It("does not depend on Secrets and pods that are not its own", func(ctx SpecContext) {
		before, watchesBefore := heap(ctx), watches(product)
		Expect(product.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "foreign"}})).To(Succeed())
		Expect(awaitDefaultAccount(ctx, product, "foreign")).To(Succeed())
		Expect(many(foreignSecrets, func(n int) error {
			return product.Client.Create(ctx, &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: "foreign", Name: fmt.Sprintf("foreign-%d", n)},
				Data:       map[string][]byte{"key": make([]byte, 512)},
			})
		})).To(Succeed())
		Expect(many(foreignPods, func(n int) error {
			pod := rig.WorkflowPod("foreign", fmt.Sprintf("foreign-%d", n), "")
			pod.Annotations = nil
			return product.Client.Create(ctx, pod)
		})).To(Succeed())
		after := heap(ctx)
		AddReportEntry("heap before and after, MiB", fmt.Sprintf("%.1f, %.1f", before/(1<<20), after/(1<<20)))
		Expect(after).To(BeNumerically("<", before+noise))
		Expect(watches(product)).To(Equal(watchesBefore))
		Expect(watchesBefore).NotTo(ContainElement(ContainSubstring("/api/v1/secrets")))
		Expect(watchesBefore).To(ContainElement(HavePrefix("/api/v1/pods ")))
		for _, watch := range watchesBefore {
			if strings.Contains(watch, "/pods ") {
				Expect(strings.Fields(watch)).To(ContainElement(HavePrefix(v1alpha1.InjectedLabel)), watch)
			}
		}
	}, SpecTimeout(6*time.Minute))

	It("is small for each UserSecret", func(ctx SpecContext) {
		owner, err := product.Onboard(ctx, "many", "many")
		Expect(err).NotTo(HaveOccurred())
		// Measured after a start, which shows what UserSecrets cost as long as
		// they are there. For some minutes after a change, client-go also
		// remembers the Event that told of it.
		restarted := func() float64 {
			Expect(product.StopOperator()).To(Succeed())
			Expect(product.StartOperator(ctx)).To(Succeed())
			leaderOf(ctx, product)
			pause(ctx, settled)
			return heap(ctx)
		}
		before := restarted()
		Expect(many(userSecrets, func(n int) error {
			us, err := product.Sealed(ctx, owner, fmt.Sprintf("key-%d", n), "custom", v1alpha1.TypeCustom, "a value that is long enough")
			if err != nil {
				return err
			}
			return product.Client.Create(ctx, us)
		})).To(Succeed())
		Eventually(func(g Gomega) {
			var list v1alpha1.UserSecretList
			g.Expect(product.Client.List(ctx, &list, client.InNamespace("many"))).To(Succeed())
			for i := range list.Items {
				g.Expect(list.Items[i].Status.Masked).NotTo(BeEmpty())
			}
		}).Should(Succeed())
		withEvents := (heap(ctx) - before) / userSecrets
		AddReportEntry("bytes for each UserSecret that was just made, with its Event", int(withEvents))
		each := (restarted() - before) / userSecrets
		AddReportEntry("bytes for each UserSecret", int(each))
		Expect(each).To(BeNumerically("<=", maxEach))
	}, SpecTimeout(4*time.Minute))
})

// collect has the operator's garbage collected.
func collect(ctx context.Context, pprof string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+pprof+"/debug/pprof/heap?gc=1", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// many does something many times, by some hands at once.
func many(times int, do func(n int) error) error {
	const hands = 16
	next, errs := make(chan int), make(chan error, times)
	var all sync.WaitGroup
	for range hands {
		all.Go(func() {
			for n := range next {
				if err := do(n); err != nil {
					errs <- err
				}
			}
		})
	}
	for n := range times {
		next <- n
	}
	close(next)
	all.Wait()
	close(errs)
	return first(errs)
}

// watches are the paths that the operator has ever watched, each once.
func watches(product *rig.Rig) []string {
	GinkgoHelper()
	events, err := requestsSince(product, time.Time{})
	Expect(err).NotTo(HaveOccurred())
	seen := map[string]bool{}
	for i := range events {
		if events[i].Verb == "watch" {
			seen[watched(events[i].RequestURI)] = true
		}
	}
	paths := make([]string, 0, len(seen))
	for path := range seen {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

func awaitDefaultAccount(ctx context.Context, product *rig.Rig, namespace string) error {
	return lab.Await(ctx, "the default ServiceAccount", func(ctx context.Context) (bool, error) {
		err := product.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, &corev1.ServiceAccount{})
		return err == nil, client.IgnoreNotFound(err)
	})
}
