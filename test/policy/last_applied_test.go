package policy

import (
	"context"
	"encoding/json"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

const lastAppliedPolicy = "usersecrets-last-applied"

const lastAppliedMessage = "the annotation kubectl.kubernetes.io/last-applied-configuration would keep spec.value in " +
	"plaintext, and the admission webhook that removes it there did not: seal the value with 'kubectl usersecret seal' " +
	"and apply that, or ask the administrator whether the UserSecret operator is running."

// manifest is a UserSecret as a user writes it down.
type manifest struct {
	labels, annotations map[string]string
	spec                map[string]any
}

// asKubectlWrites is the last-applied annotation that kubectl makes of it: keys in
// order, compact, with a newline at the end.
func (m manifest) asKubectlWrites() string {
	GinkgoHelper()
	metadata := map[string]any{"name": "applied", "namespace": "home", "annotations": map[string]string{}}
	if m.labels != nil {
		metadata["labels"] = m.labels
	}
	if m.annotations != nil {
		metadata["annotations"] = m.annotations
	}
	text, err := json.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "UserSecret", "metadata": metadata, "spec": m.spec,
	})
	Expect(err).NotTo(HaveOccurred())
	return string(text) + "\n"
}

var _ = Describe("The last-applied annotation", func() {
	var namespace string

	BeforeEach(func(ctx context.Context) {
		namespace = newNamespace(ctx)
	})

	DescribeTable("that holds a value is refused", func(ctx context.Context, lastApplied string) {
		applied := userSecret(namespace, "applied")
		applied.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: lastApplied}
		Expect(as(alice).Create(ctx, applied)).To(beDenied(lastAppliedPolicy, lastAppliedMessage))

		applied.Annotations = nil
		Expect(as(alice).Create(ctx, applied)).To(Succeed())
		applied.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: lastApplied}
		Expect(as(alice).Update(ctx, applied)).To(beDenied(lastAppliedPolicy, lastAppliedMessage))
	},
		Entry("as kubectl writes it", manifest{spec: map[string]any{
			"provider": "openai", "type": "api_key", "value": "canary", "tags": []string{"a"},
			"verification": map[string]string{"mode": "Disabled"},
		}}.asKubectlWrites()),
		Entry("first in spec", `{"spec":{"value":"canary"}}`),
		Entry("after a nested object", `{"spec":{"verification":{"mode":"Disabled"},"value":"canary"}}`),
		Entry("in a nested object", `{"spec":{"verification":{"value":"canary"}}}`),
		Entry("that is no string", `{"spec":{"provider":"openai","value":{"a":1}}}`),
		Entry("that is null", `{"spec":{"provider":"openai","value":null}}`),
		Entry("in a second spec", `{"spec":{},"spec":{"value":"canary"}}`),
		Entry("with spec before metadata", `{"spec":{"value":"canary"},"metadata":{}}`),
		Entry("indented", "{\n  \"spec\" : {\n    \"provider\": \"openai\",\n    \"value\" : \"canary\"\n  }\n}"),
		Entry("with tabs and carriage returns", "{\"spec\":\t{\r\n\t\"value\"\r\n:\"canary\"}}"),
		Entry("an escaped letter", `{"spec":{"\u0076alue":"canary"}}`),
		Entry("all letters escaped", `{"spec":{"provider":"openai","\u0076\u0061\u006c\u0075\u0065":"canary"}}`),
		Entry("escaped in capitals", `{"spec":{"va\u006Cue":"canary"}}`),
		Entry("spec escaped", `{"\u0073\u0070\u0065\u0063":{"value":"canary"}}`),
		Entry("in another case", `{"spec":{"Value":"canary"}}`),
		Entry("in another case, escaped", `{"spec":{"\u0056ALUE":"canary"}}`),
		Entry("behind quotes in the description", manifest{spec: map[string]any{
			"description": `a "quoted", {"brace`, "value": "canary",
		}}.asKubectlWrites()),
		Entry("of 64 KiB", manifest{spec: map[string]any{"value": strings.Repeat("x", 64<<10)}}.asKubectlWrites()),
	)

	DescribeTable("without a value is fine", func(ctx context.Context, lastApplied string) {
		applied := userSecret(namespace, "applied")
		applied.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: lastApplied}
		Expect(as(alice).Create(ctx, applied)).To(Succeed())
		applied.Spec.Description = "changed"
		Expect(as(alice).Update(ctx, applied)).To(Succeed())
	},
		Entry("sealed", manifest{spec: map[string]any{"provider": "openai", "encryptedValue": "us1.v1-3f9a2c1b.AAAA"}}.asKubectlWrites()),
		Entry("sealed, of the largest size", manifest{
			spec: map[string]any{"encryptedValue": strings.Repeat("A", 90112), "description": strings.Repeat("d", 1024)},
		}.asKubectlWrites()),
		Entry("a label and an annotation called value", manifest{
			labels: map[string]string{"value": "high", "spec": "1"}, annotations: map[string]string{"value": "high"},
			spec: map[string]any{"provider": "openai"},
		}.asKubectlWrites()),
		Entry("an annotation that quotes a spec", manifest{
			annotations: map[string]string{"example.com/copy": `{"spec":{"value":"x"}}`},
			spec:        map[string]any{"provider": "openai"},
		}.asKubectlWrites()),
		Entry("the word in description and tags", manifest{spec: map[string]any{
			"description": `the value: {"value":"x"}, "value": y`, "tags": []string{"value", ",", "value", "{", "value", ": x"},
			"displayName": "value",
		}}.asKubectlWrites()),
		Entry("other keys with the word in them", manifest{spec: map[string]any{
			"encryptedValue": "us1.v1-3f9a2c1b.AAAA", "values": "x", "value2": "x", "my value": "x",
		}}.asKubectlWrites()),
		Entry("empty", ""),
		Entry("no JSON", "value: spec:"),
	)

	It("is looked at on UserSecrets alone", func(ctx context.Context) {
		other := secret(namespace, "other")
		other.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: `{"spec":{"value":"x"}}`}
		Expect(as(bob).Create(ctx, other)).To(Succeed())
	})

	It("does not keep an object from being deleted", func(ctx context.Context) {
		applied := userSecret(namespace, "applied")
		applied.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: `{"spec":{"value":"x"}}`}
		without(ctx, lastAppliedPolicy, func() {
			Eventually(func() error { return as(alice).Create(ctx, applied) }).
				WithTimeout(enforcementTimeout).WithPolling(enforcementPoll).Should(Succeed())
		})
		Expect(as(alice).Delete(ctx, applied, client.PropagationPolicy("Foreground"))).To(Succeed())
	})
})
