package certificates_test

import (
	"context"
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/certificates"
)

func errForbidden(object client.Object) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: kindOf(object)}, object.GetName(), errors.New("no rights"))
}

func errConflict(object client.Object) error {
	return apierrors.NewConflict(schema.GroupResource{Resource: kindOf(object)}, object.GetName(), errors.New("somebody was first"))
}

// saying matches an error of configurations that are not in place, and its text.
func saying(text ...types.GomegaMatcher) types.GomegaMatcher {
	return And(MatchError(certificates.ErrNotInPlace), MatchError(And(text...)))
}

// setBundle is what an applier does that knows nothing of the rotator.
func setBundle(ctx context.Context, bundle []byte) {
	GinkgoHelper()
	m := mutating()
	Expect(admin.Get(ctx, client.ObjectKeyFromObject(m), m)).To(Succeed())
	for i := range m.Webhooks {
		m.Webhooks[i].ClientConfig.CABundle = bundle
	}
	Expect(admin.Update(ctx, m)).To(Succeed())
}

var _ = Describe("The bundle", func() {
	now := time.Now()
	var r *replica

	BeforeEach(func(ctx context.Context) {
		createConfigurations(ctx)
		r = newReplica(now)
		Expect(r.Ensure(ctx)).To(Succeed())
		r.writes = nil
	})

	It("is written once: at rest nothing is", func(ctx context.Context) {
		for range 3 {
			Expect(r.turn(ctx)).To(Equal(time.Hour))
		}
		Expect(r.writes).To(BeEmpty())
	})

	DescribeTable("is put back where somebody", func(ctx context.Context, bundle string) {
		setBundle(ctx, []byte(bundle))
		r.turn(ctx)
		Expect(bundles(ctx)).To(HaveEach(storedSecret(ctx).Data["ca.crt"]))
		Expect(r.writes).To(Equal([]string{"patch MutatingWebhookConfiguration"}))
		Expect(r.Ready()).To(Succeed())
	},
		Entry("emptied it", ""),
		Entry("wrote another", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
	)

	It("is all that is owned and changed of a configuration", func(ctx context.Context) {
		m := mutating()
		Expect(admin.Get(ctx, client.ObjectKeyFromObject(m), m)).To(Succeed())
		var ours []metav1.ManagedFieldsEntry
		for _, entry := range m.ManagedFields {
			if entry.Manager == "usersecret-operator-certificates" {
				ours = append(ours, entry)
			}
		}
		Expect(ours).To(HaveLen(1))
		Expect(ours[0].FieldsV1.GetRawString()).To(MatchJSON(`{"f:webhooks":{
			"k:{\"name\":\"first.usersecrets.dev\"}":{"f:clientConfig":{"f:caBundle":{}}},
			"k:{\"name\":\"second.usersecrets.dev\"}":{"f:clientConfig":{"f:caBundle":{}}}}}`))
		Expect(m.Webhooks).To(HaveLen(2))
		for i := range m.Webhooks {
			Expect(m.Webhooks[i].ClientConfig.Service.Name).To(Equal(service))
			Expect(m.Webhooks[i].Rules).To(HaveLen(1))
		}
	})

	It("survives server-side apply of the manifests, without a conflict", func(ctx context.Context) {
		m := mutating()
		m.SetGroupVersionKind(schema.GroupVersionKind{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "MutatingWebhookConfiguration"})
		apply := func() error {
			object, err := toUnstructured(m)
			Expect(err).NotTo(HaveOccurred())
			return admin.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("helm"))
		}
		Expect(apply()).To(MatchError(apierrors.IsConflict, "the test's own create is another manager"))
		Expect(admin.Delete(ctx, mutating())).To(Succeed())
		Expect(apply()).To(Succeed())
		r.turn(ctx)
		Expect(apply()).To(Succeed())
		Expect(bundles(ctx)).To(HaveEach(storedSecret(ctx).Data["ca.crt"]))
	})

	It("never goes back, though a replica was held up before it wrote", func(ctx context.Context) {
		late, early := r, newReplica(now.Add(untilRenewal))
		setBundle(ctx, nil)
		overtaken := false
		late.before = func(ctx context.Context, verb string, object client.Object) error {
			switch {
			case overtaken:
				Expect(parse(bundles(ctx)[0])).To(HaveLen(2), "before "+verb)
			case verb == "patch" && kindOf(object) == "MutatingWebhookConfiguration":
				overtaken = true
				early.turn(ctx)
			}
			return nil
		}
		late.turn(ctx)
		Expect(overtaken).To(BeTrue())
		Expect(parse(storedSecret(ctx).Data["ca.crt"])).To(HaveLen(2))
		Expect(bundles(ctx)).To(HaveEach(storedSecret(ctx).Data["ca.crt"]))
	})

	It("never goes back, though a replica was held up while it read", func(ctx context.Context) {
		late, early := r, newReplica(now.Add(untilRenewal))
		late.atFirst("get", "MutatingWebhookConfiguration", func(ctx context.Context) { early.turn(ctx) })
		late.turn(ctx)
		Expect(late.writes).To(BeEmpty())
		Expect(parse(bundles(ctx)[0])).To(HaveLen(2))
	})

	It("is published by whoever is left, where a replica died before it did", func(ctx context.Context) {
		killed := errors.New("killed")
		dying := newReplica(now.Add(untilRenewal))
		dying.before = func(_ context.Context, verb string, _ client.Object) error {
			if verb == "patch" {
				return killed
			}
			return nil
		}
		_, err := dying.Reconcile(ctx, reconcile.Request{})
		Expect(err).To(MatchError(killed))
		Expect(parse(bundles(ctx)[0])).To(HaveLen(1))

		r.turn(ctx)
		Expect(parse(storedSecret(ctx).Data["ca.crt"])).To(HaveLen(2))
		Expect(bundles(ctx)).To(HaveEach(storedSecret(ctx).Data["ca.crt"]))
		r.believed(ctx)
	})
})

var _ = Describe("Readiness", func() {
	now := time.Now()

	It("waits for both configurations, and says which is absent", func(ctx context.Context) {
		r := newReplica(now)
		Expect(r.Ensure(ctx)).To(Succeed(), "manifests may be applied later")
		Expect(r.Ready()).To(saying(
			ContainSubstring("there is no MutatingWebhookConfiguration usersecret-operator: apply"),
			ContainSubstring("there is no ValidatingWebhookConfiguration usersecret-operator: apply"),
		))
		Expect(admin.Create(ctx, mutating())).To(Succeed())
		r.turn(ctx)
		Expect(r.Ready()).To(saying(
			Not(ContainSubstring("Mutating")),
			ContainSubstring("there is no ValidatingWebhookConfiguration usersecret-operator: apply"),
		))
		Expect(admin.Create(ctx, validating())).To(Succeed())
		r.turn(ctx)
		Expect(r.Ready()).To(Succeed())
		Expect(r.Check(nil)).To(Succeed())

		Expect(admin.Delete(ctx, validating())).To(Succeed())
		r.turn(ctx)
		Expect(r.Ready()).To(MatchError(certificates.ErrNotInPlace))
	})

	It("is not there where a bundle cannot be written; the other one is", func(ctx context.Context) {
		createConfigurations(ctx)
		r := newReplica(now)
		r.before = func(_ context.Context, verb string, object client.Object) error {
			if verb == "patch" && kindOf(object) == "MutatingWebhookConfiguration" {
				return errForbidden(object)
			}
			return nil
		}
		Expect(r.Ensure(ctx)).To(And(
			Satisfy(apierrors.IsForbidden),
			MatchError(ContainSubstring("writing caBundle into the MutatingWebhookConfiguration usersecret-operator: ")),
		))
		Expect(r.Ready()).To(saying(
			ContainSubstring("caBundle of first.usersecrets.dev lacks the CA that signed this replica's certificate"),
			ContainSubstring("caBundle of second.usersecrets.dev lacks the CA"),
			Not(ContainSubstring("Validating")),
		))
		Expect(bundles(ctx)[2]).To(Equal(storedSecret(ctx).Data["ca.crt"]))
	})

	It("gives up a race that never ends, and says so", func(ctx context.Context) {
		createConfigurations(ctx)
		r := newReplica(now)
		r.before = func(_ context.Context, verb string, object client.Object) error {
			if verb == "patch" {
				return errConflict(object)
			}
			return nil
		}
		Expect(r.Ensure(ctx)).To(And(MatchError(certificates.ErrUnsettled), MatchError(ContainSubstring("somebody was first"))))
		Expect(r.Ready()).To(MatchError(certificates.ErrNotInPlace))
	})

	It("reads nothing but its own three objects", func(ctx context.Context) {
		createConfigurations(ctx)
		r := newReplica(now)
		r.before = func(_ context.Context, _ string, object client.Object) error {
			Expect(object.GetName()).To(Or(BeEmpty(), Equal("webhook-ca"), Equal(v1alpha1.OperatorName)))
			return nil
		}
		Expect(r.Ensure(ctx)).To(Succeed())
	})
})
