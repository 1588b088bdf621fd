// Package acceptance_test holds the tests of the whole product: the operator as
// a process of its own, under its shipped RBAC, on a real control plane with
// garbage collection. It is the only suite with a started manager, and so the
// only place for Eventually.
//
// One rig serves all specs. Each spec makes its own users and namespaces, so
// that specs do not meet; those that stop the operator are Serial and start it
// again.
package acceptance_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

const (
	// startTime bounds what includes compiling and starting a control plane.
	startTime = 10 * time.Minute
	// soon bounds what the operator does by itself after an event. Noisy
	// machines need room; the usual time is tens of milliseconds.
	soon = 30 * time.Second
	// awhile is how long something must keep not happening.
	awhile = 2 * time.Second
	// interval lies between two looks.
	interval = 50 * time.Millisecond
)

var (
	product *rig.Rig
	serial  atomic.Int64
)

func TestAcceptance(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Acceptance")
}

var _ = BeforeSuite(func() {
	ctrllog.SetLogger(zap.New(zap.WriteTo(GinkgoWriter)))
	SetDefaultEventuallyTimeout(soon)
	SetDefaultEventuallyPollingInterval(interval)
	SetDefaultConsistentlyDuration(awhile)
	SetDefaultConsistentlyPollingInterval(interval)
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	var err error
	product, err = rig.Start(ctx, rig.Options{Say: func(format string, args ...any) { GinkgoWriter.Printf(format+"\n", args...) }})
	Expect(err).NotTo(HaveOccurred())
})

var _ = AfterSuite(func() {
	if product == nil {
		return
	}
	Expect(product.Stop()).To(Succeed())
})

// What went wrong is mostly told by the operator, or by its not being there.
var _ = AfterEach(func() {
	if !CurrentSpecReport().Failed() || product == nil || product.Operator == nil {
		return
	}
	const most = 16 << 10
	log := product.Operator.Log()
	GinkgoWriter.Printf("The operator runs: %t. The end of its log:\n%s\n", product.Operator.Running(), log[max(0, len(log)-most):])
})

// newUser onboards a user with a namespace of the same, unique name.
func newUser(ctx context.Context, prefix string) *rig.Person {
	GinkgoHelper()
	name := fmt.Sprintf("%s-%d", prefix, serial.Add(1))
	person, err := product.Onboard(ctx, name, name)
	Expect(err).NotTo(HaveOccurred())
	return person
}

// allow grants somebody the rights of a ClusterRole in a namespace.
func allow(ctx context.Context, person *rig.Person, namespace, clusterRole string) {
	GinkgoHelper()
	result := product.Kubectl(ctx, product.AdminKubeconfig, nil, "create", "rolebinding",
		fmt.Sprintf("%s-%d", clusterRole, serial.Add(1)), "--clusterrole", clusterRole, "--user", person.Name, "-n", namespace)
	Expect(result.Err()).NotTo(HaveOccurred())
}

// workflowRole may do with pods what a workflow engine does.
func allowPods(ctx context.Context, person *rig.Person, namespace string) {
	GinkgoHelper()
	allow(ctx, person, namespace, "edit")
}

// sealFor seals a value as anybody can, with the published key.
func sealFor(ctx context.Context, owner *rig.Person, name, value string) string {
	GinkgoHelper()
	sealed, err := product.Seal(ctx, owner, name, value)
	Expect(err).NotTo(HaveOccurred())
	return sealed
}

// userSecret is a UserSecret with a value sealed for its owner.
func userSecret(ctx context.Context, owner *rig.Person, name, provider string, t v1alpha1.SecretType, value string) *v1alpha1.UserSecret {
	GinkgoHelper()
	us, err := product.Sealed(ctx, owner, name, provider, t, value)
	Expect(err).NotTo(HaveOccurred())
	return us
}

// plaintext is the same with the value in the clear, as its owner may write it.
func plaintext(owner *rig.Person, name, provider string, t v1alpha1.SecretType, value string) *v1alpha1.UserSecret {
	return &v1alpha1.UserSecret{
		ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: name},
		Spec:       v1alpha1.UserSecretSpec{Provider: provider, Type: t, Value: &value},
	}
}

// store creates a UserSecret as its owner and waits until pods can get it.
func store(ctx context.Context, owner *rig.Person, us *v1alpha1.UserSecret) *v1alpha1.UserSecret {
	GinkgoHelper()
	Expect(owner.Client.Create(ctx, us)).To(Succeed())
	Eventually(func(g Gomega) {
		g.Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(us), us)).To(Succeed())
		g.Expect(readyReason(us)).To(Equal(v1alpha1.ReasonReady))
	}).Should(Succeed())
	return us
}

func readyReason(us *v1alpha1.UserSecret) string {
	for _, c := range us.Status.Conditions {
		if c.Type == v1alpha1.ConditionReady {
			return c.Reason
		}
	}
	return ""
}

// workflowPod asks for secrets as a step of an Argo workflow does.
func workflowPod(namespace, name, inject string) *corev1.Pod {
	return rig.WorkflowPod(namespace, name, inject)
}

// start creates a pod as an administrator would on a workflow's behalf.
func start(ctx context.Context, pod *corev1.Pod) *corev1.Pod {
	GinkgoHelper()
	Expect(product.Client.Create(ctx, pod)).To(Succeed())
	return pod
}

// finish has a pod end as the kubelet would report it.
func finish(ctx context.Context, pod *corev1.Pod) {
	GinkgoHelper()
	pod.Status.Phase = corev1.PodSucceeded
	Expect(product.Client.Status().Update(ctx, pod)).To(Succeed())
}

// projectionOf waits for a pod's projection.
func projectionOf(ctx context.Context, pod *corev1.Pod) *corev1.Secret {
	GinkgoHelper()
	secret := &corev1.Secret{}
	Eventually(func() error { return product.Client.Get(ctx, projectionKey(pod), secret) }).Should(Succeed())
	return secret
}

func projectionKey(pod *corev1.Pod) types.NamespacedName {
	return types.NamespacedName{Namespace: pod.Namespace, Name: pod.Annotations[v1alpha1.ProjectionAnnotation]}
}

// denied expects an error of the API server that holds every one of the texts,
// and none of the values that must not be told.
func denied(err error, texts ...string) {
	GinkgoHelper()
	Expect(err).To(HaveOccurred())
	for _, text := range texts {
		Expect(err.Error()).To(ContainSubstring(text))
	}
}

// oneLine shortens for messages of failed expectations.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
