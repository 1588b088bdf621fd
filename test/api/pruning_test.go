package api_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A field of a newer version, and a misspelt one with a value in it, look the same here.
var _ = Describe("A field that the kind does not have", func() {
	AfterEach(expectCleanLog)

	DescribeTable("is not stored", func(ctx context.Context, m maker, path string) {
		o := m(newNamespace(ctx))
		put(o, path, canary)
		Expect(admin.Create(ctx, o, client.FieldValidation("Ignore"))).To(Succeed())
		Expect(at(o, path)).To(BeNil())
		Expect(warnings.take()).To(BeEmpty())

		put(o, path, canary)
		Expect(admin.Update(ctx, o, client.FieldValidation("Ignore"))).To(Succeed())
		Expect(at(o, path)).To(BeNil())
		Expect(o.GetGeneration()).To(BeEquivalentTo(1))
	}, unknownFields())

	DescribeTable("is named in a warning, without what it holds", func(ctx context.Context, m maker, path string) {
		o := m(newNamespace(ctx))
		put(o, path, canary)
		Expect(admin.Create(ctx, o, client.FieldValidation("Warn"))).To(Succeed())
		Expect(at(o, path)).To(BeNil())
		Expect(warnings.take()).To(HaveExactElements(`unknown field "` + path + `"`))
	}, unknownFields())

	DescribeTable("is refused where kubectl asks for it, without what it holds", func(ctx context.Context, m maker, path string) {
		o := m("default")
		put(o, path, canary)
		Expect(admin.Create(ctx, o, client.FieldValidation("Strict"))).To(MatchError(
			o.GetKind() + ` in version "v1alpha1" cannot be handled as a ` + o.GetKind() + `: strict decoding error: unknown field "` + path + `"`))
	}, unknownFields())

	DescribeTable("is refused by server-side apply, without what it holds", func(ctx context.Context, m maker, path, want string) {
		o := m("default")
		put(o, path, canary)
		Expect(apply(ctx, o)).To(MatchError("failed to create typed patch object (" + o.GetNamespace() + "/" + o.GetName() +
			"; usersecrets.dev/v1alpha1, Kind=" + o.GetKind() + "): " + want + ": field not declared in schema"))
	},
		Entry("in a UserSecret", maker(userSecret), "vaule", ".vaule"),
		Entry("in a UserSecret's spec", maker(userSecret), "spec.vaule", ".spec.vaule"),
		Entry("in a SecretProvider's type", maker(secretProvider), "spec.types[0].regex", `.spec.types[type="api_key"].regex`),
		Entry("in a SealingKey's spec", maker(sealingKey), "spec.privateKey", ".spec.privateKey"),
	)

	// To server-side apply an object without properties may have any.
	It("is not stored in an EncryptionKey either, where server-side apply takes it", func(ctx context.Context) {
		o := encryptionKey("")
		put(o, "spec.material", canary)
		Expect(apply(ctx, o)).To(Succeed())
		Expect(admin.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
		Expect(at(o, "spec")).To(Equal(fields{}))
	})
})

func unknownFields() []TableEntry {
	return []TableEntry{
		Entry("in a UserSecret", maker(userSecret), "vaule"),
		Entry("in a UserSecret's spec", maker(userSecret), "spec.vaule"),
		Entry("in a UserSecret's verification", maker(userSecret), "spec.verification.vaule"),
		Entry("in a SecretProvider's spec", maker(secretProvider), "spec.owner"),
		Entry("in a SecretProvider's type", maker(secretProvider), "spec.types[0].regex"),
		Entry("in a SecretProvider's test", maker(secretProvider), "spec.types[0].test.http.timeout"),
		Entry("in an EncryptionKey's spec", maker(encryptionKey), "spec.material"),
		Entry("in a SealingKey's spec", maker(sealingKey), "spec.privateKey"),
	}
}
