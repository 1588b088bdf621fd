package certificates_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
)

var _ = Describe("A CA that changes", func() {
	start := time.Now()
	due := start.Add(untilRenewal)
	var a, b *replica

	BeforeEach(func(ctx context.Context) {
		createConfigurations(ctx)
		a, b = newReplica(start), newReplica(start)
		Expect(a.Ensure(ctx)).To(Succeed())
		Expect(b.Ensure(ctx)).To(Succeed())
	})

	set := func(now time.Time) {
		a.clock.SetTime(now)
		b.clock.SetTime(now)
	}
	signedBy := func(r *replica, key string, secret *corev1.Secret) {
		GinkgoHelper()
		Expect(r.leaf().CheckSignatureFrom(parse(secret.Data[key])[0])).To(Succeed())
	}

	It("is published for an hour before it signs, and its forerunner stays until it expires", func(ctx context.Context) {
		first := storedSecret(ctx)

		By("preparing")
		set(due)
		a.turn(ctx)
		prepared := storedSecret(ctx)
		Expect(prepared.Data["tls.crt"]).To(Equal(first.Data["tls.crt"]))
		Expect(prepared.Data).To(And(HaveKey("next.crt"), HaveKey("next.key"), HaveKey("next.published")))
		Expect(bundles(ctx)).To(HaveEach(prepared.Data["ca.crt"]))
		b.writes = nil
		b.turn(ctx)
		Expect(b.writes).To(BeEmpty())
		for _, r := range []*replica{a, b} {
			signedBy(r, "tls.crt", prepared)
			r.believed(ctx)
		}

		By("waiting")
		set(due.Add(overlap - 2*time.Second))
		b.turn(ctx)
		Expect(storedSecret(ctx).ResourceVersion).To(Equal(prepared.ResourceVersion))

		By("switching: b alone")
		set(due.Add(overlap))
		b.turn(ctx)
		switched := storedSecret(ctx)
		Expect(switched.Data["tls.crt"]).To(Equal(prepared.Data["next.crt"]))
		Expect(switched.Data).To(And(Not(HaveKey("next.crt")), Not(HaveKey("next.key")), Not(HaveKey("next.published"))))
		signedBy(b, "tls.crt", switched)
		signedBy(a, "tls.crt", first)
		Expect(bundles(ctx)).To(HaveEach(switched.Data["ca.crt"]))
		a.believed(ctx)
		b.believed(ctx)

		By("switching: a too")
		a.writes = nil
		a.turn(ctx)
		signedBy(a, "tls.crt", switched)
		Expect(a.writes).To(BeEmpty())
		Expect(a.Ready()).To(Succeed())

		By("dropping the old one")
		end := parse(first.Data["tls.crt"])[0].NotAfter
		set(end.Add(-time.Second))
		a.turn(ctx)
		Expect(parse(bundles(ctx)[0])).To(HaveLen(2))
		set(end)
		a.turn(ctx)
		Expect(bundles(ctx)).To(HaveEach(switched.Data["tls.crt"]))
		a.believed(ctx)
	})

	It("waits for a configuration that does not carry it", func(ctx context.Context) {
		Expect(admin.Delete(ctx, validating())).To(Succeed())
		set(due)
		a.turn(ctx)
		Expect(storedSecret(ctx).Data).To(And(HaveKey("next.crt"), Not(HaveKey("next.published"))))
		set(due.Add(30 * day))
		a.turn(ctx)
		Expect(storedSecret(ctx).Data).To(And(HaveKey("next.crt"), Not(HaveKey("next.published"))))

		By("counting the hour from when it does")
		Expect(admin.Create(ctx, validating())).To(Succeed())
		a.turn(ctx)
		Expect(storedSecret(ctx).Data).To(And(HaveKey("next.crt"), HaveKey("next.published")))
		set(due.Add(30*day + overlap))
		a.turn(ctx)
		Expect(storedSecret(ctx).Data).NotTo(HaveKey("next.crt"))
		a.believed(ctx)
	})

	It("is made by one replica, where two find it due at once", func(ctx context.Context) {
		set(due)
		var won *corev1.Secret
		b.atFirst("update", "Secret", func(ctx context.Context) {
			a.turn(ctx)
			won = storedSecret(ctx)
		})
		b.turn(ctx)
		Expect(storedSecret(ctx).ResourceVersion).To(Equal(won.ResourceVersion), "the loser wrote the Secret")
		Expect(parse(storedSecret(ctx).Data["ca.crt"])).To(HaveLen(2))
	})

	It("is overtaken where everybody was away until all had expired", func(ctx context.Context) {
		set(start.Add(3 * 365 * day))
		a.turn(ctx)
		secret := storedSecret(ctx)
		Expect(parse(secret.Data["ca.crt"])).To(HaveLen(1))
		signedBy(a, "tls.crt", secret)
		a.believed(ctx)
	})

	It("is asked for in time", func(ctx context.Context) {
		Expect(a.turn(ctx)).To(Equal(time.Hour), "the longest sleep")
		set(due)
		a.turn(ctx)
		set(due.Add(overlap - 10*time.Minute))
		Expect(a.turn(ctx)).To(BeNumerically("~", 10*time.Minute, time.Second))
	})

	It("leaves serving certificates to be renewed in between", func(ctx context.Context) {
		before := a.leaf()
		set(start.Add(servingThirds))
		a.writes = nil
		a.turn(ctx)
		Expect(a.leaf().SerialNumber).NotTo(Equal(before.SerialNumber))
		Expect(a.writes).To(BeEmpty(), "it is kept in memory")
		a.believed(ctx)
	})
})
