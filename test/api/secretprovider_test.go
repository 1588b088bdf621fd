package api_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	httpTest = "spec.types[0].test.http"
	header   = httpTest + ".headers[0]"

	keyPattern    = `^[A-Za-z_][A-Za-z0-9_]*$`
	headerPattern = `^[A-Za-z0-9!#$%&'*+.^_\x60|~-]+$`

	providerName = "<nil>: Invalid value: the name of a SecretProvider must be a DNS label: " +
		"lower case letters, digits and '-', at most 63 characters"
	notRE2  = " evaluating rule: pattern must be a regular expression in RE2 syntax"
	oneTest = "Invalid value: exactly one of the fields in [http postgres mysql] must be set"
)

var _ = Describe("A SecretProvider", func() {
	DescribeTable("is refused with", maker(secretProvider).refuse,
		Entry("no spec", "spec", absent, required),
		Entry("no display name", "spec.displayName", absent, required),
		Entry("an empty display name", "spec.displayName", "", empty("spec.displayName")),
		Entry("a display name of 101 characters", "spec.displayName", long(101), tooLong(100)),
		Entry("a description of 1025 characters", "spec.description", long(1025), tooLong(1024)),
		Entry("no category", "spec.category", absent, required),
		Entry("an unknown category", "spec.category", "Games",
			`Unsupported value: "Games": supported values: "LLM", "Integration", "Database", "Webhook", "Custom"`),
		Entry("an icon of 64 characters", "spec.icon", long(64), tooLong(63)),
		Entry("an icon that is a path", "spec.icon", "icons/weather.svg", noMatch("spec.icon", "icons/weather.svg", namePattern)),
		Entry("documentation in the clear", "spec.docsURL", "http://weather.example.com", `Invalid value: "http://weather.example.com": docsURL must start with https://`),
		Entry("documentation that is a script", "spec.docsURL", "javascript:alert(1)", `Invalid value: "javascript:alert(1)": docsURL must start with https://`),
		Entry("documentation at 513 characters", "spec.docsURL", "https://"+long(505), tooLong(512)),

		Entry("no types", "spec.types", absent, required),
		Entry("an empty list of types", "spec.types", list{}, "Invalid value: 0: spec.types in body should have at least 1 items"),
		Entry("no type of a credential", "spec.types[0].type", absent, required),
		Entry("an unknown type of a credential", "spec.types[0].type", "password", `Unsupported value: "password": `+knownTypes),
		Entry("no key", "spec.types[0].key", absent, required),
		Entry("an empty key", "spec.types[0].key", "", empty("spec.types[0].key")),
		Entry("a key of 254 characters", "spec.types[0].key", long(254), tooLong(253)),
		Entry("a key with a hyphen", "spec.types[0].key", "API-KEY", noMatch("spec.types[0].key", "API-KEY", keyPattern)),
		Entry("a key with a digit first", "spec.types[0].key", "1KEY", noMatch("spec.types[0].key", "1KEY", keyPattern)),
		Entry("a key that is a path", "spec.types[0].key", "../KEY", noMatch("spec.types[0].key", "../KEY", keyPattern)),
		Entry("an empty pattern", "spec.types[0].pattern", "", empty("spec.types[0].pattern")),
		Entry("a pattern of 513 characters", "spec.types[0].pattern", long(513), tooLong(512)),
		Entry("a pattern that is no regular expression", "spec.types[0].pattern", "sk-(",
			`Invalid value: "string": error parsing regexp: missing closing ): `+"`sk-(`"+notRE2),
		Entry("a pattern in another syntax than RE2", "spec.types[0].pattern", "(?=sk-)",
			`Invalid value: "string": error parsing regexp: invalid or unsupported Perl syntax: `+"`(?=`"+notRE2),
		Entry("an unknown policy for the pattern", "spec.types[0].patternPolicy", "Ignore", `Unsupported value: "Ignore": supported values: "Warn", "Enforce"`),
		Entry("an example of 257 characters", "spec.types[0].example", long(257), tooLong(256)),
		Entry("allowMultiple that is text", "spec.types[0].allowMultiple", "yes", wrongType("spec.types[0].allowMultiple", "boolean", "string")),
	)

	DescribeTable("is accepted with", maker(secretProvider).accept,
		Entry("a display name of 1 character", "spec.displayName", "W"),
		Entry("a display name of 100 characters, more in bytes", "spec.displayName", twoBytes(100)),
		Entry("a description of 1024 characters", "spec.description", long(1024)),
		Entry("category LLM", "spec.category", "LLM"),
		Entry("category Integration", "spec.category", "Integration"),
		Entry("category Database", "spec.category", "Database"),
		Entry("category Webhook", "spec.category", "Webhook"),
		Entry("category Custom", "spec.category", "Custom"),
		Entry("an icon of 63 characters", "spec.icon", long(63)),
		Entry("documentation at 512 characters", "spec.docsURL", "https://"+long(504)),
		Entry("a key of 1 character", "spec.types[0].key", "_"),
		Entry("a key of 253 characters", "spec.types[0].key", long(253)),
		Entry("a pattern of 512 characters", "spec.types[0].pattern", long(512)),
		Entry("a pattern", "spec.types[0].pattern", `(?i)sk-[A-Za-z0-9_-]{16,}|\S{16,}`),
		Entry("pattern policy Warn", "spec.types[0].patternPolicy", "Warn"),
		Entry("pattern policy Enforce", "spec.types[0].patternPolicy", "Enforce"),
		Entry("an example of 256 characters", "spec.types[0].example", long(256)),
		Entry("several values of a type", "spec.types[0].allowMultiple", true),
	)

	It("needs no test", func(ctx context.Context) {
		o := secretProvider("")
		put(o, "spec.types[0].test", absent)
		Expect(admin.Create(ctx, o, client.DryRunAll)).To(Succeed())
		Expect(at(o, "spec.types[0]")).NotTo(HaveKey("test"))
	})

	DescribeTable("is refused by its name", func(ctx context.Context, name string) {
		o := secretProvider("")
		o.SetName(name)
		Expect(refusals(admin.Create(ctx, o, client.DryRunAll))).To(ConsistOf(providerName))
	},
		Entry("with a dot, which no UserSecret could name", "open.ai"),
		Entry("of 64 characters", long(64)),
	)

	It("is accepted with a name of 63 characters", func(ctx context.Context) {
		o := secretProvider("")
		o.SetName(long(63))
		Expect(admin.Create(ctx, o, client.DryRunAll)).To(Succeed())
	})

	It("may have every type once", func(ctx context.Context) {
		o := secretProvider("")
		every := list{}
		for _, kind := range []string{"custom", "api_key", "oauth_token", "webhook_secret", "connection_string"} {
			every = append(every, fields{"type": kind, "key": "KEY"})
		}
		put(o, "spec.types", every)
		Expect(admin.Create(ctx, o, client.DryRunAll)).To(Succeed())
		Expect(at(o, "spec.types[0].type")).To(Equal("custom"), "the order is what the author wrote: the first is the one meant")

		put(o, "spec.types", append(every, fields{"type": "api_key", "key": "OTHER"}))
		Expect(refusals(admin.Create(ctx, o, client.DryRunAll))).
			To(ConsistOf("spec.types: "+tooMany(6, 5), `spec.types[5]: Duplicate value: {"type":"api_key"}`))
	})

	It("defaults what its author left out", func(ctx context.Context) {
		o := secretProvider("")
		Expect(admin.Create(ctx, o, client.DryRunAll)).To(Succeed())
		Expect(at(o, "spec.types[0].patternPolicy")).To(Equal("Warn"))
		Expect(at(o, httpTest)).To(Equal(fields{
			"url": "https://weather.example.com/v1/me", "headers": list{fields{"name": "X-Key", "value": "{{value}}"}},
			"method": "GET", "valid": "code >= 200 && code < 300", "invalid": "code == 401 || code == 403",
		}))
	})
})

var _ = Describe("A SecretProvider's test", func() {
	const (
		plainURL = ": url must start with https://: a secret is never sent in the clear"
		freeHost = ": url must name a fixed host: {{value}} may stand in the path and the query, and nothing before the host"
	)

	DescribeTable("is refused with", maker(secretProvider).refuse,
		Entry("no member", "spec.types[0].test", fields{}, oneTest),
		Entry("two members", "spec.types[0].test", fields{"postgres": fields{}, "mysql": fields{}}, oneTest),
		Entry("http and another", "spec.types[0].test", fields{"http": fields{"url": "https://example.com"}, "mysql": fields{}}, oneTest),

		Entry("no URL", httpTest+".url", absent, required),
		Entry("a URL of 1025 characters", httpTest+".url", "https://a/"+long(1015), tooLong(1024)),
		Entry("a URL in the clear", httpTest+".url", "http://weather.example.com", `Invalid value: "http://weather.example.com"`+plainURL),
		Entry("a URL with its scheme in capitals", httpTest+".url", "HTTPS://weather.example.com", `Invalid value: "HTTPS://weather.example.com"`+plainURL),
		Entry("the value in the host", httpTest+".url", "https://{{value}}.example.com/me", `Invalid value: "https://{{value}}.example.com/me"`+freeHost),
		Entry("the value as the port", httpTest+".url", "https://example.com:{{value}}/", `Invalid value: "https://example.com:{{value}}/"`+freeHost),
		Entry("the value before the host", httpTest+".url", "https://{{value}}@example.com", `Invalid value: "https://{{value}}@example.com"`+freeHost),
		Entry("another host behind a user's name", httpTest+".url", "https://weather.example.com@evil.example.com/", `Invalid value: "https://weather.example.com@evil.example.com/"`+freeHost),
		Entry("no host", httpTest+".url", "https:///me", `Invalid value: "https:///me"`+freeHost),

		Entry("an unknown method", httpTest+".method", "DELETE", `Unsupported value: "DELETE": supported values: "GET", "HEAD", "POST"`),
		Entry("a method in small letters", httpTest+".method", "get", `Unsupported value: "get": supported values: "GET", "HEAD", "POST"`),
		Entry("17 headers", httpTest+".headers", headers(17), tooMany(17, 16)),
		Entry("a body of 4097 characters", httpTest+".body", long(4097), tooLong(4096)),
		Entry("a valid of 1025 characters", httpTest+".valid", long(1025), tooLong(1024)),
		Entry("an invalid of 1025 characters", httpTest+".invalid", long(1025), tooLong(1024)),

		Entry("a header without name", header+".name", absent, required),
		Entry("a header's empty name", header+".name", "", empty(header+".name")),
		Entry("a header's name of 129 characters", header+".name", long(129), tooLong(128)),
		Entry("a header's name with a colon", header+".name", "X-Key:", noMatch(header+".name", "X-Key:", headerPattern)),
		Entry("a header's name with a line break", header+".name", "X\r\nY", noMatch(header+".name", "X\r\nY", headerPattern)),
		Entry("a header without value", header+".value", absent, required),
		Entry("a header's empty value", header+".value", "", empty(header+".value")),
		Entry("a header's value of 1025 characters", header+".value", long(1025), tooLong(1024)),
	)

	DescribeTable("is accepted with", maker(secretProvider).accept,
		Entry("postgres alone", "spec.types[0].test", fields{"postgres": fields{}}),
		Entry("mysql alone", "spec.types[0].test", fields{"mysql": fields{}}),
		Entry("a URL of 1024 characters", httpTest+".url", "https://a/"+long(1014)),
		Entry("the value in the path", httpTest+".url", "https://api.example.com/bot{{value}}/getMe"),
		Entry("the value in the query", httpTest+".url", "https://api.example.com?key={{value}}"),
		Entry("a port", httpTest+".url", "https://api.example.com:8443/me"),
		Entry("method GET", httpTest+".method", "GET"),
		Entry("method HEAD", httpTest+".method", "HEAD"),
		Entry("method POST", httpTest+".method", "POST"),
		Entry("16 headers", httpTest+".headers", headers(16)),
		Entry("a body of 4096 characters", httpTest+".body", long(4096)),
		Entry("a valid of 1024 characters", httpTest+".valid", long(1024)),
		Entry("an invalid of 1024 characters", httpTest+".invalid", long(1024)),
		Entry("a header's name of 128 characters", header+".name", long(128)),
		Entry("every character that a header's name may have (RFC 9110, section 5.6.2)", header+".name", "!#$%&'*+-.^_`|~09AZaz"),
		Entry("a header's value of 1024 characters", header+".value", long(1024)),
	)

	It("is refused with an empty URL", func(ctx context.Context) {
		o := secretProvider("")
		put(o, httpTest+".url", "")
		Expect(refusals(admin.Create(ctx, o, client.DryRunAll))).
			To(ConsistOf(httpTest+".url: "+empty(httpTest+".url"), httpTest+`.url: Invalid value: ""`+plainURL))
	})

	It("is refused with a header twice", func(ctx context.Context) {
		o := secretProvider("")
		put(o, httpTest+".headers", list{fields{"name": "X-Key", "value": "a"}, fields{"name": "X-Key", "value": "b"}})
		Expect(refusals(admin.Create(ctx, o, client.DryRunAll))).To(ConsistOf(httpTest + `.headers[1]: Duplicate value: {"name":"X-Key"}`))
	})
})

// headers are n of different names.
func headers(n int) list {
	return times(n, func(int) any { return fields{"name": unique("X"), "value": "{{value}}"} })
}
