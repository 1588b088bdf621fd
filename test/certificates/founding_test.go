package certificates_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var _ = Describe("The first CA", func() {
	now := time.Now()

	It("is made, signs and is published before the manager starts", func(ctx context.Context) {
		createConfigurations(ctx)
		r := newReplica(now)
		Expect(r.Ensure(ctx)).To(Succeed())

		secret := storedSecret(ctx)
		Expect(secret.Type).To(Equal(corev1.SecretTypeOpaque))
		Expect(slices.Sorted(maps.Keys(secret.Data))).To(Equal([]string{"ca.crt", "tls.crt", "tls.key"}))
		Expect(bundles(ctx)).To(HaveEach(secret.Data["ca.crt"]))
		r.believed(ctx)
		Expect(r.Ready()).To(Succeed())
		Expect(r.writes).To(Equal([]string{
			"create Secret", "patch MutatingWebhookConfiguration", "patch ValidatingWebhookConfiguration",
		}))
	})

	It("is one, however many replicas start at once", func(ctx context.Context) {
		createConfigurations(ctx)
		replicas := make([]*replica, 8)
		var group sync.WaitGroup
		for i := range replicas {
			replicas[i] = newReplica(now)
			group.Go(func() {
				defer GinkgoRecover()
				Expect(replicas[i].Ensure(ctx)).To(Succeed())
			})
		}
		group.Wait()

		authorities := parse(storedSecret(ctx).Data["ca.crt"])
		Expect(authorities).To(HaveLen(1))
		for _, r := range replicas {
			Expect(r.leaf().CheckSignatureFrom(authorities[0])).To(Succeed())
			r.believed(ctx)
			Expect(r.Ready()).To(Succeed())
		}
	})

	It("is the winner's, and the loser adopts it", func(ctx context.Context) {
		createConfigurations(ctx)
		winner, loser := newReplica(now), newReplica(now)
		var won *corev1.Secret
		loser.atFirst("create", "Secret", func(ctx context.Context) {
			Expect(winner.Ensure(ctx)).To(Succeed())
			won = storedSecret(ctx)
		})
		Expect(loser.Ensure(ctx)).To(Succeed())

		Expect(storedSecret(ctx).ResourceVersion).To(Equal(won.ResourceVersion), "the loser wrote the Secret")
		Expect(loser.leaf().CheckSignatureFrom(parse(won.Data["tls.crt"])[0])).To(Succeed())
		Expect(loser.writes).To(Equal([]string{"create Secret"}))
	})

	It("is read by replicas that start later, which write nothing", func(ctx context.Context) {
		createConfigurations(ctx)
		Expect(newReplica(now).Ensure(ctx)).To(Succeed())
		later := newReplica(now.Add(day))
		Expect(later.Ensure(ctx)).To(Succeed())
		Expect(later.writes).To(BeEmpty())
		later.believed(ctx)
	})

	DescribeTable("is replaced at once where the Secret",
		func(ctx context.Context, damage func(context.Context, *corev1.Secret)) {
			createConfigurations(ctx)
			r := newReplica(now)
			Expect(r.Ensure(ctx)).To(Succeed())
			before := storedSecret(ctx)
			damage(ctx, before.DeepCopy())

			r.turn(ctx)
			after := storedSecret(ctx)
			Expect(after.Data["tls.crt"]).NotTo(Equal(before.Data["tls.crt"]))
			Expect(r.leaf().CheckSignatureFrom(parse(after.Data["tls.crt"])[0])).To(Succeed())
			r.believed(ctx)
			Expect(r.Ready()).To(Succeed())
			r.writes = nil
			r.turn(ctx)
			Expect(r.writes).To(BeEmpty())
		},
		Entry("was deleted", func(ctx context.Context, s *corev1.Secret) {
			Expect(admin.Delete(ctx, s)).To(Succeed())
		}),
		Entry("was emptied", func(ctx context.Context, s *corev1.Secret) {
			s.Data = nil
			Expect(admin.Update(ctx, s)).To(Succeed())
		}),
		Entry("lost its key", func(ctx context.Context, s *corev1.Secret) {
			delete(s.Data, "tls.key")
			Expect(admin.Update(ctx, s)).To(Succeed())
		}),
	)

	It("leaves a deleted CA out of every bundle", func(ctx context.Context) {
		createConfigurations(ctx)
		r := newReplica(now)
		Expect(r.Ensure(ctx)).To(Succeed())
		revoked := storedSecret(ctx)
		Expect(admin.Delete(ctx, revoked.DeepCopy())).To(Succeed())
		r.turn(ctx)
		for _, bundle := range bundles(ctx) {
			Expect(parse(bundle)).To(HaveLen(1))
			Expect(bundle).NotTo(ContainSubstring(string(revoked.Data["tls.crt"])))
		}
	})

	It("keeps what others wrote into the Secret", func(ctx context.Context) {
		r := newReplica(now)
		Expect(r.Ensure(ctx)).To(Succeed())
		secret := storedSecret(ctx)
		secret.Labels["example.com/team"] = "platform"
		secret.Data["note"] = []byte("ours")
		Expect(admin.Update(ctx, secret)).To(Succeed())

		r.clock.SetTime(now.Add(untilRenewal))
		r.turn(ctx)
		secret = storedSecret(ctx)
		Expect(secret.Data).To(And(HaveKey("next.crt"), HaveKeyWithValue("note", []byte("ours"))))
		Expect(secret.Labels).To(HaveKeyWithValue("example.com/team", "platform"))
	})

	It("fails with the API server's reason where it may not be made", func(ctx context.Context) {
		r := newReplica(now)
		r.before = func(_ context.Context, verb string, object client.Object) error {
			if verb == "create" {
				return errForbidden(object)
			}
			return nil
		}
		Expect(r.Ensure(ctx)).To(MatchError(ContainSubstring("creating the webhook CA's Secret: ")))
		Expect(r.Ready()).To(MatchError(ContainSubstring("the Secret usersecrets-system/webhook-ca was neither read nor made yet")))
	})
})
