package api_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	encryptionKeyName = "<nil>: Invalid value: the name of an EncryptionKey must be lower case letters, digits and '-', " +
		"at most 40 characters, such as v2"
	sealingKeyName = "<nil>: Invalid value: the SealingKey of a namespace is named sealing-key"
)

var _ = Describe("An EncryptionKey", func() {
	DescribeTable("is refused by its name", func(ctx context.Context, name string) {
		o := encryptionKey("")
		o.SetName(name)
		Expect(refusals(admin.Create(ctx, o, client.DryRunAll))).To(ConsistOf(encryptionKeyName))
	},
		Entry("with a dot, which parts a sealed value", "v2.1"),
		Entry("of 41 characters", long(41)),
	)

	DescribeTable("is accepted with the name", func(ctx context.Context, name string) {
		o := encryptionKey("")
		o.SetName(name)
		Expect(admin.Create(ctx, o, client.DryRunAll)).To(Succeed())
	},
		Entry("of 1 character", "2"),
		Entry("of 40 characters", long(40)),
		Entry("with hyphens", "2026-q4"),
	)

	It("may have its name made up", func(ctx context.Context) {
		o := encryptionKey("")
		o.SetName("")
		o.SetGenerateName("v-")
		Expect(admin.Create(ctx, o, client.DryRunAll)).To(Succeed())
	})

	It("is no more than a name", func(ctx context.Context) {
		o := encryptionKey("")
		put(o, "spec", fields{"material": "AAAA"})
		Expect(admin.Create(ctx, o, client.DryRunAll, client.FieldValidation("Ignore"))).To(Succeed())
		Expect(at(o, "spec")).To(Equal(fields{}))
	})

	DescribeTable("is refused with the status", maker(encryptionKey).refuseStatus,
		Entry("of a key id of 65 characters", "status.keyID", long(65), tooLong(64)),
		Entry("of an unknown phase", "status.phase", "Old", `Unsupported value: "Old": supported values: "Pending", "Active", "Retiring", "Retired"`),
		Entry("of fewer than no secrets", "status.sealedSecrets", -1, negative("status.sealedSecrets", -1)),
		Entry("of a progress of 65 characters", "status.progress", long(65), tooLong(64)),
		Entry("of an observed generation that is text", "status.observedGeneration", "one", wrongType("status.observedGeneration", "integer", "string")),
	)

	DescribeTable("is accepted with the status", maker(encryptionKey).acceptStatus,
		Entry("of a key id of 64 characters", "status.keyID", long(64)),
		Entry("of phase Pending", "status.phase", "Pending"),
		Entry("of phase Active", "status.phase", "Active"),
		Entry("of phase Retiring", "status.phase", "Retiring"),
		Entry("of phase Retired", "status.phase", "Retired"),
		Entry("of no secrets", "status.sealedSecrets", 0),
		Entry("of a progress of 64 characters", "status.progress", long(64)),
	)

	It("has a status apart", func(ctx context.Context) {
		o := encryptionKey("")
		put(o, "status.phase", "Active")
		Expect(admin.Create(ctx, o)).To(Succeed())
		Expect(at(o, "status")).To(BeNil())
		put(o, "status.phase", "Active")
		Expect(admin.Update(ctx, o)).To(Succeed())
		Expect(at(o, "status")).To(BeNil())
	})
})

var _ = Describe("A SealingKey", func() {
	DescribeTable("is refused with", maker(sealingKey).refuse,
		Entry("no spec", "spec", absent, required),
		Entry("no owner", "spec.owner", absent, required),
		Entry("an empty owner", "spec.owner", "", empty("spec.owner")),
		Entry("an owner of 513 characters", "spec.owner", long(513), tooLong(512)),
		Entry("no key id", "spec.keyID", absent, required),
		Entry("an empty key id", "spec.keyID", "", empty("spec.keyID")),
		Entry("a key id of 65 characters", "spec.keyID", long(65), tooLong(64)),
		Entry("no public key", "spec.publicKey", absent, required),
		Entry("a public key of 2052 characters", "spec.publicKey", long(2052), tooLong(2048)),
		Entry("a public key that is not base64", "spec.publicKey", "-----BEGIN", wrongType("spec.publicKey", "byte", "-----BEGIN")),
		Entry("a public key in base64url", "spec.publicKey", "_-_-", wrongType("spec.publicKey", "byte", "_-_-")),
		Entry("no fingerprint", "spec.fingerprint", absent, required),
		Entry("an empty fingerprint", "spec.fingerprint", "", empty("spec.fingerprint")),
		Entry("a fingerprint of 129 characters", "spec.fingerprint", long(129), tooLong(128)),
	)

	DescribeTable("is accepted with", maker(sealingKey).accept,
		Entry("an owner of 512 characters", "spec.owner", long(512)),
		Entry("a ServiceAccount for an owner", "spec.owner", "system:serviceaccount:platform:gitops"),
		Entry("a key id of 64 characters", "spec.keyID", long(64)),
		Entry("a public key of 2048 characters", "spec.publicKey", long(2048)),
		Entry("a fingerprint of 128 characters", "spec.fingerprint", long(128)),
	)

	It("has one name", func(ctx context.Context) {
		o := sealingKey("default")
		o.SetName("another")
		Expect(refusals(admin.Create(ctx, o, client.DryRunAll))).To(ConsistOf(sealingKeyName))
	})

	It("is refused with an empty public key", func(ctx context.Context) {
		o := sealingKey("default")
		put(o, "spec.publicKey", "")
		Expect(refusals(admin.Create(ctx, o, client.DryRunAll))).
			To(ConsistOf("spec.publicKey: "+empty("spec.publicKey"), "spec.publicKey: "+wrongType("spec.publicKey", "byte", "")))
	})

	It("is published again under a new key", func(ctx context.Context) {
		o := stored(ctx, sealingKey)
		put(o, "spec.keyID", "v2-0a1b2c3d")
		Expect(admin.Update(ctx, o)).To(Succeed())
		Expect(at(o, "spec.keyID")).To(Equal("v2-0a1b2c3d"))
	})
})
