package rotation_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

var _ = Describe("Replacing the root key", Ordered, func() {
	var (
		product  *rig.Rig
		us       *v1alpha1.UserSecret
		old, new string
	)
	BeforeAll(func(ctx SpecContext) {
		product = startRig()
		us = store(ctx, product, onboard(ctx, product, "alice"), "key", "a value to keep")
		rotate(ctx, product)
		us = observed(ctx, product, us)
		old, new = product.RootKey(), strings.Repeat("0123456789abcdef", 4)
	})
	AfterAll(func() { stopRig(product) })

	It("wraps everything by the new one, and says when the old one is no longer needed", func(ctx SpecContext) {
		Expect(product.StopOperator()).To(Succeed())
		product.SetRootKey(new + "\n" + old)
		Expect(product.StartOperator(ctx)).To(Succeed())
		before := encryptionKey(ctx, product, "v2").Status.RootKeyID
		out := lines(mustAdmin(ctx, product, "keys", "rewrap-root"))
		after := encryptionKey(ctx, product, "v2").Status.RootKeyID
		Expect(after).NotTo(Equal(before))
		Expect(out).To(Equal([]string{
			"2 encryption keys are wrapped by " + after,
			"root key " + before + " is no longer needed in this cluster; keep it as long as you keep backups that were made with it",
		}))
	})

	It("then needs the new one alone", func(ctx SpecContext) {
		Expect(product.StopOperator()).To(Succeed())
		product.SetRootKey(new)
		Expect(product.StartOperator(ctx)).To(Succeed())
		Expect(served(ctx, product, "alice", "step", "name:key=KEY").Data).To(Equal(map[string][]byte{"KEY": []byte("a value to keep")}))
		Expect(observed(ctx, product, us.DeepCopy()).Status.ValueID).To(Equal(us.Status.ValueID), "the identity key was wrapped anew too")
		Expect(product.StopOperator()).To(Succeed())
		product.SetRootKey(old)
		Expect(failedStart(ctx, product)).To(ContainSubstring("wrong root key: encryption-key"))
		product.SetRootKey(new)
		Expect(product.StartOperator(ctx)).To(Succeed())
	})
})
