package acceptance_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

// atOnce bounds what must not wait for the operator; a call that does takes the
// 10 s of the webhook's timeout, or is refused.
const atOnce = 5 * time.Second

// unreachable is how the API server refuses what the operator must be asked about.
func unreachable(webhook string) string {
	return fmt.Sprintf("failed calling webhook %q", webhook+".usersecrets.dev")
}

// absence is what there is when the operator goes away, and what becomes of it.
type absence struct {
	*estate
	bob, eve *rig.Person
	// leaver has a value that is deleted meanwhile, finisher ends, dropped is
	// deleted, waiter was waiting before.
	leaver, finisher, dropped, waiter *corev1.Pod
	doomed                            *rig.Person
	doomedPod                         *corev1.Pod
	// unwanted is a provider that nobody uses.
	unwanted *v1alpha1.SecretProvider
}

func beforeAbsence(ctx context.Context) *absence {
	GinkgoHelper()
	a := &absence{estate: newEstate(ctx), bob: newUser(ctx, "bob"), doomed: newUser(ctx, "bob"), unwanted: weather()}
	Expect(product.Client.Create(ctx, a.unwanted)).To(Succeed())
	a.eve = newMeddler(ctx, a.Namespace)
	allowMeddling(ctx, a.bob, a.bob.Namespace)
	store(ctx, a.Person, userSecret(ctx, a.Person, "slack", "slack", v1alpha1.TypeOAuthToken, "xoxb-leaves-0123456789"))
	a.leaver = start(ctx, workflowPod(a.Namespace, "leaver", "slack"))
	a.finisher = start(ctx, workflowPod(a.Namespace, "finisher", "openai"))
	a.dropped = start(ctx, workflowPod(a.Namespace, "dropped", "openai"))
	a.waiter = start(ctx, workflowPod(a.Namespace, "waiter", "name:later=LATER"))
	store(ctx, a.doomed, userSecret(ctx, a.doomed, "slack", "slack", v1alpha1.TypeOAuthToken, "xoxb-doomed-0123456789"))
	a.doomedPod = start(ctx, workflowPod(a.doomed.Namespace, "doomed", "slack"))
	for _, pod := range []*corev1.Pod{a.leaver, a.finisher, a.dropped, a.doomedPod} {
		projectionOf(ctx, pod)
	}
	Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(a.userSecret), a.userSecret)).To(Succeed())
	Expect(a.userSecret.Status.Usage.Count).To(BeEquivalentTo(3))
	return a
}

// forgedPod carries marks that it was not given.
func forgedPod(alice *estate) *corev1.Pod {
	pod := plainPod(alice.Namespace, "forged")
	pod.Labels = map[string]string{v1alpha1.InjectedLabel: "true"}
	pod.Annotations = map[string]string{v1alpha1.ProjectionAnnotation: alice.projection.Name}
	pod.Spec.Containers[0].Env = envFromKey(alice.projection.Name)
	return pod
}

func operatorWritesForeign(ctx context.Context, namespace string) error {
	GinkgoHelper()
	operator, err := client.New(product.OperatorConfig, client.Options{Scheme: rig.Scheme(), Mapper: product.Client.RESTMapper()})
	Expect(err).NotTo(HaveOccurred())
	return operator.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "foreign"}})
}

// ignoreWebhooks has the API server pass over webhooks that it cannot reach, for
// one spec.
func ignoreWebhooks(ctx context.Context) {
	GinkgoHelper()
	ignore := admissionregistrationv1.Ignore
	mutating, validating := &admissionregistrationv1.MutatingWebhookConfiguration{}, &admissionregistrationv1.ValidatingWebhookConfiguration{}
	for _, configuration := range []client.Object{mutating, validating} {
		Expect(product.Client.Get(ctx, types.NamespacedName{Name: v1alpha1.OperatorName}, configuration)).To(Succeed())
		was := configuration.DeepCopyObject().(client.Object)
		DeferCleanup(func(ctx SpecContext) {
			was.SetResourceVersion(configuration.GetResourceVersion())
			Expect(product.Client.Update(ctx, was)).To(Succeed())
			Expect(product.AwaitAdmission(ctx)).To(Succeed())
		})
	}
	for i := range mutating.Webhooks {
		mutating.Webhooks[i].FailurePolicy = &ignore
	}
	for i := range validating.Webhooks {
		validating.Webhooks[i].FailurePolicy = &ignore
	}
	Expect(product.Client.Update(ctx, mutating)).To(Succeed())
	Expect(product.Client.Update(ctx, validating)).To(Succeed())
	Expect(product.AwaitAdmission(ctx)).To(Succeed())
}
