package acceptance_test

import (
	"context"
	"fmt"
	"maps"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

// The specs of projections stand in several files, one for each question: what a
// pod gets (projection_content), for how long (projection_lifetime), until when
// (projection_end), what is recorded of it (projection_record), and what of all
// this survives the operator's end (projection_restart). This file holds what
// they share.

// values are what a projection holds, as text.
type values map[string]string

// projected reads what a pod's projection holds now; an error where there is none.
func projected(ctx context.Context, pod *corev1.Pod) func() (values, error) {
	return func() (values, error) {
		secret := &corev1.Secret{}
		if err := product.Client.Get(ctx, projectionKey(pod), secret); err != nil {
			return nil, err
		}
		held := values{}
		for key, value := range secret.Data {
			held[key] = string(value)
		}
		return held, nil
	}
}

// gets waits until a pod's projection holds just these values, and returns it.
func gets(ctx context.Context, pod *corev1.Pod, want values) *corev1.Secret {
	GinkgoHelper()
	Eventually(projected(ctx, pod)).Should(Equal(want))
	return projectionOf(ctx, pod)
}

// waits expects that a pod gets no projection, and that an Event with all of the
// texts tells why.
func waits(ctx context.Context, pod *corev1.Pod, texts ...string) {
	GinkgoHelper()
	told := ContainElement(Not(BeEmpty()))
	for _, text := range texts {
		told = And(told, ContainElement(ContainSubstring(text)))
	}
	Eventually(eventsOf(ctx, pod, "WaitingForSecret")).Should(told)
	missing(ctx, pod)
}

// missing expects that a pod has no projection, now and for a while.
func missing(ctx context.Context, pod *corev1.Pod) {
	GinkgoHelper()
	Consistently(func() error { return product.Client.Get(ctx, projectionKey(pod), &corev1.Secret{}) }).
		Should(MatchError(apierrors.IsNotFound, "there is no Secret"))
}

// vanishes waits until a Secret is gone.
func vanishes(ctx context.Context, secret *corev1.Secret) {
	GinkgoHelper()
	Eventually(func() error { return product.Client.Get(ctx, client.ObjectKeyFromObject(secret), &corev1.Secret{}) }).
		Should(MatchError(apierrors.IsNotFound, "the Secret is gone"))
}

// asking is a pod of one container that asks for secrets, with further
// annotations.
func asking(namespace, name, inject string, annotations ...map[string]string) *corev1.Pod {
	pod := workflowPod(namespace, name, inject)
	for _, more := range annotations {
		maps.Copy(pod.Annotations, more)
	}
	return pod
}

// change has somebody write a UserSecret anew, against its newest version.
func change(ctx context.Context, who *rig.Person, us *v1alpha1.UserSecret, edit func(*v1alpha1.UserSecret)) {
	GinkgoHelper()
	Expect(who.Client.Get(ctx, client.ObjectKeyFromObject(us), us)).To(Succeed())
	before := us.DeepCopy()
	edit(us)
	Expect(who.Client.Patch(ctx, us, client.MergeFrom(before))).To(Succeed())
}

// activate switches a UserSecret on or off, as its owner.
func activate(ctx context.Context, owner *rig.Person, us *v1alpha1.UserSecret, active bool) {
	GinkgoHelper()
	change(ctx, owner, us, func(us *v1alpha1.UserSecret) { us.Spec.Active = &active })
}

// revalue stores another value, in plaintext, as its owner.
func revalue(ctx context.Context, owner *rig.Person, us *v1alpha1.UserSecret, value string) {
	GinkgoHelper()
	change(ctx, owner, us, func(us *v1alpha1.UserSecret) { us.Spec.Value = &value })
}

// statusOf reads a UserSecret's status as it stands now.
func statusOf(ctx context.Context, us *v1alpha1.UserSecret) v1alpha1.UserSecretStatus {
	GinkgoHelper()
	fresh := &v1alpha1.UserSecret{}
	Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(us), fresh)).To(Succeed())
	return fresh.Status
}

// countOf is how often a UserSecret was used.
func countOf(ctx context.Context, us *v1alpha1.UserSecret) int {
	GinkgoHelper()
	usage := statusOf(ctx, us).Usage
	if usage == nil {
		return 0
	}
	return int(usage.Count)
}

// eventsOf lists the notes of an object's Events of one reason.
func eventsOf(ctx context.Context, of client.Object, reason string) func() ([]string, error) {
	return func() ([]string, error) {
		var list eventsv1.EventList
		if err := product.Client.List(ctx, &list, client.InNamespace(of.GetNamespace())); err != nil {
			return nil, err
		}
		var notes []string
		for i := range list.Items {
			if e := &list.Items[i]; e.Regarding.UID == of.GetUID() && e.Reason == reason {
				notes = append(notes, e.Note)
			}
		}
		return notes, nil
	}
}

// projectionsIn names the projections of a namespace.
func projectionsIn(ctx context.Context, namespace string) func() ([]string, error) {
	return func() ([]string, error) {
		var list corev1.SecretList
		err := product.Client.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{"type": v1alpha1.ProjectionSecretType})
		names := []string{}
		for i := range list.Items {
			names = append(names, list.Items[i].Name)
		}
		return names, err
	}
}

// openAIKey is a value that fits the catalogue's pattern, told apart by a word.
func openAIKey(word string) string { return fmt.Sprintf("sk-proj-0123456789abcdef-%s", word) }

// storeOpenAI stores one for its owner under the name openai.
func storeOpenAI(ctx context.Context, owner *rig.Person, word string) *v1alpha1.UserSecret {
	GinkgoHelper()
	return store(ctx, owner, userSecret(ctx, owner, "openai", "openai", v1alpha1.TypeAPIKey, openAIKey(word)))
}

// storeCustom stores a value of the provider that takes anything.
func storeCustom(ctx context.Context, owner *rig.Person, name, value string) *v1alpha1.UserSecret {
	GinkgoHelper()
	return store(ctx, owner, userSecret(ctx, owner, name, "custom", v1alpha1.TypeCustom, value))
}

// bind gives a pod to a node whose kubelet does nothing. From then on its
// deletion is graceful, as with every pod that runs.
func bind(ctx context.Context, pod *corev1.Pod) {
	GinkgoHelper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", serial.Add(1))}}
	Expect(product.Client.Create(ctx, node)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(product.Client.Delete(ctx, node)).To(Succeed()) })
	binding := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: node.Name}}
	Expect(product.Client.SubResource("binding").Create(ctx, pod, binding)).To(Succeed())
	Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(pod), pod)).To(Succeed())
}
