package endurance_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/test/rig"
)

var _ = Describe("An operator that is killed while it rotates", Ordered, func() {
	const (
		users  = 10
		each   = 100
		rounds = 20
	)
	var product *rig.Rig
	BeforeAll(func() { product = startRig(rig.Options{}) })
	AfterAll(func() { stopRig(product) })

	It("loses nothing: every value opens at every instant, and to its newest", func(ctx SpecContext) {
		owned := estate{product: product}
		owned.fill(ctx, users, each)
		random := seeded(5)

		working, stop := context.WithCancel(ctx)
		var work sync.WaitGroup
		w := &witness{estate: &owned, keys: openerOf(ctx, product)}
		for _, job := range []func(context.Context) error{w.watch, owned.change, owned.run} {
			work.Go(func() {
				defer GinkgoRecover()
				if err := job(working); err != nil && working.Err() == nil {
					Fail(err.Error())
				}
			})
		}
		for round := range rounds {
			Expect(insist(ctx, func() error {
				return product.Client.Create(ctx, &v1alpha1.EncryptionKey{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("v%d", round+2)}})
			})).To(Succeed())
			pause(ctx, time.Duration(200+random.IntN(3000))*time.Millisecond)
			product.KillReplica(0)
			Expect(product.StartOperator(ctx)).To(Succeed())
		}
		newest := fmt.Sprintf("v%d", rounds+1)
		Eventually(func() (int, error) { return owned.sealedWith(ctx, newest) }).WithTimeout(10*time.Minute).WithPolling(time.Second).
			Should(Equal(users*each), "the rotation completes")
		stop()
		work.Wait()
		Eventually(func() (int, error) { return owned.sealedWith(ctx, newest) }).WithTimeout(5 * time.Minute).WithPolling(time.Second).Should(Equal(users * each))
		Expect(w.look(ctx)).To(Succeed())
		AddReportEntry("kills", rounds)
		AddReportEntry("looks of the prober, each at all UserSecrets", w.looks.Load())
		AddReportEntry("values opened", w.opened.Load())
		AddReportEntry("values changed by their owners meanwhile", owned.changes.Load())
		AddReportEntry("pods served meanwhile", owned.served.Load())
		Expect(w.looks.Load()).To(BeNumerically(">", rounds))
		Expect(owned.changes.Load()).To(BeNumerically(">", rounds))
		Expect(owned.served.Load()).To(BeNumerically(">", 0))
	}, SpecTimeout(40*time.Minute))
})

// estate is what users own: each value is a number that only grows, so that one
// that went back is noticed.
type estate struct {
	product *rig.Rig
	people  []*rig.Person

	mu      sync.Mutex
	acked   map[types.NamespacedName]int // the newest that the API server has taken
	tried   map[types.NamespacedName]int // the newest that it may have taken
	names   []types.NamespacedName
	changes atomic.Int64
	served  atomic.Int64
}

func text(n int) string { return fmt.Sprintf("value number %d", n) }

func numberOf(value string) (int, error) {
	return strconv.Atoi(strings.TrimPrefix(value, "value number "))
}

func (e *estate) fill(ctx context.Context, users, each int) {
	GinkgoHelper()
	e.acked, e.tried = map[types.NamespacedName]int{}, map[types.NamespacedName]int{}
	for u := range users {
		person, err := e.product.Onboard(ctx, fmt.Sprintf("user-%d", u), fmt.Sprintf("user-%d", u))
		Expect(err).NotTo(HaveOccurred())
		e.people = append(e.people, person)
		for n := range each {
			us, err := e.product.Sealed(ctx, person, fmt.Sprintf("key-%d", n), "custom", v1alpha1.TypeCustom, text(1))
			Expect(err).NotTo(HaveOccurred())
			Expect(e.product.Client.Create(ctx, us, client.FieldOwner("kubectl-usersecret"))).To(Succeed())
			name := client.ObjectKeyFromObject(us)
			e.names = append(e.names, name)
			e.acked[name], e.tried[name] = 1, 1
		}
	}
}

// change has owners store new values, one after the other, sealed with the public
// key that is published at that moment, or in the clear.
func (e *estate) change(ctx context.Context) error {
	random := rand.New(rand.NewPCG(7, 7))
	for ctx.Err() == nil {
		name := e.names[random.IntN(len(e.names))]
		if err := e.changeOne(ctx, name, random.IntN(2) == 0); err != nil {
			return err
		}
		pause(ctx, 20*time.Millisecond)
	}
	return nil
}

func (e *estate) changeOne(ctx context.Context, name types.NamespacedName, clear bool) error {
	e.mu.Lock()
	next := e.tried[name] + 1
	e.tried[name] = next
	e.mu.Unlock()
	person := e.person(name.Namespace)
	patch := fmt.Sprintf(`{"spec":{"value":%q}}`, text(next))
	if !clear {
		sealed, err := e.product.Seal(ctx, person, name.Name, text(next))
		if err != nil {
			return ignoreEnd(ctx, err)
		}
		patch = fmt.Sprintf(`{"spec":{"encryptedValue":%q}}`, sealed)
	}
	us := &v1alpha1.UserSecret{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}}
	err := person.Client.Patch(ctx, us, client.RawPatch(types.MergePatchType, []byte(patch)), client.FieldOwner("kubectl-usersecret"))
	if err == nil {
		e.mu.Lock()
		e.acked[name] = next
		e.mu.Unlock()
		e.changes.Add(1)
		return nil
	}
	// While the operator is away, writes are refused, and owners try again later.
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		return fmt.Errorf("changing %s: %w", name, err)
	}
	return nil
}

func (e *estate) person(namespace string) *rig.Person {
	for _, p := range e.people {
		if p.Namespace == namespace {
			return p
		}
	}
	return nil
}

// run has pods come and go, each with a value or two.
func (e *estate) run(ctx context.Context) error {
	random := rand.New(rand.NewPCG(8, 8))
	for n := 0; ctx.Err() == nil; n++ {
		name := e.names[random.IntN(len(e.names))]
		pod := rig.WorkflowPod(name.Namespace, fmt.Sprintf("step-%d", n), "name:"+name.Name+"=KEY")
		if err := insist(ctx, func() error { return e.product.Client.Create(ctx, pod) }); err != nil {
			return ignoreEnd(ctx, err)
		}
		if err := awaitServed(ctx, e.product, pod); err != nil {
			return ignoreEnd(ctx, err)
		}
		e.served.Add(1)
		if err := insist(ctx, func() error { return end(ctx, e.product, pod, 0) }); err != nil {
			return ignoreEnd(ctx, err)
		}
	}
	return nil
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (e *estate) sealedWith(ctx context.Context, key string) (int, error) {
	list := &v1alpha1.UserSecretList{}
	if err := e.product.Client.List(ctx, list); err != nil {
		return 0, err
	}
	n := 0
	for i := range list.Items {
		if envelope.KeyIDOf(list.Items[i].Spec.EncryptedValue).Name() == key {
			n++
		}
	}
	return n, nil
}

// witness opens everything, over and over, with a keyring of its own.
type witness struct {
	estate *estate
	keys   *keyring.Keyring
	looks  atomic.Int64
	opened atomic.Int64
}

func openerOf(ctx context.Context, product *rig.Rig) *keyring.Keyring {
	GinkgoHelper()
	roots, err := keyring.ParseRootKeys(product.RootKey())
	Expect(err).NotTo(HaveOccurred())
	keys := keyring.New(keyring.Config{Client: product.Client, Namespace: v1alpha1.OperatorNamespace, Roots: roots})
	Expect(keys.Reload(ctx)).To(Succeed())
	return keys
}

func (w *witness) watch(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := w.look(ctx); err != nil {
			return err
		}
	}
	return nil
}

var errWentBack = errors.New("a value went back")

// look opens every UserSecret as it stands now. Each must be at least what was
// acknowledged before the look, and at most what was tried when it is opened.
func (w *witness) look(ctx context.Context) error {
	w.estate.mu.Lock()
	least := make(map[types.NamespacedName]int, len(w.estate.acked))
	for name, n := range w.estate.acked {
		least[name] = n
	}
	w.estate.mu.Unlock()
	list := &v1alpha1.UserSecretList{}
	if err := w.estate.product.Client.List(ctx, list); err != nil {
		return ignoreEnd(ctx, err)
	}
	for i := range list.Items {
		us := &list.Items[i]
		name := client.ObjectKeyFromObject(us)
		value, err := w.keys.OpenText(ctx, us.Spec.EncryptedValue, envelope.Binding{Owner: us.Namespace, Namespace: us.Namespace, Name: us.Name})
		if err != nil {
			return ignoreEnd(ctx, fmt.Errorf("opening %s: %w", name, err))
		}
		n, err := numberOf(string(value.Bytes()))
		if err != nil {
			return fmt.Errorf("%s holds another value: %w", name, err)
		}
		w.estate.mu.Lock()
		most := w.estate.tried[name]
		w.estate.mu.Unlock()
		if n < least[name] || n > most {
			return fmt.Errorf("%w: %s is at %d, and %d was stored", errWentBack, name, n, least[name])
		}
		w.opened.Add(1)
	}
	w.looks.Add(1)
	return nil
}
