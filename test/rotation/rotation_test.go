package rotation_test

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
	"usersecrets.dev/operator/test/rig"
)

var _ = Describe("A rotation", Ordered, func() {
	var (
		product    *rig.Rig
		alice      *rig.Person
		stored     []*v1alpha1.UserSecret
		projection *corev1.Secret
		firstKey   *envelope.PublicKey
	)
	BeforeAll(func(ctx SpecContext) {
		product = startRig()
		alice = onboard(ctx, product, "alice")
		for n := range 5 {
			stored = append(stored, store(ctx, product, alice, fmt.Sprintf("key-%d", n), fmt.Sprintf("a value, the one of number %d", n)))
		}
		projection = served(ctx, product, "alice", "step", "name:key-0=KEY")
		firstKey = publicKey(ctx, product, "alice")
	})
	AfterAll(func() { stopRig(product) })

	It("seals every value again with the new key, and changes nothing else", func(ctx SpecContext) {
		out := rotate(ctx, product)
		key := encryptionKey(ctx, product, "v2")
		Expect(lines(out)).To(Equal([]string{"encryptionkey.usersecrets.dev/v2 created", fmt.Sprintf("5 of 5 UserSecrets are sealed with %s", key.Status.KeyID)}))
		for n, before := range stored {
			after := observed(ctx, product, before.DeepCopy())
			Expect(string(envelope.KeyIDOf(after.Spec.EncryptedValue))).To(Equal(key.Status.KeyID))
			Expect(after.Status.KeyID).To(Equal(key.Status.KeyID))
			Expect(after.Status.ValueID).To(Equal(before.Status.ValueID), "a reseal is no change of the value")
			Expect(after.Status.ValueUpdatedAt).To(Equal(before.Status.ValueUpdatedAt))
			Expect(sealedReason(after)).To(Equal(v1alpha1.ReasonOpens))
			Expect(after.Generation).To(Equal(before.Generation+1), "sealed again once")
			Expect(valueOf(ctx, opener(ctx, product), after, after.Spec.EncryptedValue)).To(Equal(fmt.Sprintf("a value, the one of number %d", n)))
		}
		now := &corev1.Secret{}
		Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(projection), now)).To(Succeed())
		Expect(now.ResourceVersion).To(Equal(projection.ResourceVersion), "a running pod notices nothing")
	})

	It("shows what each key is used for, and publishes the new public key", func(ctx SpecContext) {
		Eventually(func() map[string]v1alpha1.KeyPhase { return phases(ctx, product) }).Should(Equal(map[string]v1alpha1.KeyPhase{"v1": v1alpha1.KeyRetired, "v2": v1alpha1.KeyActive}))
		Eventually(func(g Gomega) {
			active := encryptionKey(ctx, product, "v2")
			g.Expect(active.Status.SealedSecrets).To(BeEquivalentTo(5))
			g.Expect(active.Status.Progress).To(Equal("5/5"))
		}).Should(Succeed())
		Expect(string(publicKey(ctx, product, "alice").KeyID())).To(Equal(encryptionKey(ctx, product, "v2").Status.KeyID))
	})

	It("takes what was sealed with the old public key, with a warning, and seals it again", func(ctx SpecContext) {
		sealed, err := firstKey.Seal(envelope.Binding{Owner: "alice", Namespace: "alice", Name: "late"}, secretvalue.FromString("sealed before the rotation"))
		Expect(err).NotTo(HaveOccurred())
		us := &v1alpha1.UserSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "alice", Name: "late"}, Spec: v1alpha1.UserSecretSpec{Provider: "custom", Type: v1alpha1.TypeCustom, EncryptedValue: sealed}}
		result := alice.Kubectl(ctx, manifest(us, sealed), "create", "-f", "-")
		Expect(result.Err()).NotTo(HaveOccurred())
		Expect(result.Stderr).To(ContainSubstring("Warning: spec.encryptedValue is sealed with key v1-"))
		Eventually(func(g Gomega) {
			g.Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(us), us)).To(Succeed())
			g.Expect(envelope.KeyIDOf(us.Spec.EncryptedValue).Name()).To(Equal("v2"))
		}).Should(Succeed())
		Expect(valueOf(ctx, opener(ctx, product), us, us.Spec.EncryptedValue)).To(Equal("sealed before the rotation"))
	})

	It("keeps the ciphertext of a plaintext that its owner applies again", func(ctx SpecContext) {
		plain := "apiVersion: usersecrets.dev/v1alpha1\nkind: UserSecret\nmetadata: {name: typed}\nspec: {provider: custom, type: custom, value: typed by its owner}\n"
		for _, how := range [][]string{{"apply", "-f", "-"}, {"apply", "--server-side", "--force-conflicts", "-f", "-"}} {
			Expect(alice.Kubectl(ctx, plain, how...).Err()).NotTo(HaveOccurred())
		}
		us := observed(ctx, product, &v1alpha1.UserSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "alice", Name: "typed"}})
		rotate(ctx, product)
		Eventually(func(g Gomega) {
			g.Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(us), us)).To(Succeed())
			g.Expect(envelope.KeyIDOf(us.Spec.EncryptedValue).Name()).To(Equal("v3"), "what was typed is nobody's ciphertext to keep")
		}).Should(Succeed())
		us = observed(ctx, product, us)
		for _, how := range [][]string{{"apply", "-f", "-"}, {"apply", "--server-side", "--force-conflicts", "-f", "-"}} {
			Expect(alice.Kubectl(ctx, plain, how...).Err()).NotTo(HaveOccurred())
		}
		after := observed(ctx, product, us.DeepCopy())
		Expect(after.Spec.EncryptedValue).To(Equal(us.Spec.EncryptedValue))
		Expect(after.Generation).To(Equal(us.Generation))
	})

	It("ends well where one starts a moment after another, and where one starts during another", func(ctx SpecContext) {
		for range 3 {
			mustAdmin(ctx, product, "keys", "rotate")
		}
		rotate(ctx, product)
		list := &v1alpha1.UserSecretList{}
		Eventually(func(g Gomega) {
			g.Expect(product.Client.List(ctx, list)).To(Succeed())
			for i := range list.Items {
				g.Expect(envelope.KeyIDOf(list.Items[i].Spec.EncryptedValue).Name()).To(Equal("v7"))
			}
		}).Should(Succeed())
		Eventually(func() map[string]v1alpha1.KeyPhase { return phases(ctx, product) }).Should(Equal(map[string]v1alpha1.KeyPhase{
			"v1": v1alpha1.KeyRetired, "v2": v1alpha1.KeyRetired, "v3": v1alpha1.KeyRetired, "v4": v1alpha1.KeyRetired,
			"v5": v1alpha1.KeyRetired, "v6": v1alpha1.KeyRetired, "v7": v1alpha1.KeyActive,
		}))
	})

	It("gives new pods the same values", func(ctx SpecContext) {
		Expect(served(ctx, product, "alice", "later", "name:key-0=KEY").Data).To(Equal(map[string][]byte{"KEY": []byte("a value, the one of number 0")}))
	})
})

func publicKey(ctx SpecContext, product *rig.Rig, namespace string) *envelope.PublicKey {
	GinkgoHelper()
	key := &v1alpha1.SealingKey{}
	Expect(product.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: v1alpha1.SealingKeyName}, key)).To(Succeed())
	public, err := envelope.NewPublicKey(envelope.KeyID(key.Spec.KeyID), key.Spec.PublicKey)
	Expect(err).NotTo(HaveOccurred())
	return public
}
