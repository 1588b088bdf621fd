package api_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	namePattern = `^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	knownTypes  = `supported values: "api_key", "oauth_token", "webhook_secret", "connection_string", "custom"`
)

var _ = Describe("A UserSecret's spec", func() {
	DescribeTable("is refused with", maker(userSecret).refuse,
		Entry("none at all", "spec", absent, required),
		Entry("text in its place", "spec", "text", wrongType("spec", "object", "string")),

		Entry("no provider", "spec.provider", absent, required),
		Entry("an empty provider", "spec.provider", "", empty("spec.provider")),
		Entry("a provider of 64 characters", "spec.provider", long(64), tooLong(63)),
		Entry("an upper-case provider", "spec.provider", "OpenAI", noMatch("spec.provider", "OpenAI", namePattern)),
		Entry("a provider that ends in a hyphen", "spec.provider", "openai-", noMatch("spec.provider", "openai-", namePattern)),
		Entry("a provider with a dot", "spec.provider", "open.ai", noMatch("spec.provider", "open.ai", namePattern)),
		Entry("a provider that is a number", "spec.provider", 5, wrongType("spec.provider", "string", "integer")),

		Entry("no type", "spec.type", absent, required),
		Entry("a type that there is none of", "spec.type", "password", `Unsupported value: "password": `+knownTypes),
		Entry("an empty type", "spec.type", "", `Unsupported value: "": `+knownTypes),

		Entry("a display name of 101 characters", "spec.displayName", long(101), tooLong(100)),
		Entry("a description of 1025 characters", "spec.description", long(1025), tooLong(1024)),

		Entry("33 tags", "spec.tags", distinct(33), tooMany(33, 32)),

		Entry("active that is text", "spec.active", "yes", wrongType("spec.active", "boolean", "string")),
		Entry("an expiry that is a word", "spec.expiresAt", "tomorrow", wrongType("spec.expiresAt", "date-time", "tomorrow")),
		Entry("an expiry without a time of day", "spec.expiresAt", "2030-01-02", wrongType("spec.expiresAt", "date-time", "2030-01-02")),

		Entry("an empty sealed value", "spec.encryptedValue", "", empty("spec.encryptedValue")),
		Entry("a sealed value of 90113 characters", "spec.encryptedValue", long(90113), tooLong(90112)),

		Entry("an unknown verification mode", "spec.verification.mode", "Hourly", `Unsupported value: "Hourly": supported values: "OnChange", "OnDemand", "Disabled"`),
	)

	DescribeTable("is accepted with", maker(userSecret).accept,
		Entry("a provider of 1 character", "spec.provider", "a"),
		Entry("a provider of 63 characters", "spec.provider", long(63)),
		Entry("a provider with a hyphen inside", "spec.provider", "open-ai"),
		Entry("type api_key", "spec.type", "api_key"),
		Entry("type oauth_token", "spec.type", "oauth_token"),
		Entry("type webhook_secret", "spec.type", "webhook_secret"),
		Entry("type connection_string", "spec.type", "connection_string"),
		Entry("type custom", "spec.type", "custom"),
		Entry("a display name of 100 characters, more in bytes", "spec.displayName", twoBytes(100)),
		Entry("a description of 1024 characters, more in bytes", "spec.description", twoBytes(1024)),
		Entry("32 tags", "spec.tags", distinct(32)),
		Entry("a tag of 63 characters", "spec.tags", list{long(63)}),
		Entry("active false", "spec.active", false),
		Entry("an expiry", "spec.expiresAt", "2030-01-02T03:04:05Z"),
		Entry("an expiry in another time zone", "spec.expiresAt", "2030-01-02T03:04:05+02:00"),
		Entry("a sealed value of 90112 characters", "spec.encryptedValue", long(90112)),
		Entry("verification OnChange", "spec.verification.mode", "OnChange"),
		Entry("verification OnDemand", "spec.verification.mode", "OnDemand"),
		Entry("verification Disabled", "spec.verification.mode", "Disabled"),
	)

	DescribeTable("is refused with tags", func(ctx context.Context, tags list, want string) {
		o := userSecret("default")
		put(o, "spec.tags", tags)
		Expect(refusals(admin.Create(ctx, o, client.DryRunAll))).To(ConsistOf(want))
	},
		Entry("of which two are the same", list{"prod", "eu", "prod"}, `spec.tags[2]: Duplicate value: "prod"`),
		Entry("of which one is empty", list{"prod", ""}, "spec.tags[1]: "+empty("spec.tags[1]")),
		Entry("of which one has 64 characters", list{long(64)}, "spec.tags[0]: "+tooLong(63)),
	)

	It("defaults to active, and says nothing of verification", func(ctx context.Context) {
		o := userSecret("default")
		Expect(admin.Create(ctx, o, client.DryRunAll)).To(Succeed())
		Expect(at(o, "spec")).To(Equal(fields{
			"provider": "openai", "type": "api_key", "encryptedValue": "us1.v1-3f9a2c1b.AAAA", "active": true,
		}))
	})

	It("takes null for active as if it were not given", func(ctx context.Context) {
		o := userSecret("default")
		put(o, "spec.active", nil)
		Expect(admin.Create(ctx, o, client.DryRunAll)).To(Succeed())
		Expect(at(o, "spec.active")).To(BeTrue())
	})

	It("defaults verification that is given to OnChange", func(ctx context.Context) {
		o := userSecret("default")
		put(o, "spec.verification", fields{})
		Expect(admin.Create(ctx, o, client.DryRunAll)).To(Succeed())
		Expect(at(o, "spec.verification.mode")).To(Equal("OnChange"))
	})

	DescribeTable("keeps what is immutable", func(ctx context.Context, path string, value any, want string) {
		stored := stored(ctx, userSecret)
		put(stored, path, value)
		Expect(refusals(admin.Update(ctx, stored))).To(ConsistOf(path + ": " + want))
	},
		Entry("the provider", "spec.provider", "anthropic", "Invalid value: provider is immutable: delete this UserSecret and create another"),
		Entry("the type", "spec.type", "oauth_token", "Invalid value: type is immutable: delete this UserSecret and create another"),
	)

	DescribeTable("lets the rest change", func(ctx context.Context, path string, value any) {
		stored := stored(ctx, userSecret)
		put(stored, path, value)
		Expect(admin.Update(ctx, stored)).To(Succeed())
		Expect(at(stored, path)).To(Equal(plain(value)))
		Expect(stored.GetGeneration()).To(BeEquivalentTo(2))
	},
		Entry("the display name", "spec.displayName", "My key"),
		Entry("the description", "spec.description", "For the weekly report."),
		Entry("the tags", "spec.tags", list{"prod"}),
		Entry("active", "spec.active", false),
		Entry("the expiry", "spec.expiresAt", "2030-01-02T03:04:05Z"),
		Entry("the sealed value", "spec.encryptedValue", "us1.v2-0a1b2c3d.BBBB"),
		Entry("the verification", "spec.verification.mode", "Disabled"),
	)
})

// stored is a valid object that is there.
func stored(ctx context.Context, m maker) *unstructured.Unstructured {
	GinkgoHelper()
	o := m(newNamespace(ctx))
	Expect(admin.Create(ctx, o)).To(Succeed())
	return o
}

// distinct are n different tags.
func distinct(n int) list { return times(n, func(int) any { return unique("tag") }) }
