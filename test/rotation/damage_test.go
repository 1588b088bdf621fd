package rotation_test

import (
	"fmt"
	"strings"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

var _ = Describe("Key material that was damaged by hand", Ordered, func() {
	var (
		product *rig.Rig
		alice   *rig.Person
		us      *v1alpha1.UserSecret
		saved   *corev1.Secret
	)
	material := types.NamespacedName{Namespace: v1alpha1.OperatorNamespace, Name: "encryption-key-v1"}
	BeforeAll(func(ctx SpecContext) {
		product = startRig()
		alice = onboard(ctx, product, "alice")
		us = store(ctx, product, alice, "key", "a value to keep")
		saved = &corev1.Secret{}
		Expect(product.Client.Get(ctx, material, saved)).To(Succeed())
	})
	AfterAll(func() { stopRig(product) })

	var pods atomic.Int32
	restore := func(ctx SpecContext) {
		GinkgoHelper()
		Expect(client.IgnoreNotFound(product.Client.Delete(ctx, saved.DeepCopy()))).To(Succeed())
		again := saved.DeepCopy()
		again.ResourceVersion, again.UID = "", ""
		Expect(product.Client.Create(ctx, again)).To(Succeed())
		look(ctx, product)
		Eventually(func() string { return keyReason(encryptionKey(ctx, product, "v1")) }).Should(Equal(v1alpha1.ReasonMaterialLoaded))
	}

	DescribeTable("is reported, and never replaced by a new key of the name", func(ctx SpecContext, harm func(SpecContext), wantReason, wantMessage string) {
		harm(ctx)
		look(ctx, product)
		Eventually(func() string { return keyReason(encryptionKey(ctx, product, "v1")) }).Should(Equal(wantReason))
		key := encryptionKey(ctx, product, "v1")
		Expect(key.Status.Conditions[0].Message).To(ContainSubstring(wantMessage))
		Expect(key.Status.KeyID).To(Equal(us.Status.KeyID), "it is still that key")

		By("going on with what is in memory")
		Expect(served(ctx, product, "alice", fmt.Sprintf("step-%d", pods.Add(1)), "name:key=KEY").Data).To(Equal(map[string][]byte{"KEY": []byte("a value to keep")}))

		By("being whole again once it is restored, also after a restart")
		restore(ctx)
		Expect(product.StopOperator()).To(Succeed())
		Expect(product.StartOperator(ctx)).To(Succeed())
		Expect(encryptionKey(ctx, product, "v1").Status.KeyID).To(Equal(us.Status.KeyID))
	},
		Entry("edited", func(ctx SpecContext) {
			secret := &corev1.Secret{}
			Expect(product.Client.Get(ctx, material, secret)).To(Succeed())
			secret.Data["wrapped"][40] ^= 1
			Expect(product.Client.Update(ctx, secret)).To(Succeed())
		}, v1alpha1.ReasonMaterialAltered, `key material was altered: encryption-key "v1" does not unwrap; restore its Secret from a backup`),
		Entry("emptied", func(ctx SpecContext) {
			secret := &corev1.Secret{}
			Expect(product.Client.Get(ctx, material, secret)).To(Succeed())
			secret.Data = nil
			Expect(product.Client.Update(ctx, secret)).To(Succeed())
		}, v1alpha1.ReasonMaterialAltered, `key material was altered: Secret "encryption-key-v1" names no root key; restore it from a backup`),
		Entry("deleted", func(ctx SpecContext) {
			Expect(product.Client.Delete(ctx, saved.DeepCopy())).To(Succeed())
		}, v1alpha1.ReasonMaterialMissing, `key material is missing: Secret "encryption-key-v1" is gone`),
	)

	It("keeps an operator from starting where nothing is left, with one line", func(ctx SpecContext) {
		Expect(product.StopOperator()).To(Succeed())
		Expect(product.Client.Delete(ctx, saved.DeepCopy())).To(Succeed())
		Expect(failedStart(ctx, product)).To(ContainSubstring("opening the vault: key material is missing: "))
		restore := saved.DeepCopy()
		restore.ResourceVersion, restore.UID = "", ""
		Expect(product.Client.Create(ctx, restore)).To(Succeed())
		Expect(product.StartOperator(ctx)).To(Succeed())
	})

	It("is told from a wrong root key, which stops a start with one line and touches nothing", func(ctx SpecContext) {
		Expect(product.StopOperator()).To(Succeed())
		right := product.RootKey()
		before := versions(ctx, product)
		product.SetRootKey(strings.Repeat("0123456789abcdef", 4))
		Expect(failedStart(ctx, product)).To(MatchRegexp(
			`^usersecret-operator: opening the vault: wrong root key: encryption-key "v1" is wrapped by root key local-[0-9a-f]{16}, but local-[0-9a-f]{16} is configured; start the operator with the root key that the vault was made with$`))
		Expect(versions(ctx, product)).To(Equal(before), "no object was touched")
		product.SetRootKey(right)
		Expect(product.StartOperator(ctx)).To(Succeed())
	})

	DescribeTable("nor does a start go on with a root key that is none", func(ctx SpecContext, root, want string) {
		Expect(product.StopOperator()).To(Succeed())
		right := product.RootKey()
		product.SetRootKey(root)
		Expect(failedStart(ctx, product)).To(Equal("usersecret-operator: VAULT_ENCRYPTION_KEY: " + want))
		product.SetRootKey(right)
		Expect(product.StartOperator(ctx)).To(Succeed())
	},
		Entry("of 31 bytes", strings.Repeat("a1", 31), "the root key has the wrong size: 31 bytes instead of 32; make one with 'openssl rand -hex 32'"),
		Entry("that is neither hexadecimal nor base64", "not!hex", "the root key is neither hexadecimal nor base64: make one with 'openssl rand -hex 32'"),
		Entry("that is empty", "", "the root key is empty: make one with 'openssl rand -hex 32'"),
		Entry("that is the documentation's", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "the root key is a well-known value (the documentation's example): make one with 'openssl rand -hex 32'"),
	)
})

// look has the operator look at its keys now, instead of within a minute.
func look(ctx SpecContext, product *rig.Rig) {
	GinkgoHelper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"example.com/look":"%d"}}}`, GinkgoRandomSeed()+int64(len(product.Operator.Log())))
	key := encryptionKey(ctx, product, "v1")
	Expect(product.Client.Patch(ctx, key, client.RawPatch(types.MergePatchType, []byte(patch)))).To(Succeed())
}

// failedStart is the last line of an operator that did not start.
func failedStart(ctx SpecContext, product *rig.Rig) string {
	GinkgoHelper()
	line, err := product.FailedStart(ctx)
	Expect(err).NotTo(HaveOccurred())
	return line
}

// versions are the resource versions of what a start might touch.
func versions(ctx SpecContext, product *rig.Rig) map[string]string {
	GinkgoHelper()
	out := map[string]string{}
	secrets := &corev1.SecretList{}
	Expect(product.Client.List(ctx, secrets)).To(Succeed())
	for i := range secrets.Items {
		out["secret/"+secrets.Items[i].Namespace+"/"+secrets.Items[i].Name] = secrets.Items[i].ResourceVersion
	}
	stored := &v1alpha1.UserSecretList{}
	Expect(product.Client.List(ctx, stored)).To(Succeed())
	for i := range stored.Items {
		out["usersecret/"+stored.Items[i].Name] = stored.Items[i].ResourceVersion
	}
	keys := &v1alpha1.EncryptionKeyList{}
	Expect(product.Client.List(ctx, keys)).To(Succeed())
	for i := range keys.Items {
		out["encryptionkey/"+keys.Items[i].Name] = keys.Items[i].ResourceVersion
	}
	return out
}
