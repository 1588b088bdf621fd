package kms_test

import (
	"context"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"usersecrets.dev/operator/internal/keyring"
)

// alterations are what may become of a ciphertext by hand or by chance.
var alterations = map[string]func([]byte) []byte{
	"one character is another": func(b []byte) []byte {
		b = slices.Clone(b)
		// In the cipher's tag, and in base64 still: AWS's ciphertext begins with the
		// name of the key, and who names another key is told that it may not use it.
		if at := len(b) - 4; b[at] == 'A' {
			b[at] = 'B'
		} else {
			b[at] = 'A'
		}
		return b
	},
	"the end is missing": func(b []byte) []byte { return slices.Clone(b[:len(b)-8]) },
	"it is a text":       func([]byte) []byte { return []byte("gone") },
}

var _ = Describe("A root key in AWS KMS", func() {
	behavesAsRootKey(func() service { return aws },
		"AWS answers DisabledException: ", "AWS answers AccessDeniedException: ")
})

var _ = Describe("A root key in Vault", func() {
	behavesAsRootKey(func() service { return vault },
		"Vault answers 403: 2 errors occurred: * permission denied * invalid token",
		"Vault answers 403: 2 errors occurred: * permission denied * invalid token")

	It("is waited for where somebody deleted it, and nothing is called altered", func(ctx context.Context) {
		name := uniqueName()
		root := open(ctx, vault.root(ctx, name))
		c := makeCluster()
		c.started(ctx, root)
		vault.destroy(name)
		err := c.keyring(root).Bootstrap(ctx)
		Expect(err).To(beUnavailable("Vault answers 400: encryption key not found"))
		Expect(err).NotTo(MatchError(keyring.ErrTampered))
	})

	It("outlives a rotation in Vault", func(ctx context.Context) {
		name := uniqueName()
		root := open(ctx, vault.root(ctx, name))
		c := makeCluster()
		k := c.started(ctx, root)
		old := seal(k, "old")
		_, err := vault.admin.Logical().WriteWithContext(ctx, "transit/keys/"+name+"/rotate", nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(k.EnsureKey(ctx, "v2")).To(BeTrue())
		young := seal(k, "young")
		again := c.started(ctx, root)
		expectOpens(ctx, again, old, "old")
		expectOpens(ctx, again, young, "young")
	})
})

// beUnavailable matches an error that says nothing about the material, with words
// of the service's.
func beUnavailable(words ...string) types.GomegaMatcher {
	matchers := []types.GomegaMatcher{MatchError(keyring.ErrRootUnavailable)}
	for _, w := range words {
		matchers = append(matchers, MatchError(ContainSubstring(w)))
	}
	return And(matchers...)
}

// behavesAsRootKey holds for every service. noWrap and noUnwrap are its words
// where it refuses.
func behavesAsRootKey(get func() service, noWrap, noUnwrap string) {
	var (
		s    service
		name string
		url  string
		root keyring.Root
	)
	BeforeEach(func(ctx context.Context) {
		s, name = get(), uniqueName()
		url = s.root(ctx, name)
		root = open(ctx, url)
	})

	It("unwraps what it wrapped", func(ctx context.Context) {
		wrapped, err := root.Wrap(ctx, []byte("material"))
		Expect(err).NotTo(HaveOccurred())
		Expect(wrapped).NotTo(ContainSubstring("material"))
		Expect(root.Unwrap(ctx, wrapped)).To(BeEquivalentTo("material"))
	})

	It("opens the vault again after a restart", func(ctx context.Context) {
		c := makeCluster()
		k := c.started(ctx, root)
		text := seal(k, "hello")
		Expect(c.wrappedBy(ctx)).To(Equal(map[string]int{root.ID(): 2}), "the first key and the identity key")
		expectOpens(ctx, c.started(ctx, open(ctx, url)), text, "hello")
	})

	It("is asked for a rotated key too", func(ctx context.Context) {
		c := makeCluster()
		k := c.started(ctx, root)
		old := seal(k, "old")
		Expect(k.EnsureKey(ctx, "v2")).To(BeTrue())
		young := seal(k, "young")
		again := c.started(ctx, open(ctx, url))
		expectOpens(ctx, again, old, "old")
		expectOpens(ctx, again, young, "young")
	})

	It("tells altered ciphertext from a service that is away", func(ctx context.Context) {
		wrapped, err := root.Wrap(ctx, []byte("material"))
		Expect(err).NotTo(HaveOccurred())
		for what, alter := range alterations {
			_, err := root.Unwrap(ctx, alter(wrapped))
			Expect(err).To(HaveOccurred(), what)
			Expect(err).NotTo(MatchError(keyring.ErrRootUnavailable), what)
		}
	})

	It("has altered material reported, and what is in memory kept", func(ctx context.Context) {
		c := makeCluster()
		k := c.started(ctx, root)
		text := seal(k, "hello")
		for what, alter := range alterations {
			intact := c.put(ctx, "v1", nil)
			c.put(ctx, "v1", alter(intact))
			Expect(k.Reload(ctx)).To(Succeed(), what)
			Expect(k.Problem("v1")).To(MatchError(keyring.ErrTampered), what)
			expectOpens(ctx, k, text, "hello")
			err := c.keyring(open(ctx, url)).Bootstrap(ctx)
			Expect(err).To(MatchError(keyring.ErrTampered), what)
			Expect(err).NotTo(MatchError(keyring.ErrRootUnavailable), what)
			c.put(ctx, "v1", intact)
		}
		expectOpens(ctx, c.started(ctx, root), text, "hello")
	})

	It("breaks nothing in memory while the service is away, and is waited for at the start", func(ctx context.Context) {
		c := makeCluster()
		k := c.started(ctx, root)
		text := seal(k, "hello")
		before := c.secrets(ctx)
		s.stop()
		DeferCleanup(func(ctx context.Context) { s.start(ctx) })

		expectOpens(ctx, k, text, "hello")
		later := seal(k, "later")
		Expect(k.Reload(ctx)).To(Succeed())
		Expect(k.Problem("v1")).To(Succeed())
		_, err := k.EnsureKey(ctx, "v2")
		Expect(err).To(MatchError(keyring.ErrRootUnavailable))

		Expect(c.keyring(open(ctx, url)).Bootstrap(ctx)).To(beUnavailable("connection refused"))
		Expect(c.secrets(ctx)).To(Equal(before), "nothing is written meanwhile")
		empty := makeCluster()
		Expect(empty.keyring(root).Bootstrap(ctx)).To(MatchError(keyring.ErrRootUnavailable))
		Expect(empty.secrets(ctx)).To(BeEmpty(), "no key is made that nothing wraps")

		s.start(ctx)
		waiting := c.started(ctx, root)
		expectOpens(ctx, waiting, text, "hello")
		expectOpens(ctx, waiting, later, "later")
	}, SpecTimeout(eventually))

	It("says what the service says when it refuses", func(ctx context.Context) {
		c := makeCluster()
		k := c.started(ctx, root)
		text := seal(k, "hello")
		s.forbid(name)
		allowed := false
		DeferCleanup(func() {
			if !allowed {
				s.allow(name)
			}
		})
		Expect(c.keyring(open(ctx, url)).Bootstrap(ctx)).To(beUnavailable(root.ID(), noUnwrap))
		_, err := k.EnsureKey(ctx, "v2")
		Expect(err).To(beUnavailable(root.ID(), noWrap))
		expectOpens(ctx, k, text, "hello")

		s.allow(name)
		allowed = true
		expectOpens(ctx, c.started(ctx, open(ctx, url)), text, "hello")
	})

	It("takes the vault along where the time without contact is bounded", func(ctx context.Context) {
		const limit = time.Hour
		c := makeCluster()
		k := c.started(ctx, root)
		text := seal(k, "hello")
		contact := &keyring.Contact{Keys: k, Limit: limit}
		contact.Check(ctx)
		s.forbid(name)
		c.clock.Step(limit - time.Second)
		contact.Check(ctx)
		expectOpens(ctx, k, text, "hello")

		c.clock.Step(time.Second)
		contact.Check(ctx)
		_, err := k.OpenText(ctx, text, place)
		Expect(err).To(beUnavailable(noUnwrap))

		s.allow(name)
		contact.Check(ctx)
		expectOpens(ctx, k, text, "hello")
	})
}
