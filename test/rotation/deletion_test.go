package rotation_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

var _ = Describe("Deleting an EncryptionKey", Ordered, func() {
	var (
		product *rig.Rig
		alice   *rig.Person
	)
	key := func(name string) *v1alpha1.EncryptionKey {
		return &v1alpha1.EncryptionKey{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	BeforeAll(func(ctx SpecContext) {
		product = startRig()
		alice = onboard(ctx, product, "alice")
	})
	AfterAll(func() { stopRig(product) })

	It("is refused for the one that is active", func(ctx SpecContext) {
		Eventually(func() map[string]v1alpha1.KeyPhase { return phases(ctx, product) }).Should(HaveKeyWithValue("v1", v1alpha1.KeyActive))
		Expect(product.Client.Delete(ctx, key("v1"))).To(MatchError(ContainSubstring(
			`EncryptionKey "v1" is active: new values are sealed with it. Make a newer one first, with 'kubectl usersecret keys rotate'`)))
	})

	It("is refused while something is sealed with it, with the count and the first names", func(ctx SpecContext) {
		for _, name := range []string{"a", "b", "c", "d"} {
			us := &v1alpha1.UserSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "alice", Name: name}}
			sealed, err := product.Seal(ctx, alice, name, "a value in git")
			Expect(err).NotTo(HaveOccurred())
			Expect(alice.Kubectl(ctx, manifest(us, sealed), "apply", "--server-side", "-f", "-").Err()).NotTo(HaveOccurred())
			observed(ctx, product, us)
		}
		rotate(ctx, product)
		Eventually(func() map[string]v1alpha1.KeyPhase { return phases(ctx, product) }).Should(Equal(map[string]v1alpha1.KeyPhase{"v1": v1alpha1.KeyRetiring, "v2": v1alpha1.KeyActive}))
		err := product.Client.Delete(ctx, key("v1"))
		Expect(err).To(MatchError(ContainSubstring(`EncryptionKey "v1" still seals 4 UserSecrets (alice/a, alice/b, alice/c, …), which would be lost with it`)))
		Expect(product.Client.Delete(ctx, key("v1"), client.DryRunAll)).NotTo(Succeed())
	})

	It("lets a retired one go, and says what no longer opens", func(ctx SpecContext) {
		Expect(product.Client.DeleteAllOf(ctx, &v1alpha1.UserSecret{}, client.InNamespace("alice"))).To(Succeed())
		Eventually(func() map[string]v1alpha1.KeyPhase { return phases(ctx, product) }).Should(HaveKeyWithValue("v1", v1alpha1.KeyRetired))
		result := product.Kubectl(ctx, product.AdminKubeconfig, nil, "delete", "encryptionkey", "v1")
		Expect(result.Err()).NotTo(HaveOccurred())
		Expect(result.Stderr).To(ContainSubstring("Warning: manifests, in git or in backups, that were sealed with key v1-"))
		Consistently(func() bool { return gone(ctx, product, "v1") }).Should(BeTrue(), "it is not made again")
	})

	It("loses nothing while the operator is away: what has material is made again", func(ctx SpecContext) {
		us := store(ctx, product, alice, "kept", "a value that stays")
		Expect(product.StopOperator()).To(Succeed())
		Expect(product.Client.Delete(ctx, key("v2"))).To(Succeed(), "uninstalling waits for nobody")
		Expect(gone(ctx, product, "v2")).To(BeTrue(), "no finalizer holds it")
		Expect(product.StartOperator(ctx)).To(Succeed())
		Eventually(func() bool { return gone(ctx, product, "v2") }).Should(BeFalse())
		Eventually(func() map[string]v1alpha1.KeyPhase { return phases(ctx, product) }).Should(Equal(map[string]v1alpha1.KeyPhase{"v2": v1alpha1.KeyActive}))
		Expect(valueOf(ctx, opener(ctx, product), us, us.Spec.EncryptedValue)).To(Equal("a value that stays"))
	})
})

func gone(ctx context.Context, product *rig.Rig, name string) bool {
	err := product.Client.Get(ctx, types.NamespacedName{Name: name}, &v1alpha1.EncryptionKey{})
	return apierrors.IsNotFound(err)
}
