// Package endurance_test proves that the product stays exact when it is killed
// and when the API server fails, silent when nothing happens, and small whatever
// else lives in the cluster. Every container of specs has a control plane of its
// own, since it breaks it.
//
// What is random comes from Ginkgo's seed, which is printed; -ginkgo.seed gives
// it again.
package endurance_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/inject"
	"usersecrets.dev/operator/test/lab"
	"usersecrets.dev/operator/test/rig"
)

const (
	// startTime bounds what includes compiling and starting a control plane.
	startTime = 10 * time.Minute
	// servedTime is how long a pod may wait at most: longer than a takeover of
	// the Lease and the API server's faults take on a loaded machine.
	servedTime = 90 * time.Second
	interval   = 50 * time.Millisecond
)

func TestEndurance(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Endurance")
}

var _ = BeforeSuite(func() {
	ctrllog.SetLogger(zap.New(zap.WriteTo(GinkgoWriter)))
	SetDefaultEventuallyTimeout(servedTime)
	SetDefaultEventuallyPollingInterval(interval)
})

// startRig starts a product of its own for the specs of a container.
func startRig(o rig.Options) *rig.Rig {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	o.Say = func(format string, args ...any) { GinkgoWriter.Printf(format+"\n", args...) }
	product, err := rig.Start(ctx, o)
	Expect(err).NotTo(HaveOccurred())
	return product
}

func stopRig(product *rig.Rig) {
	GinkgoHelper()
	if product == nil {
		return
	}
	if CurrentSpecReport().Failed() && product.Operator != nil {
		GinkgoWriter.Println(product.Operator.Log())
	}
	Expect(product.Stop()).To(Succeed())
}

// seeded is the run's source of chance; n keeps several apart.
func seeded(n uint64) *rand.Rand {
	seed := uint64(GinkgoRandomSeed())
	AddReportEntry("seed", seed)
	return rand.New(rand.NewPCG(seed, n))
}

// onboard makes users with so many UserSecrets each, all of which allow several
// of a provider, so that pods name them.
func onboard(ctx context.Context, product *rig.Rig, users, secrets int) map[string][]*v1alpha1.UserSecret {
	GinkgoHelper()
	made := map[string][]*v1alpha1.UserSecret{}
	for u := range users {
		name := fmt.Sprintf("user-%d", u)
		owner, err := product.Onboard(ctx, name, name)
		Expect(err).NotTo(HaveOccurred())
		for n := range secrets {
			us, err := product.Sealed(ctx, owner, fmt.Sprintf("key-%d", n), "custom", v1alpha1.TypeCustom, fmt.Sprintf("value %d of %s", n, name))
			Expect(err).NotTo(HaveOccurred())
			Expect(insist(ctx, func() error { return product.Client.Create(ctx, us) })).To(Succeed())
			made[name] = append(made[name], us)
		}
	}
	return made
}

// insist tries until it works, as a workflow engine does while the operator is
// away or the API server fails. What is there already is done.
func insist(ctx context.Context, do func() error) error {
	return lab.Await(ctx, "a request that is tried again", func(context.Context) (bool, error) {
		err := do()
		if err == nil || apierrors.IsAlreadyExists(err) {
			return true, nil
		}
		if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
			return false, err
		}
		return false, nil
	})
}

// countOf is how many uses stand in a UserSecret's status.
func countOf(ctx context.Context, product *rig.Rig, us *v1alpha1.UserSecret) (int64, error) {
	current := &v1alpha1.UserSecret{}
	if err := product.Client.Get(ctx, client.ObjectKeyFromObject(us), current); err != nil {
		return 0, err
	}
	if current.Status.Usage == nil {
		return 0, nil
	}
	return current.Status.Usage.Count, nil
}

// projections are the names of all projections in the cluster.
func projections(ctx context.Context, product *rig.Rig) ([]string, error) {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	err := product.Client.List(ctx, &list, client.MatchingFields{"type": v1alpha1.ProjectionSecretType})
	names := make([]string, 0, len(list.Items))
	for i := range list.Items {
		names = append(names, list.Items[i].Namespace+"/"+list.Items[i].Name)
	}
	return names, err
}

// awaitServed waits until a pod's projection is there, which must hold what the pod
// asked for from the first, and nothing else. Every element of its list names a key.
func awaitServed(ctx context.Context, product *rig.Rig, pod *corev1.Pod) error {
	return awaitServedWithin(ctx, product, pod, servedTime)
}

func awaitServedWithin(ctx context.Context, product *rig.Rig, pod *corev1.Pod, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	items, err := inject.ParseList(pod.Annotations[v1alpha1.InjectAnnotation])
	if err != nil {
		return err
	}
	var asked []string
	for _, item := range items {
		asked = append(asked, item.Key)
	}
	slices.Sort(asked)
	key := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Annotations[v1alpha1.ProjectionAnnotation]}
	secret := &corev1.Secret{}
	err = lab.Await(ctx, "the projection of pod "+pod.Name, func(ctx context.Context) (bool, error) {
		err := product.Client.Get(ctx, key, secret)
		return err == nil, client.IgnoreNotFound(err)
	})
	if held := slices.Sorted(maps.Keys(secret.Data)); err == nil && !slices.Equal(held, asked) {
		err = fmt.Errorf("%w: pod %s asked for %q, and its projection holds %q", errOtherKeys, pod.Name, asked, held)
	}
	return err
}

var errOtherKeys = errors.New("a projection does not hold what was asked for")

// end has a pod end in one of the ways that pods end.
func end(ctx context.Context, product *rig.Rig, pod *corev1.Pod, way int) error {
	if way%2 == 0 {
		pod.Status.Phase = corev1.PodSucceeded
		return product.Client.Status().Update(ctx, pod)
	}
	return product.Client.Delete(ctx, pod)
}

// first is the first error of many.
func first(errs <-chan error) error {
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("%d of them, the first: %w", len(all), errors.Join(all[0]))
}
