package acceptance_test

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

// An administrator may give a namespace to somebody else; its values stay with
// whom they were sealed for.
var _ = Describe("A namespace that is handed from alice to bob", Ordered, func() {
	var alice *estate
	var bob *rig.Person

	BeforeAll(func(ctx SpecContext) {
		alice, bob = newEstate(ctx), newUser(ctx, "bob")
		handOver(ctx, alice.Namespace, bob.Name)
		allow(ctx, bob, alice.Namespace, "usersecret-owner")
		allowMeddling(ctx, bob, alice.Namespace)
	})

	It("opens none of alice's values to bob, and says so", func(ctx SpecContext) {
		us := alice.userSecret.DeepCopy()
		Eventually(func(g Gomega) {
			g.Expect(bob.Client.Get(ctx, client.ObjectKeyFromObject(us), us)).To(Succeed())
			g.Expect(sealedReason(us)).To(Equal(v1alpha1.ReasonDoesNotOpen))
		}).Should(Succeed())
		Expect(readyReason(us)).To(Equal(v1alpha1.ReasonDoesNotOpen))
		Expect(us.Status.Owner).To(Equal(bob.Name))
		Expect(us.Status.Masked).To(BeEmpty(), "bob is shown no part of it")
		Expect(us.Status.ValueID).To(Equal(alice.userSecret.Status.ValueID), "the newest value that opened is still known, and tells nothing of it")
		Expect(us.Status.ValueUpdatedAt).To(Equal(alice.userSecret.Status.ValueUpdatedAt))
		Expect(us.Spec.EncryptedValue).To(Equal(alice.userSecret.Spec.EncryptedValue), "nothing is lost to alice")
	})

	It("takes them from the pods that run in it", func(ctx SpecContext) {
		projection := alice.projection.DeepCopy()
		Eventually(func(g Gomega) {
			g.Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(projection), projection)).To(Succeed())
			g.Expect(projection.Data).To(BeEmpty())
		}).Should(Succeed())
		Expect(projection.UID).To(Equal(alice.projection.UID), "it is emptied in its place")
	})

	It("gives them to no pod of bob's, as files or as variables", func(ctx SpecContext) {
		pod := workflowPod(alice.Namespace, "bobs", "openai")
		Expect(bob.Client.Create(ctx, pod)).To(Succeed())
		Eventually(func() (string, error) { return waitsFor(ctx, pod) }).Should(ContainSubstring("openai: the sealed value does not open here"))
		Expect(product.Client.Get(ctx, projectionKey(pod), &corev1.Secret{})).To(MatchError(apierrors.IsNotFound, "nothing is issued"))

		variables := workflowPod(alice.Namespace, "bobs-variables", "openai")
		variables.Annotations[v1alpha1.InjectAsAnnotation] = "env"
		alice.refuses(bob.Client.Create(ctx, variables), byWebhook("inject"), `UserSecret "openai": the sealed value does not open here`)
		Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(alice.userSecret), alice.userSecret)).To(Succeed())
		Expect(alice.userSecret.Status.Usage.Count).To(BeEquivalentTo(1), "only alice's own pod was granted it")
	})

	It("seals for bob from then on, and takes writes from him alone", func(ctx SpecContext) {
		key := &v1alpha1.SealingKey{}
		Eventually(func(g Gomega) {
			g.Expect(product.Client.Get(ctx, types.NamespacedName{Namespace: alice.Namespace, Name: v1alpha1.SealingKeyName}, key)).To(Succeed())
			g.Expect(key.Spec.Owner).To(Equal(bob.Name))
		}).Should(Succeed())
		denied(alice.Client.Patch(ctx, alice.copyFor(alice.Namespace, "openai"), mergePatch(`{"spec":{"value":"alices-second-0123456789"}}`)), byWebhook("seal")+plaintextByOwner)
		denied(alice.Client.Patch(ctx, alice.copyFor(alice.Namespace, "openai"), mergePatch(`{"spec":{"active":false}}`)), byWebhook("validate")+ownersAndDelegates)
		denied(alice.Client.Delete(ctx, alice.copyFor(alice.Namespace, "openai")), byWebhook("delete")+ownersAndDelegates)

		his := plaintext(bob, "slack", "slack", v1alpha1.TypeOAuthToken, "xoxb-bobs-own-0123456789")
		his.Namespace = alice.Namespace
		store(ctx, bob, his)
		Expect(bob.Client.Patch(ctx, alice.copyFor(alice.Namespace, "openai"), mergePatch(`{"spec":{"description":"left by whoever was here before"}}`))).To(Succeed())
	})

	It("opens alice's again, and bob's no more, once it is hers again", func(ctx SpecContext) {
		saved := alice.userSecret.Status
		handOver(ctx, alice.Namespace, alice.Name)
		us := alice.userSecret.DeepCopy()
		Eventually(func(g Gomega) {
			g.Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(us), us)).To(Succeed())
			g.Expect(sealedReason(us)).To(Equal(v1alpha1.ReasonOpens))
		}).Should(Succeed())
		Eventually(func() (map[string][]byte, error) {
			err := product.Client.Get(ctx, client.ObjectKeyFromObject(alice.projection), alice.projection)
			return alice.projection.Data, err
		}).Should(Equal(map[string][]byte{"OPENAI_API_KEY": []byte(alice.value)}), "her pod, which still runs, has it back")
		Expect(us.Status.ValueID).To(Equal(saved.ValueID), "no value changed")
		Expect(us.Status.ValueUpdatedAt).To(Equal(saved.ValueUpdatedAt))
		Consistently(eventsOf(ctx, us, "ValueStored")).Should(HaveLen(1), "and none is said to have")

		his := &v1alpha1.UserSecret{}
		Eventually(func(g Gomega) {
			g.Expect(product.Client.Get(ctx, types.NamespacedName{Namespace: alice.Namespace, Name: "slack"}, his)).To(Succeed())
			g.Expect(sealedReason(his)).To(Equal(v1alpha1.ReasonDoesNotOpen))
		}).Should(Succeed())
	})
})

// Nothing in a sealed value tells one namespace from a later one of the same name;
// whose it is does.
var _ = Describe("A namespace of alice's that is deleted and made again for bob", Ordered, func() {
	var alice *estate
	var bob *rig.Person

	BeforeAll(func(ctx SpecContext) {
		alice = newEstate(ctx)
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: alice.Namespace}}
		Expect(product.Client.Delete(ctx, ns)).To(Succeed())
		Eventually(func() error { return product.Client.Get(ctx, client.ObjectKeyFromObject(ns), ns) }).
			Should(MatchError(apierrors.IsNotFound, "it is gone, with all that was in it"))
		var err error
		bob, err = product.Onboard(ctx, fmt.Sprintf("bob-%d", serial.Add(1)), alice.Namespace)
		Expect(err).NotTo(HaveOccurred())
		allowMeddling(ctx, bob, bob.Namespace)
	})

	It("opens nothing of hers that he kept, under its own name or another", func(ctx SpecContext) {
		for _, name := range []string{"openai", "another"} {
			alice.refuses(bob.Client.Create(ctx, alice.copyFor(bob.Namespace, name)), byWebhook("validate")+doesNotOpen)
		}
		// Not even where an administrator puts it there.
		alice.refuses(product.Client.Create(ctx, alice.copyFor(bob.Namespace, "openai")), byWebhook("validate")+doesNotOpen)
	})

	It("has a key of its own, with which nothing of hers was sealed", func(ctx SpecContext) {
		key := &v1alpha1.SealingKey{}
		Expect(product.Client.Get(ctx, types.NamespacedName{Namespace: bob.Namespace, Name: v1alpha1.SealingKeyName}, key)).To(Succeed())
		Expect(key.Spec.Owner).To(Equal(bob.Name))
	})

	It("issues nothing of hers to a pod of his", func(ctx SpecContext) {
		pod := workflowPod(bob.Namespace, "his", "name:openai=KEY")
		Expect(bob.Client.Create(ctx, pod)).To(Succeed())
		Consistently(func() error { return product.Client.Get(ctx, projectionKey(pod), &corev1.Secret{}) }).
			Should(MatchError(apierrors.IsNotFound, "nothing is issued"))
	})
})

var _ = Describe("A backup of alice's UserSecret", Ordered, func() {
	var alice *estate
	var saved *v1alpha1.UserSecret

	BeforeAll(func(ctx SpecContext) {
		alice = newEstate(ctx)
		saved = alice.userSecret.DeepCopy()
		saved.ResourceVersion, saved.UID, saved.ManagedFields = "", "", nil
	})

	It("restored elsewhere opens for nobody", func(ctx SpecContext) {
		bob := newUser(ctx, "bob")
		elsewhere := saved.DeepCopy()
		elsewhere.Namespace = bob.Namespace
		alice.refuses(product.Client.Create(ctx, elsewhere), byWebhook("validate")+doesNotOpen)
	})

	It("brings neither projections nor sealing keys back, which the operator makes", func(ctx SpecContext) {
		projection := alice.projection.DeepCopy()
		projection.Name, projection.ResourceVersion, projection.UID = "usersecret-restored", "", ""
		alice.refuses(product.Client.Create(ctx, projection), byPolicy("projections")+secretsReserved)
		key := &v1alpha1.SealingKey{}
		Expect(product.Client.Get(ctx, types.NamespacedName{Namespace: alice.Namespace, Name: v1alpha1.SealingKeyName}, key)).To(Succeed())
		key.ResourceVersion, key.UID = "", ""
		denied(product.Client.Create(ctx, key), byPolicy("sealing-keys")+sealingKeyByOperator)
	})

	It("restored in its place by an administrator is whole, and says who restored it", func(ctx SpecContext) {
		Expect(alice.Client.Delete(ctx, alice.userSecret.DeepCopy())).To(Succeed())
		emptied := alice.projection.DeepCopy()
		Eventually(func(g Gomega) {
			g.Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(emptied), emptied)).To(Succeed())
			g.Expect(emptied.Data).To(BeEmpty())
		}).Should(Succeed())

		restored := saved.DeepCopy()
		Expect(restored.Annotations).To(HaveKeyWithValue(v1alpha1.CreatedByAnnotation, alice.Name))
		Expect(product.Client.Create(ctx, restored)).To(Succeed())
		Expect(restored.Annotations).To(HaveKey(v1alpha1.CreatedByAnnotation))
		Expect(restored.Annotations).NotTo(HaveKeyWithValue(v1alpha1.CreatedByAnnotation, alice.Name))
		Eventually(func(g Gomega) {
			g.Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(restored), restored)).To(Succeed())
			g.Expect(readyReason(restored)).To(Equal(v1alpha1.ReasonReady))
		}).Should(Succeed())
		Expect(restored.Status.ValueID).To(Equal(saved.Status.ValueID), "it is the same value in the same place")
	})
})

func handOver(ctx context.Context, namespace, owner string) {
	GinkgoHelper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	Expect(product.Client.Patch(ctx, ns, mergePatch(fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.OwnerAnnotation, owner)))).To(Succeed())
}

func sealedReason(us *v1alpha1.UserSecret) string {
	for _, c := range us.Status.Conditions {
		if c.Type == v1alpha1.ConditionSealed {
			return c.Reason
		}
	}
	return ""
}

// waitsFor is what the operator says about a pod that it cannot serve yet.
func waitsFor(ctx context.Context, pod *corev1.Pod) (string, error) {
	events := &corev1.EventList{}
	err := product.Client.List(ctx, events, client.InNamespace(pod.Namespace), client.MatchingFields{
		"involvedObject.uid": string(pod.UID), "reason": "WaitingForSecret",
	})
	if err != nil || len(events.Items) == 0 {
		return "", err
	}
	return events.Items[0].Message, nil
}
