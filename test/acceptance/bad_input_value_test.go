package acceptance_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
)

var _ = Describe("Bad input: a plaintext value", Ordered, ContinueOnFailure, func() {
	var c *people

	BeforeAll(func(ctx SpecContext) { c = newPeople(ctx) })

	// typed is a UserSecret that alice applies, as typed.
	typed := func(text, want string) func(context.Context) attempt {
		return func(context.Context) attempt {
			return attempt{by: c.alice, write: creating(fromYAML(c.alice.Namespace, text)), want: want}
		}
	}
	withValue := func(more, want string) func(context.Context) attempt {
		return typed(openAI("value: "+pasted)+"\n"+more, want)
	}

	DescribeTable("is refused, and never repeated", func(ctx SpecContext, prepare func(context.Context) attempt) {
		expectRefusal(ctx, prepare(ctx))
	},
		Entry("in a namespace without owner", func(ctx context.Context) attempt {
			namespace := unowned(ctx)
			return attempt{
				by: c.admin, write: creating(fromYAML(namespace, openAI("value: "+pasted))),
				want: sealing + fmt.Sprintf("namespace has no owner: %q carries no annotation usersecrets.dev/owner; an administrator sets it with 'kubectl usersecret onboard'", namespace),
			}
		}),
		Entry("from somebody who may write UserSecrets but is not the owner", func(context.Context) attempt {
			return attempt{by: c.eve, write: creating(fromYAML(c.alice.Namespace, openAI("value: "+pasted))), want: sealing + plaintextTold}
		}),
		Entry("from a delegate", func(context.Context) attempt {
			return attempt{by: c.robot, write: creating(fromYAML(c.alice.Namespace, openAI("value: "+pasted))), want: sealing + plaintextTold}
		}),
		Entry("from an administrator", func(context.Context) attempt {
			return attempt{by: c.admin, write: creating(fromYAML(c.alice.Namespace, openAI("value: "+pasted))), want: sealing + plaintextTold}
		}),

		Entry("that is empty", typed(openAI(`value: ""`), sealing+"the value is empty; give a value of at least 1 byte")),
		Entry("of 64 KiB and 1 byte", func(context.Context) attempt {
			value := pasted + strings.Repeat("x", envelope.MaxValueLength+1-len(pasted))
			return attempt{
				by: c.alice, write: creating(plaintext(c.alice.Person, "large", "openai", v1alpha1.TypeAPIKey, value)),
				want: sealing + "the value is longer than 65536 bytes (64 KiB); store large data elsewhere, and the key that protects it here",
			}
		}),
		Entry("without a name, which generateName does not give in time", typed("metadata:\n  generateName: some-\n"+openAI("value: "+pasted),
			sealing+"a UserSecret with spec.value needs metadata.name: a name from generateName does not exist yet when the value is sealed for it")),
		Entry("beside a sealed one", func(ctx context.Context) attempt {
			us := userSecret(ctx, c.alice.Person, "both", "openai", v1alpha1.TypeAPIKey, pasted)
			us.Spec.Value = new(string(pasted))
			return attempt{by: c.alice, write: creating(us), want: sealing + "give one of spec.value and spec.encryptedValue, not both"}
		}),

		Entry("that is a number", func(context.Context) attempt {
			return attempt{
				by: c.alice, write: creating(fromYAML(c.alice.Namespace, openAI("value: 8315204419670233"))),
				secret: "8315204419670233", want: sealing + notTextTold,
			}
		}),
		Entry("that is a fraction", func(context.Context) attempt {
			return attempt{
				by: c.alice, write: creating(fromYAML(c.alice.Namespace, openAI("value: 83152.4419"))),
				secret: "83152.4419", want: sealing + notTextTold,
			}
		}),
		Entry("that is a pasted JSON object", typed(openAI(`value: {"type": "service_account", "private_key": "`+pasted+`"}`), sealing+notTextTold)),
		Entry("that is a list", typed(openAI("value: ["+pasted+"]"), sealing+notTextTold)),
		Entry("that is null, with nothing else", typed("metadata: {name: nothing}\n"+openAI("value: null"), noValueTold("nothing"))),

		Entry("that stands in an annotation as well", withValue(`metadata: {annotations: {note: "my key is `+pasted+`"}}`, repeatedTold("metadata.annotations.note"))),
		Entry("that is an annotation's key as well", withValue(`metadata: {annotations: {`+pasted+`: ""}}`, repeatedTold("metadata.annotations (a key)"))),
		Entry("that stands in an annotation in base64", withValue(`metadata: {annotations: {note: `+base64.StdEncoding.EncodeToString([]byte(pasted))+`}}`, repeatedTold("metadata.annotations.note"))),
		Entry("that stands in a label as well", withValue(`metadata: {labels: {key: `+pasted+`}}`, repeatedTold("metadata.labels.key"))),
		Entry("that is a label's key as well", withValue(`metadata: {labels: {`+pasted+`: ""}}`, repeatedTold("metadata.labels (a key)"))),
		Entry("that stands in the description as well", withValue("  description: once "+pasted, repeatedTold("spec.description"))),
		Entry("that stands in the description in base64", withValue("  description: "+base64.RawURLEncoding.EncodeToString([]byte(pasted)), repeatedTold("spec.description"))),
		Entry("that is the display name as well", withValue("  displayName: "+pasted, repeatedTold("spec.displayName"))),
		Entry("that is a tag as well", withValue("  tags: [llm, "+pasted+"]", repeatedTold("spec.tags"))),
		Entry("that is the name as well", withValue("metadata: {name: "+pasted+"}", repeatedTold("metadata.name"))),
		Entry("that stands JSON-escaped in an annotation", func(context.Context) attempt {
			value := `{"user":"alice","password":"bad-input-0123456789"}`
			us := plaintext(c.alice.Person, "escaped", "custom", v1alpha1.TypeCustom, value)
			us.Annotations = map[string]string{"note": `{"was":"{\"user\":\"alice\",\"password\":\"bad-input-0123456789\"}"}`}
			return attempt{by: c.alice, write: creating(us), secret: value, want: repeatedTold("metadata.annotations.note")}
		}),
		Entry("that is short and is all of an annotation", func(context.Context) attempt {
			us := plaintext(c.alice.Person, "short", "custom", v1alpha1.TypeCustom, "hunter2")
			us.Annotations = map[string]string{"note": "hunter2"}
			return attempt{by: c.alice, write: creating(us), secret: "hunter2", want: repeatedTold("metadata.annotations.note")}
		}),
	)

	// The API server writes down what it cannot merge: where the schema gave a
	// type, its log and its answer to a server-side apply would hold the value.
	DescribeTable("that is no text stays out of answers and logs", func(ctx SpecContext, typed, secret string, how ...string) {
		stored := store(ctx, c.alice.Person, plaintext(c.alice.Person, fmt.Sprintf("text-%d", serial.Add(1)), "custom", v1alpha1.TypeCustom, pasted))
		for _, name := range []string{"new", stored.Name} {
			manifest := fmt.Sprintf("apiVersion: usersecrets.dev/v1alpha1\nkind: UserSecret\nmetadata: {name: %s}\nspec: {provider: custom, type: custom, value: %s}\n", name, typed)
			result := c.alice.Kubectl(ctx, manifest, how...)
			Expect(result.ExitCode).To(Equal(1))
			Expect(result.Stderr).To(HaveSuffix(sealing + notTextTold + "\n"))
			if name == "new" || slices.Contains(how, "--server-side") { // kubectl itself repeats a patch that failed
				expectSilence(result.Stdout+result.Stderr, secret)
			}
		}
		Expect(asStored(ctx, stored).ResourceVersion).To(Equal(stored.ResourceVersion))
		expectLogsWithout(secret)
	},
		Entry("a number, by client", "7720318845106692", "7720318845106692", "apply", "-f", "-"),
		Entry("a number, by server", "7720318845106693", "7720318845106693", "apply", "--server-side", "-f", "-"),
		Entry("an object, by client", "{private_key: bad-input-object-a}", "bad-input-object-a", "apply", "-f", "-"),
		Entry("an object, by server", "{private_key: bad-input-object-b}", "bad-input-object-b", "apply", "--server-side", "-f", "-"),
		Entry("a list, by client", "[bad-input-list-a]", "bad-input-list-a", "apply", "-f", "-"),
		Entry("a list, by server", "[bad-input-list-b]", "bad-input-list-b", "apply", "--server-side", "-f", "-"),
	)
})

const notTextTold = `spec.value must be text: put it in quotes, as in value: "123"; what is no text is sealed from a file, with 'kubectl usersecret seal --from-file'`

func repeatedTold(path string) string {
	return sealing + path + " repeats the value in the clear, where everybody who may look at the object would read it: remove it there"
}

func noValueTold(name string) string {
	return fmt.Sprintf(`UserSecret.usersecrets.dev %q is invalid: spec: Required value: a UserSecret needs a value: make one with 'kubectl usersecret create', or give spec.value as the namespace's owner`, name)
}

// expectLogsWithout reads what the API server and the operator wrote down.
func expectLogsWithout(secret string) {
	GinkgoHelper()
	for _, log := range []string{filepath.Join(product.Logs(), "kube-apiserver.log"), product.AuditLog()} {
		content, err := os.ReadFile(log)
		Expect(err).NotTo(HaveOccurred())
		expectSilence(string(content), secret)
	}
	expectSilence(product.Operator.Log(), secret)
}
