package acceptance_test

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

const (
	curating  = `admission webhook "validate.secretproviders.usersecrets.dev" denied the request: `
	discarded = `admission webhook "delete.secretproviders.usersecrets.dev" denied the request: `
)

// weather is a provider that works, with a name of its own.
func weather() *v1alpha1.SecretProvider {
	return &v1alpha1.SecretProvider{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("weather-%d", serial.Add(1))},
		Spec: v1alpha1.SecretProviderSpec{DisplayName: "Weather", Category: "Custom", Types: []v1alpha1.ProviderType{
			{Type: v1alpha1.TypeAPIKey, Key: "WEATHER_KEY", Pattern: "w-[0-9]{8}", Example: "w-00000000", Test: &v1alpha1.ProviderTest{HTTP: &v1alpha1.HTTPTest{
				URL: "https://weather.example.com/me", Headers: []v1alpha1.HTTPHeader{{Name: "X-Key", Value: "{{value}}"}}, Valid: "code == 200 && body.ok == true",
			}}},
			{Type: v1alpha1.TypeCustom, Key: "WEATHER_TOKEN"},
		}},
	}
}

var _ = Describe("Bad input: a SecretProvider", func() {
	var admin *witness

	BeforeEach(func() { admin = newAdmin() })

	DescribeTable("is refused, and the answer names the field",
		func(ctx SpecContext, change func(*v1alpha1.ProviderType, *v1alpha1.HTTPTest), by, want string) {
			p := weather()
			change(&p.Spec.Types[0], p.Spec.Types[0].Test.HTTP)
			told := fmt.Sprintf(`%sSecretProvider.usersecrets.dev %q is invalid: spec.types[0].%s`, by, p.Name, want)
			expectRefusal(ctx, attempt{by: admin, write: creating(p.DeepCopy()), want: told})

			By("as a change to one that works")
			stored := weather()
			Expect(admin.client.Create(ctx, stored)).To(Succeed())
			DeferCleanup(product.Client.Delete, stored)
			version := stored.ResourceVersion
			stored.Spec = p.Spec
			expectRefusal(ctx, attempt{by: admin, want: strings.Replace(told, p.Name, stored.Name, 1), write: func(ctx context.Context, c client.Client) error {
				err := c.Update(ctx, stored)
				Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(stored), stored)).To(Succeed())
				Expect(stored.ResourceVersion).To(Equal(version), "nothing is stored")
				return err
			}})
		},
		Entry("CEL that does not compile", func(_ *v1alpha1.ProviderType, test *v1alpha1.HTTPTest) { test.Valid = "code == 200 &&\n  body.ok ==" }, curating,
			`test.http.valid: Invalid value: "code == 200 &&\n  body.ok ==": at line:column 2:13: Syntax error: mismatched input '<EOF>' expecting `+
				"{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n |   body.ok ==\n | ............^"),
		Entry("CEL over what is not there", func(_ *v1alpha1.ProviderType, test *v1alpha1.HTTPTest) { test.Invalid = "status == 401" }, curating,
			`test.http.invalid: Invalid value: "status == 401": at line:column 1:1: undeclared reference to 'status' (in container '')`+"\n | status == 401\n | ^"),
		Entry("CEL that gives a number", func(_ *v1alpha1.ProviderType, test *v1alpha1.HTTPTest) { test.Valid = "code + 1" }, curating,
			`test.http.valid: Invalid value: "code + 1": the expression must be true or false, and is of type int`),
		Entry("an example that does not match", func(entry *v1alpha1.ProviderType, _ *v1alpha1.HTTPTest) { entry.Example = "w-0" }, curating,
			`example: Invalid value: "w-0": does not match the pattern w-[0-9]{8} as a whole`),
		Entry("a pattern that is none", func(entry *v1alpha1.ProviderType, _ *v1alpha1.HTTPTest) { entry.Pattern = "w-(" }, "",
			`pattern: Invalid value: "string": error parsing regexp: missing closing ): `+"`w-(`"+` evaluating rule: pattern must be a regular expression in RE2 syntax`),
		Entry("a URL in the clear", func(_ *v1alpha1.ProviderType, test *v1alpha1.HTTPTest) { test.URL = "http://weather.example.com/me" }, "",
			`test.http.url: Invalid value: "http://weather.example.com/me": url must start with https://: a secret is never sent in the clear`),
		Entry("a URL that is none", func(_ *v1alpha1.ProviderType, test *v1alpha1.HTTPTest) { test.URL = "https://weather.example.com/%zz" }, curating,
			`test.http.url: Invalid value: "https://weather.example.com/%zz": is no URL`),
		Entry("a placeholder that stands for nothing", func(_ *v1alpha1.ProviderType, test *v1alpha1.HTTPTest) {
			test.URL = "https://weather.example.com/{{token}}"
		}, curating, `test.http.url: Invalid value: "https://weather.example.com/{{token}}": {{token}} stands for nothing: the placeholders are {{value}} and {{value.base64}}`),
		Entry("a header of the connection", func(_ *v1alpha1.ProviderType, test *v1alpha1.HTTPTest) { test.Headers[0].Name = "host" }, curating,
			`test.http.headers[0].name: Invalid value: "host": belongs to the connection: the request has it, or must not`),
		Entry("a test that sends the value nowhere", func(_ *v1alpha1.ProviderType, test *v1alpha1.HTTPTest) { test.Headers = nil }, curating,
			`test.http: Required value: the test sends the value nowhere, so it tests nothing: put {{value}} into url, headers or body`),
	)

	It("that is in use stays, with its types", func(ctx SpecContext) {
		alice, p := newUser(ctx, "alice"), weather()
		Expect(admin.client.Create(ctx, p)).To(Succeed())
		us := store(ctx, alice, userSecret(ctx, alice, "weather", p.Name, v1alpha1.TypeCustom, pasted))
		used := fmt.Sprintf("is in use by 1 UserSecret (%s/weather): delete those first", alice.Namespace)

		expectRefusal(ctx, attempt{by: admin, want: fmt.Sprintf("%sSecretProvider %q %s", discarded, p.Name, used), write: func(ctx context.Context, c client.Client) error {
			err := c.Delete(ctx, p)
			Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(p), p)).To(Succeed())
			return err
		}})
		expectRefusal(ctx, attempt{
			by: admin, want: fmt.Sprintf("%sa type that is left out of SecretProvider %q %s", curating, p.Name, used),
			write: patching(p, `{"spec":{"types":[{"type":"api_key","key":"WEATHER_KEY"}]}}`),
		})
		By("a type that nobody uses goes")
		Expect(admin.client.Patch(ctx, p, mergePatch(`{"spec":{"types":[{"type":"custom","key":"WEATHER_TOKEN"}]}}`))).To(Succeed())

		By("and the provider, with its last user")
		Expect(alice.Client.Delete(ctx, us)).To(Succeed())
		Eventually(func() error { return admin.client.Delete(ctx, p) }).Should(Succeed())
	})

	It("that is new takes one kubectl apply, and UserSecrets at once", func(ctx SpecContext) {
		alice, name := newUser(ctx, "alice"), weather().Name
		manifest := fmt.Sprintf(`
apiVersion: usersecrets.dev/v1alpha1
kind: SecretProvider
metadata: {name: %s}
spec:
  displayName: Weather
  category: Custom
  types:
  - type: api_key
    key: WEATHER_KEY
    test:
      http:
        url: https://weather.example.com/bot{{value}}/me
        valid: code == 200 && body.ok == true
`, name)
		for range 2 {
			result := product.Kubectl(ctx, product.AdminKubeconfig, strings.NewReader(manifest), "apply", "-f", "-")
			Expect(result.Err()).NotTo(HaveOccurred())
		}
		Expect(alice.Client.Create(ctx, userSecret(ctx, alice, "weather", name, v1alpha1.TypeAPIKey, pasted))).To(Succeed())
	})
})
