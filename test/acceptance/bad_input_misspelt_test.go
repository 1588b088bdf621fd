package acceptance_test

import (
	"context"
	"encoding/json"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"usersecrets.dev/operator/api/v1alpha1"
)

// A misspelt field is the one place where kubectl would keep a value that the
// API server never sees: the server drops the field, and kubectl's annotation
// repeats the manifest.
var _ = Describe("Bad input: a misspelt field with the value in it", func() {
	// manifest has its value where it belongs and, misspelt, elsewhere.
	manifest := `apiVersion: usersecrets.dev/v1alpha1
kind: UserSecret
value: ` + pasted + `
metadata:
  name: openai
  anotations: {note: ` + pasted + `}
spec:
  provider: openai
  type: api_key
  value: ` + pasted + `
  vaule: ` + pasted + `
  Value: ` + pasted + `
  verification: {mode: OnDemand, token: ` + pasted + `}
`

	DescribeTable("is refused by name", func(ctx SpecContext, told string, how ...string) {
		alice := newUser(ctx, "alice")
		result := alice.Kubectl(ctx, manifest, append(how, "-f", "-")...)
		Expect(result.ExitCode).To(Equal(1))
		expectSilence(result.Stdout+result.Stderr, pasted)
		Expect(result.Stderr).To(HaveSuffix(told + "\n"))
		Expect(product.Client.Get(ctx, keyOf(alice, "openai"), &v1alpha1.UserSecret{})).To(MatchError(apierrors.IsNotFound, "nothing is stored"))
	},
		Entry("by apply", unknownFieldsTold, "apply"),
		Entry("by create", unknownFieldsTold, "create"),
		Entry("by create --save-config", unknownFieldsTold, "create", "--save-config"),
		Entry("by apply --server-side", ".value: field not declared in schema", "apply", "--server-side"),
		Entry("by apply --server-side, without validation", ".value: field not declared in schema", "apply", "--server-side", "--validate=false"),
	)

	DescribeTable("leaves no trace where validation is turned off", func(ctx SpecContext, how ...string) {
		alice := newUser(ctx, "alice")
		result := alice.Kubectl(ctx, manifest, append(how, "-f", "-")...)
		Expect(result.Err()).NotTo(HaveOccurred())
		expectSilence(result.Stdout+result.Stderr, pasted)
		us := rested(ctx, alice)
		Expect(us.Spec.Verification.Mode).To(Equal(v1alpha1.VerifyOnDemand), "what was spelt right is kept")
		expectNoTrace(ctx, us, pasted)

		By("applying it once more, which changes nothing")
		before := us.ResourceVersion
		result = alice.Kubectl(ctx, manifest, "apply", how[len(how)-1], "-f", "-")
		Expect(result.Err()).NotTo(HaveOccurred())
		Expect(settled(ctx, alice, "openai").ResourceVersion).To(Equal(before))
		expectNoTrace(ctx, us, pasted)
	},
		Entry("by apply --validate=false", "apply", "--validate=false"),
		Entry("by apply --validate=warn", "apply", "--validate=warn"),
	)

	It("leaves no trace by create --save-config", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		result := alice.Kubectl(ctx, manifest, "create", "--save-config", "--validate=false", "-f", "-")
		Expect(result.Err()).NotTo(HaveOccurred())
		expectNoTrace(ctx, settled(ctx, alice, "openai"), pasted)
	})

	It("leaves no trace beside a sealed value", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		sealed := sealedManifest(alice, "openai", sealFor(ctx, alice, "openai", pasted)) + "  vaule: " + pasted + "\n"
		result := alice.Kubectl(ctx, sealed, "apply", "--validate=false", "-f", "-")
		Expect(result.Err()).NotTo(HaveOccurred())
		expectNoTrace(ctx, settled(ctx, alice, "openai"), pasted)
	})

	It("leaves no trace in an annotation that a delegate's tool writes", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		robot := newWriter(ctx, "robot", alice.Namespace, "usersecret-delegate")
		sealed := sealedManifest(alice, "openai", sealFor(ctx, alice, "openai", pasted)) + "  vaule: " + pasted + "\n"
		result := robot.Kubectl(ctx, sealed, "apply", "--validate=false", "-f", "-")
		Expect(result.Err()).NotTo(HaveOccurred())
		expectNoTrace(ctx, settled(ctx, alice, "openai"), pasted)
	})
})

const unknownFieldsTold = `UserSecret in version "v1alpha1" cannot be handled as a UserSecret: strict decoding error: unknown field "metadata.anotations", unknown field "spec.Value", unknown field "spec.vaule", unknown field "spec.verification.token", unknown field "value"`

// expectNoTrace looks for a value in all of a stored object: annotations,
// managedFields and status included.
func expectNoTrace(ctx context.Context, us *v1alpha1.UserSecret, value string) {
	GinkgoHelper()
	stored, err := json.Marshal(asStored(ctx, us))
	Expect(err).NotTo(HaveOccurred())
	expectSilence(string(stored), value)
	Expect(string(stored)).NotTo(ContainSubstring(`"f:value"`), "nobody owns what is never there")
}
