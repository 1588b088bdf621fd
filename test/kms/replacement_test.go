package kms_test

import (
	"context"
	"fmt"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/internal/secretvalue"
)

var names atomic.Int64

// uniqueName names a key that no other spec has.
func uniqueName() string { return fmt.Sprintf("root-%d", names.Add(1)) }

var _ = Describe("Replacing a root key", func() {
	// material is what there is to wrap: two encryption keys and the identity key.
	const material = 3

	It("goes from one to the next, each of which is not needed any more afterwards", func(ctx context.Context) {
		c, previous := makeCluster(), localRoot()
		k := c.started(ctx, previous)
		texts := map[string]string{"old": seal(k, "old")}
		Expect(k.EnsureKey(ctx, "v2")).To(BeTrue())
		texts["young"] = seal(k, "young")
		valueID, err := k.ValueID(place, secretvalue.FromString("old"))
		Expect(err).NotTo(HaveOccurred())

		end := func() {} // of the previous root key
		for _, next := range []service{aws, aws, vault, vault, aws, nil} {
			root, destroy := makeRoot(ctx, next)
			By("wrapping by " + root.ID())
			k := c.started(ctx, root, previous)
			Expect(c.wrappedBy(ctx)).To(Equal(map[string]int{previous.ID(): material}), "a start rewraps nothing")
			Expect(k.Rewrap(ctx)).To(Equal(material))
			Expect(c.wrappedBy(ctx)).To(Equal(map[string]int{root.ID(): material}))
			Expect(k.Rewrap(ctx)).To(BeZero(), "a second time there is nothing to do")

			end()
			alone := c.started(ctx, root)
			for value, text := range texts {
				expectOpens(ctx, alone, text, value)
			}
			Expect(alone.ValueID(place, secretvalue.FromString("old"))).To(Equal(valueID))
			previous, end = root, destroy
		}
	})

	It("changes nothing while the new one cannot be reached", func(ctx context.Context) {
		c, old := makeCluster(), localRoot()
		text := seal(c.started(ctx, old), "hello")
		root := open(ctx, vault.root(ctx, uniqueName()))
		k := c.started(ctx, root, old)
		vault.stop()
		DeferCleanup(func(ctx context.Context) { vault.start(ctx) })
		before := c.secrets(ctx)
		written, err := k.Rewrap(ctx)
		Expect(err).To(MatchError(keyring.ErrRootUnavailable))
		Expect(written).To(BeZero())
		Expect(c.secrets(ctx)).To(Equal(before))
		expectOpens(ctx, k, text, "hello")
		expectOpens(ctx, c.started(ctx, root, old), text, "hello")
	})

	It("is refused a start with the new one alone", func(ctx context.Context) {
		c := makeCluster()
		old := open(ctx, aws.root(ctx, uniqueName()))
		c.started(ctx, old)
		for _, root := range []keyring.Root{open(ctx, vault.root(ctx, uniqueName())), localRoot()} {
			Expect(c.keyring(root).Bootstrap(ctx)).To(And(
				MatchError(keyring.ErrWrongRootKey),
				MatchError(ContainSubstring("is wrapped by root key "+old.ID()+", but "+root.ID()+" is configured"))))
		}
	})
})

// makeRoot is a new root key, local where there is no service, and what makes it
// useless for good.
func makeRoot(ctx context.Context, s service) (keyring.Root, func()) {
	GinkgoHelper()
	if s == nil {
		return localRoot(), func() {}
	}
	name := uniqueName()
	return open(ctx, s.root(ctx, name)), func() { s.destroy(name) }
}
