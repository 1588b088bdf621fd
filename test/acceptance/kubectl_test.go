package acceptance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/lab"
	"usersecrets.dev/operator/test/rig"
)

// typedValue is what alice's plaintext manifests hold.
const typedValue = "sk-proj-kubectl-0123456789"

// What kubectl prints of the UserSecret that these specs apply.
const (
	printedCreated    = "usersecret.usersecrets.dev/openai created\n"
	printedUnchanged  = "usersecret.usersecrets.dev/openai unchanged\n"
	printedConfigured = "usersecret.usersecrets.dev/openai configured\n"
	printedApplied    = "usersecret.usersecrets.dev/openai serverside-applied\n"
)

// manifestForm is how a manifest holds the value.
type manifestForm struct {
	name string
	// manifest returns the same text for the same owner every time.
	manifest func(ctx context.Context, owner *rig.Person) string
	// again is what a second client-side apply prints. Of a plaintext kubectl
	// cannot know that it changes nothing; the API server does.
	again string
}

func manifestForms() []manifestForm {
	return []manifestForm{
		{name: "sealed", again: printedUnchanged, manifest: func(ctx context.Context, owner *rig.Person) string {
			return sealedManifest(owner, "openai", sealFor(ctx, owner, "openai", typedValue))
		}},
		{name: "plaintext", again: printedConfigured, manifest: func(_ context.Context, owner *rig.Person) string {
			return plaintextManifest(owner, "openai", typedValue)
		}},
	}
}

var _ = Describe("kubectl", func() {
	for _, f := range manifestForms() {
		Context("with a "+f.name+" manifest", func() {
			var (
				alice    *rig.Person
				manifest string
			)

			BeforeEach(func(ctx SpecContext) {
				alice = newUser(ctx, "alice")
				manifest = f.manifest(ctx, alice)
			})

			It("applies it by client, and changes nothing the second time", func(ctx SpecContext) {
				Expect(kubectlSays(ctx, alice, manifest, "apply", "-f", "-")).To(Equal(printedCreated))
				us := rested(ctx, alice)
				expectNoTrace(ctx, us, typedValue)
				Expect(kubectlSays(ctx, alice, manifest, "apply", "-f", "-")).To(Equal(f.again))
				expectUntouched(ctx, us)
				expectSilence(kubectlSays(ctx, alice, "", "apply", "view-last-applied", "usersecret/openai"), typedValue)
			})

			It("applies it by server, and changes nothing the second time", func(ctx SpecContext) {
				Expect(kubectlSays(ctx, alice, manifest, "apply", "--server-side", "-f", "-")).To(Equal(printedApplied))
				us := rested(ctx, alice)
				expectNoTrace(ctx, us, typedValue)
				Expect(kubectlSays(ctx, alice, manifest, "apply", "--server-side", "-f", "-")).To(Equal(printedApplied))
				expectUntouched(ctx, us)
			})

			It("applies it by client, then by server, then by client", func(ctx SpecContext) {
				kubectlSays(ctx, alice, manifest, "apply", "-f", "-")
				first := rested(ctx, alice)
				Expect(kubectlSays(ctx, alice, manifest, "apply", "--server-side", "-f", "-")).To(Equal(printedApplied))
				second := rested(ctx, alice)
				expectSameValue(second, first)
				expectNoTrace(ctx, second, typedValue)

				kubectlSays(ctx, alice, manifest, "apply", "--server-side", "-f", "-")
				expectUntouched(ctx, second)
				kubectlSays(ctx, alice, manifest, "apply", "-f", "-")
				third := rested(ctx, alice)
				expectSameValue(third, first)
				expectNoTrace(ctx, third, typedValue)
				Expect(kubectlSays(ctx, alice, manifest, "apply", "-f", "-")).To(Equal(f.again))
				expectUntouched(ctx, third)
			})

			It("applies it by server, then by client, then by server", func(ctx SpecContext) {
				kubectlSays(ctx, alice, manifest, "apply", "--server-side", "-f", "-")
				first := rested(ctx, alice)
				Expect(kubectlSays(ctx, alice, manifest, "apply", "-f", "-")).To(Equal(printedConfigured), "the annotation is new")
				second := rested(ctx, alice)
				expectSameValue(second, first)
				expectNoTrace(ctx, second, typedValue)

				Expect(kubectlSays(ctx, alice, manifest, "apply", "-f", "-")).To(Equal(f.again))
				expectUntouched(ctx, second)
				kubectlSays(ctx, alice, manifest, "apply", "--server-side", "-f", "-")
				third := rested(ctx, alice)
				expectSameValue(third, first)
				expectNoTrace(ctx, third, typedValue)
				kubectlSays(ctx, alice, manifest, "apply", "--server-side", "-f", "-")
				expectUntouched(ctx, third)
			})

			DescribeTable("shows no difference", func(ctx SpecContext, how ...string) {
				kubectlSays(ctx, alice, manifest, append([]string{"apply", "-f", "-"}, how...)...)
				us := rested(ctx, alice)
				result := alice.Kubectl(ctx, manifest, append([]string{"diff", "-f", "-"}, how...)...)
				Expect(result).To(Equal(lab.Result{}), "no output, exit code 0")
				expectUntouched(ctx, us)
			},
				Entry("by client"),
				Entry("by server", "--server-side"),
			)

			DescribeTable("shows and applies what changed", func(ctx SpecContext, how ...string) {
				kubectlSays(ctx, alice, manifest, append([]string{"apply", "-f", "-"}, how...)...)
				us := settled(ctx, alice, "openai")
				changed := strings.Replace(manifest, "what my workflows use", "what all my workflows use", 1)
				result := alice.Kubectl(ctx, changed, append([]string{"diff", "-f", "-"}, how...)...)
				Expect(result.ExitCode).To(Equal(1), result.Stderr)
				Expect(result.Stdout).To(ContainSubstring("+  description: what all my workflows use"))
				Expect(result.Stdout).NotTo(ContainSubstring("encryptedValue: us1.\n"))
				Expect(changedLines(result.Stdout)).NotTo(ContainElement(ContainSubstring("encryptedValue:")), "the value stays sealed as it was")
				expectSilence(result.Stdout+result.Stderr, typedValue)
				expectUntouched(ctx, us)

				kubectlSays(ctx, alice, changed, append([]string{"apply", "-f", "-"}, how...)...)
				after := settled(ctx, alice, "openai")
				Expect(after.Generation).To(Equal(us.Generation + 1))
				expectSameValue(after, us)
				expectNoTrace(ctx, after, typedValue)
			},
				Entry("by client"),
				Entry("by server", "--server-side"),
			)
		})
	}
})

// kubectlSays runs kubectl as somebody, expects success, and returns what it printed.
// Nothing of that may repeat the value.
func kubectlSays(ctx context.Context, who *rig.Person, stdin string, args ...string) string {
	GinkgoHelper()
	result := who.Kubectl(ctx, stdin, args...)
	Expect(result.Err()).NotTo(HaveOccurred())
	expectSilence(result.Stdout+result.Stderr, typedValue)
	return result.Stdout
}

// settled waits until the operator has said all that it has to say of the
// object as it is now, so that nothing but the spec's own acts changes it further.
func settled(ctx context.Context, owner *rig.Person, name string) *v1alpha1.UserSecret {
	GinkgoHelper()
	us := &v1alpha1.UserSecret{}
	Eventually(func(g Gomega) {
		g.Expect(product.Client.Get(ctx, keyOf(owner, name), us)).To(Succeed())
		g.Expect(us.Status.ObservedGeneration).To(Equal(us.Generation))
		g.Expect(readyReason(us)).To(Equal(v1alpha1.ReasonReady))
	}).Should(Succeed())
	return us
}

// rested is the UserSecret openai, settled, in another second than its last
// write: what is written then again has another time in managedFields.
func rested(ctx context.Context, owner *rig.Person) *v1alpha1.UserSecret {
	GinkgoHelper()
	us := settled(ctx, owner, "openai")
	var written time.Time
	for _, entry := range us.ManagedFields {
		// kubectl leaves the time out where it takes fields over.
		if entry.Time != nil && entry.Time.After(written) {
			written = entry.Time.Time
		}
	}
	Eventually(time.Now).Should(BeTemporally(">=", written.Add(time.Second)))
	return us
}

func keyOf(owner *rig.Person, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: owner.Namespace, Name: name}
}

// expectUntouched expects that nothing was written since.
func expectUntouched(ctx context.Context, before *v1alpha1.UserSecret) {
	GinkgoHelper()
	now := asStored(ctx, before)
	Expect(now.ResourceVersion).To(Equal(before.ResourceVersion), "%s", wasAndIs(before, now))
	Expect(now.Generation).To(Equal(before.Generation))
	Expect(now.Spec.EncryptedValue).To(Equal(before.Spec.EncryptedValue))
}

// expectSameValue expects the very same ciphertext, and so the same value.
func expectSameValue(now, before *v1alpha1.UserSecret) {
	GinkgoHelper()
	Expect(now.Spec.EncryptedValue).To(Equal(before.Spec.EncryptedValue))
	Expect(now.Status.ValueID).To(Equal(before.Status.ValueID))
	Expect(now.Annotations[v1alpha1.CreatedByAnnotation]).To(Equal(before.Annotations[v1alpha1.CreatedByAnnotation]))
}

// wasAndIs is for people who read why a spec failed.
func wasAndIs(before, after *v1alpha1.UserSecret) string {
	was, _ := json.MarshalIndent(before, "", " ")
	is, _ := json.MarshalIndent(after, "", " ")
	return fmt.Sprintf("was %s\nis %s", was, is)
}

// changedLines are the lines that a unified diff adds or removes.
func changedLines(diff string) []string {
	var changed []string
	for line := range strings.Lines(diff) {
		if strings.HasPrefix(line, "+") || strings.HasPrefix(line, "-") {
			changed = append(changed, line)
		}
	}
	return changed
}

func sealedManifest(owner *rig.Person, name, sealed string) string {
	return manifestWith(owner, name, "encryptedValue: "+sealed)
}

func plaintextManifest(owner *rig.Person, name, value string) string {
	return manifestWith(owner, name, "value: "+value)
}

// manifestWith is a manifest as people write them. spec comes last, and the
// value last in it, so that more fields can be appended.
func manifestWith(owner *rig.Person, name, line string) string {
	return fmt.Sprintf(`apiVersion: usersecrets.dev/v1alpha1
kind: UserSecret
metadata:
  name: %s
  namespace: %s
  labels:
    team: research
spec:
  provider: openai
  type: api_key
  description: what my workflows use
  tags: [llm, billing]
  %s
`, name, owner.Namespace, line)
}
