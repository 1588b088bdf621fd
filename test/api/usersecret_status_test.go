package api_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var _ = Describe("A UserSecret's status", func() {
	DescribeTable("is refused with", maker(userSecret).refuseStatus,
		Entry("an observed generation that is text", "status.observedGeneration", "one", wrongType("status.observedGeneration", "integer", "string")),

		Entry("17 conditions", "status.conditions", conditions(17), tooMany(17, 16)),

		Entry("an owner of 513 characters", "status.owner", long(513), tooLong(512)),
		Entry("a key id of 65 characters", "status.keyID", long(65), tooLong(64)),
		Entry("a value id of 65 characters", "status.valueID", long(65), tooLong(64)),
		Entry("a masked value of 65 characters", "status.masked", long(65), tooLong(64)),
		Entry("a time of the value that is none", "status.valueUpdatedAt", "today", wrongType("status.valueUpdatedAt", "date-time", "today")),
		Entry("a resealed value of 90113 characters", "status.resealedValue", long(90113), tooLong(90112)),

		Entry("a tested value's id of 65 characters", "status.verification.valueID", long(65), tooLong(64)),
		Entry("a test's id of 65 characters", "status.verification.testID", long(65), tooLong(64)),
		Entry("a time of a test that is none", "status.verification.testedAt", "today", wrongType("status.verification.testedAt", "date-time", "today")),
		Entry("a negative number of attempts", "status.verification.attempts", -1, negative("status.verification.attempts", -1)),

		Entry("a negative count", "status.usage.count", -1, negative("status.usage.count", -1)),
		Entry("a time of use that is none", "status.usage.lastUsedAt", "today", wrongType("status.usage.lastUsedAt", "date-time", "today")),
		Entry("a workflow of 254 characters", "status.usage.lastUsedBy.workflow", long(254), tooLong(253)),
		Entry("a node of 254 characters", "status.usage.lastUsedBy.node", long(254), tooLong(253)),
		Entry("a pod of 254 characters", "status.usage.lastUsedBy.pod", long(254), tooLong(253)),

		Entry("21 accesses", "status.recentAccesses", accesses(21), tooMany(21, 20)),
	)

	DescribeTable("is accepted with", maker(userSecret).acceptStatus,
		Entry("an observed generation", "status.observedGeneration", 7),
		Entry("16 conditions", "status.conditions", conditions(16)),
		Entry("an owner of 512 characters", "status.owner", long(512)),
		Entry("a key id of 64 characters", "status.keyID", long(64)),
		Entry("a value id of 64 characters", "status.valueID", long(64)),
		Entry("a masked value of 64 characters", "status.masked", long(64)),
		Entry("a time of the value", "status.valueUpdatedAt", "2026-01-02T03:04:05Z"),
		Entry("a resealed value of 90112 characters", "status.resealedValue", long(90112)),
		Entry("a test", "status.verification", fields{
			"valueID": long(64), "testID": long(64), "testedAt": "2026-01-02T03:04:05Z", "requestedAt": "2026-01-02T03:04:05.678901Z",
			"attempts": 8, "nextAttemptAt": "2026-01-02T03:04:05Z",
		}),
		Entry("no uses", "status.usage.count", 0),
		Entry("more uses than 32 bits hold", "status.usage.count", 1<<40),
		Entry("a time of use", "status.usage.lastUsedAt", "2026-01-02T03:04:05Z"),
		Entry("a user of the longest names", "status.usage.lastUsedBy", fields{"workflow": long(253), "node": long(253), "pod": long(253)}),
		Entry("20 accesses that are the same: every one counts", "status.recentAccesses", accesses(20)),
	)

	DescribeTable("is refused with an access that has", func(ctx context.Context, field string, value any, want string) {
		o := stored(ctx, userSecret)
		put(o, "status.recentAccesses", list{access()})
		put(o, "status.recentAccesses[0]."+field, value)
		err := admin.Status().Update(ctx, o, client.DryRunAll)
		Expect(refusals(err)).To(ConsistOf("status.recentAccesses[0]." + field + ": " + want))
	},
		Entry("no time", "time", absent, required),
		Entry("a time that is none", "time", "now", wrongType("status.recentAccesses[0].time", "date-time", "now")),
		Entry("no type", "type", absent, required),
		Entry("an unknown type", "type", "look", `Unsupported value: "look": supported values: "create", "read", "update", "delete", "use"`),
		Entry("an actor of 513 characters", "actor", long(513), tooLong(512)),
		Entry("a workflow of 254 characters", "workflow", long(254), tooLong(253)),
		Entry("a node of 254 characters", "node", long(254), tooLong(253)),
		Entry("a pod of 254 characters", "pod", long(254), tooLong(253)),
		Entry("a pod UID of 65 characters", "podUID", long(65), tooLong(64)),
	)

	DescribeTable("is accepted with an access that has", func(ctx context.Context, field string, value any) {
		o := stored(ctx, userSecret)
		put(o, "status.recentAccesses", list{access()})
		put(o, "status.recentAccesses[0]."+field, value)
		Expect(admin.Status().Update(ctx, o, client.DryRunAll)).To(Succeed())
		Expect(at(o, "status.recentAccesses[0]."+field)).To(Equal(value))
	},
		Entry("a time in microseconds", "time", "2026-01-02T03:04:05.123456Z"),
		Entry("type create", "type", "create"),
		Entry("type read", "type", "read"),
		Entry("type update", "type", "update"),
		Entry("type delete", "type", "delete"),
		Entry("type use", "type", "use"),
		Entry("an actor of 512 characters", "actor", long(512)),
		Entry("a workflow of 253 characters", "workflow", long(253)),
		Entry("a node of 253 characters", "node", long(253)),
		Entry("a pod of 253 characters", "pod", long(253)),
		Entry("a pod UID of 64 characters", "podUID", long(64)),
	)

	It("is no part of what a write of the object changes", func(ctx context.Context) {
		o := userSecret(newNamespace(ctx))
		put(o, "status.masked", "........forg")
		Expect(admin.Create(ctx, o)).To(Succeed())
		Expect(at(o, "status")).To(BeNil())

		put(o, "status.masked", "........forg")
		put(o, "spec.displayName", "My key")
		Expect(admin.Update(ctx, o)).To(Succeed())
		Expect(at(o, "status")).To(BeNil())
		Expect(at(o, "spec.displayName")).To(Equal("My key"))
	})

	It("is all that a write of the status changes, and no new generation", func(ctx context.Context) {
		o := stored(ctx, userSecret)
		put(o, "status.masked", "........7QKA")
		put(o, "spec.displayName", "Not mine to change")
		Expect(admin.Status().Update(ctx, o)).To(Succeed())
		Expect(at(o, "status.masked")).To(Equal("........7QKA"))
		Expect(at(o, "spec.displayName")).To(BeNil())
		Expect(o.GetGeneration()).To(BeEquivalentTo(1))
	})
})

// A condition of one type may stand in a status once, so that two controllers cannot overwrite each other's.
var _ = DescribeTable("Conditions of a status", func(ctx context.Context, m maker, most int) {
	o := stored(ctx, m)
	put(o, "status.conditions", list{condition("Ready"), condition("Sealed"), condition("Ready")})
	Expect(refusals(admin.Status().Update(ctx, o, client.DryRunAll))).
		To(ConsistOf(`status.conditions[2]: Duplicate value: {"type":"Ready"}`))

	put(o, "status.conditions", conditions(most+1))
	Expect(refusals(admin.Status().Update(ctx, o, client.DryRunAll))).To(ConsistOf("status.conditions: " + tooMany(most+1, most)))

	incomplete := condition("Ready")
	delete(incomplete, "reason")
	put(o, "status.conditions", list{incomplete})
	Expect(refusals(admin.Status().Update(ctx, o, client.DryRunAll))).To(ConsistOf("status.conditions[0].reason: " + required))

	put(o, "status.conditions", conditions(most))
	Expect(admin.Status().Update(ctx, o, client.DryRunAll)).To(Succeed())
},
	Entry("of a UserSecret", maker(userSecret), 16),
	Entry("of an EncryptionKey", maker(encryptionKey), 8),
)

var _ = It("Conditions belong to their managers one by one", func(ctx context.Context) {
	o := stored(ctx, userSecret)
	for _, kind := range []string{"Ready", "Sealed"} {
		mine := object("UserSecret", o.GetNamespace(), o.GetName(), fields{"status": fields{"conditions": list{condition(kind)}}})
		Expect(admin.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(mine), client.FieldOwner(kind))).To(Succeed())
	}
	Expect(admin.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
	Expect(at(o, "status.conditions")).To(HaveExactElements(HaveKeyWithValue("type", "Ready"), HaveKeyWithValue("type", "Sealed")))
})

// conditions are n of different types.
func conditions(n int) list { return times(n, func(int) any { return condition(unique("Kind")) }) }

func accesses(n int) list { return times(n, func(int) any { return access() }) }
