package acceptance_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
)

var _ = Describe("Bad input: the rest of a UserSecret", Ordered, ContinueOnFailure, func() {
	var (
		c    *people
		kept *v1alpha1.UserSecret // alice's, with pasted as its value
	)

	BeforeAll(func(ctx SpecContext) {
		c = newPeople(ctx)
		kept = store(ctx, c.alice.Person, userSecret(ctx, c.alice.Person, "kept", "openai", v1alpha1.TypeAPIKey, pasted))
	})

	// typed is a UserSecret with a plaintext value that alice applies, as typed.
	typed := func(provider, kind, more, want string) func(context.Context) attempt {
		return func(context.Context) attempt {
			text := fmt.Sprintf("metadata: {name: typed}\nspec:\n  provider: %s\n  type: %s\n  value: %s\n%s", provider, kind, pasted, more)
			return attempt{by: c.alice, write: creating(fromYAML(c.alice.Namespace, text)), want: want}
		}
	}
	// changed is a change to what is stored.
	changed := func(patch, want string) func(context.Context) attempt {
		return func(context.Context) attempt {
			return attempt{by: c.alice, write: patching(kept.DeepCopy(), patch), want: want}
		}
	}

	DescribeTable("is refused", func(ctx SpecContext, prepare func(context.Context) attempt) {
		expectRefusal(ctx, prepare(ctx))
	},
		Entry("an unknown provider", typed("nosuch", "api_key", "",
			validating+`unknown provider "nosuch": 'kubectl get secretproviders' lists the catalogue, and 'custom' takes anything`)),
		Entry("a provider's name that cannot be one", typed("OpenAI", "api_key", "",
			`UserSecret.usersecrets.dev "typed" is invalid: spec.provider: Invalid value: "OpenAI": spec.provider in body should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'`)),
		Entry("an unknown type", typed("openai", "apikey", "",
			schemaTold(`spec.type: Unsupported value: "apikey": supported values: "api_key", "oauth_token", "webhook_secret", "connection_string", "custom"`))),
		Entry("a type that the provider does not have", typed("openai", "oauth_token", "",
			validating+`unknown type "oauth_token" for provider "openai": it has api_key`)),
		Entry("a second active one of the same provider and type", typed("openai", "api_key", "",
			validating+`UserSecret "kept" is active for provider "openai" and type api_key already: set its spec.active to false first, or change its value instead`)),
		Entry("an expiry in the past", typed("slack", "oauth_token", "  expiresAt: 2020-01-01T00:00:00Z",
			validating+"spec.expiresAt lies in the past: give a time to come, or leave it out")),
		Entry("an expiry that is no time", typed("slack", "oauth_token", "  expiresAt: tomorrow",
			schemaTold(`spec.expiresAt: Invalid value: "tomorrow": spec.expiresAt in body must be of type date-time: "tomorrow"`))),
		Entry("a description that is too long", typed("slack", "oauth_token", "  description: "+strings.Repeat("long ", 300),
			schemaTold("spec.description: Too long: may not be more than 1024 bytes"))),
		Entry("no value at all", func(context.Context) attempt {
			text := "metadata: {name: typed}\nspec: {provider: slack, type: oauth_token}"
			return attempt{by: c.alice, write: creating(fromYAML(c.alice.Namespace, text)), want: noValueTold("typed")}
		}),

		Entry("another provider", changed(`{"spec":{"provider":"slack"}}`,
			`UserSecret.usersecrets.dev "kept" is invalid: spec.provider: Invalid value: provider is immutable: delete this UserSecret and create another`)),
		Entry("another type", changed(`{"spec":{"type":"oauth_token"}}`,
			`UserSecret.usersecrets.dev "kept" is invalid: spec.type: Invalid value: type is immutable: delete this UserSecret and create another`)),
		Entry("another creator", changed(`{"metadata":{"annotations":{"usersecrets.dev/created-by":"bob"}}}`,
			validating+"annotation usersecrets.dev/created-by is stamped when the UserSecret is created, and stays: leave it out")),
		Entry("an empty creator", changed(`{"metadata":{"annotations":{"usersecrets.dev/created-by":""}}}`,
			validating+"annotation usersecrets.dev/created-by is stamped when the UserSecret is created, and stays: leave it out")),
		Entry("no value any more", changed(`{"spec":{"encryptedValue":null}}`, noValueTold("kept"))),
		Entry("an expiry that has passed already", changed(`{"spec":{"expiresAt":"2020-01-01T00:00:00Z"}}`,
			validating+"spec.expiresAt lies in the past: give a time to come, or leave it out")),
		Entry("the value in an annotation, later", changed(`{"metadata":{"annotations":{"note":"`+pasted+`"}}}`,
			strings.Replace(repeatedTold("metadata.annotations.note"), sealing, validating, 1))),
		Entry("the value in a label, later", changed(`{"metadata":{"labels":{"note":"`+pasted+`"}}}`,
			strings.Replace(repeatedTold("metadata.labels.note"), sealing, validating, 1))),
		Entry("the value in the description, later", changed(`{"spec":{"description":"`+pasted+`"}}`,
			strings.Replace(repeatedTold("spec.description"), sealing, validating, 1))),
		Entry("a request for verification from a stranger", func(context.Context) attempt {
			return attempt{
				by: c.eve, want: validating + strangerTold,
				write: patching(kept.DeepCopy(), `{"metadata":{"annotations":{"usersecrets.dev/verify-requested-at":"2026-01-01T00:00:00Z"}}}`),
			}
		}),
	)

	It("takes what is just right", func(ctx SpecContext) {
		second := plaintext(c.alice.Person, "second", "openai", v1alpha1.TypeAPIKey, pasted+"-second")
		second.Spec.Active = new(bool)
		Expect(c.alice.client.Create(ctx, second)).To(Succeed(), "a second one that is not active")

		later := plaintext(c.alice.Person, "later", "slack", "oauth_token", "xoxb-bad-input-0123456789")
		later.Spec.ExpiresAt = &metav1.Time{Time: time.Now().Add(time.Hour)}
		Expect(c.alice.client.Create(ctx, later)).To(Succeed(), "an expiry to come")

		large := plaintext(c.alice.Person, "large", "custom", v1alpha1.TypeCustom, strings.Repeat("x", 64<<10))
		Expect(c.alice.client.Create(ctx, large)).To(Succeed(), "64 KiB")
		small := plaintext(c.alice.Person, "small", "custom", v1alpha1.TypeCustom, "x")
		Expect(c.alice.client.Create(ctx, small)).To(Succeed(), "one byte")
		Expect(c.alice.heard.take()).To(BeEmpty())
	})

	It("refuses to activate a second one of the same provider and type", func(ctx SpecContext) {
		off := userSecret(ctx, c.alice.Person, "off", "openai", v1alpha1.TypeAPIKey, pasted+"-off")
		off.Spec.Active = new(bool)
		Expect(c.alice.client.Create(ctx, off)).To(Succeed())
		Eventually(func(g Gomega) {
			g.Expect(readyReason(asStored(ctx, off))).To(Equal(v1alpha1.ReasonInactive))
		}).Should(Succeed())
		expectRefusal(ctx, attempt{
			by: c.alice, write: patching(off, `{"spec":{"active":true}}`),
			want: validating + `UserSecret "kept" is active for provider "openai" and type api_key already: set its spec.active to false first, or change its value instead`,
		})
	})

	It("warns of a value that does not look like its provider's, and takes it", func(ctx SpecContext) {
		us := plaintext(c.alice.Person, "odd", "anthropic", v1alpha1.TypeAPIKey, pasted)
		Expect(c.alice.client.Create(ctx, us)).To(Succeed())
		warnings := c.alice.heard.take()
		Expect(warnings).To(Equal([]string{
			"value does not match the pattern sk-ant-[A-Za-z0-9_-]{16,}, such as sk-ant-api03-EXAMPLE-EXAMPLE: check that the whole value was pasted",
		}))
		expectSilence(strings.Join(warnings, "\n"), pasted)
	})

	It("refuses it where the provider enforces its pattern", func(ctx SpecContext) {
		provider := &v1alpha1.SecretProvider{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("strict-%d", serial.Add(1))},
			Spec: v1alpha1.SecretProviderSpec{DisplayName: "Strict", Category: "Custom", Types: []v1alpha1.ProviderType{{
				Type: v1alpha1.TypeAPIKey, Key: "STRICT_KEY",
				Pattern: "strict-[0-9]{8}", PatternPolicy: v1alpha1.PatternEnforce, Example: "strict-00000000",
			}}},
		}
		Expect(product.Client.Create(ctx, provider)).To(Succeed())

		want := validating + "value does not match the pattern strict-[0-9]{8}, such as strict-00000000: check that the whole value was pasted"
		for what, write := range map[string]func(context.Context) *v1alpha1.UserSecret{
			"plaintext": func(context.Context) *v1alpha1.UserSecret {
				return plaintext(c.alice.Person, "strict", provider.Name, v1alpha1.TypeAPIKey, pasted)
			},
			"sealed": func(ctx context.Context) *v1alpha1.UserSecret {
				return userSecret(ctx, c.alice.Person, "strict", provider.Name, v1alpha1.TypeAPIKey, pasted)
			},
		} {
			By(what)
			expectRefusal(ctx, attempt{by: c.alice, write: creating(write(ctx)), want: want})
		}
		right := plaintext(c.alice.Person, "strict", provider.Name, v1alpha1.TypeAPIKey, "strict-12345678")
		Expect(c.alice.client.Create(ctx, right)).To(Succeed())
	})
})

// schemaTold is what the CRD's schema says of the object called typed. Rules in CEL
// are not asked then, which the API server adds.
func schemaTold(found string) string {
	return fmt.Sprintf(`UserSecret.usersecrets.dev "typed" is invalid: [%s, <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]`, found)
}

// asStored is the object as it is now.
func asStored(ctx context.Context, us *v1alpha1.UserSecret) *v1alpha1.UserSecret {
	GinkgoHelper()
	now := &v1alpha1.UserSecret{}
	Expect(product.Client.Get(ctx, types.NamespacedName{Namespace: us.Namespace, Name: us.Name}, now)).To(Succeed())
	return now
}
