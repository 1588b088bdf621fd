package acceptance_test

import (
	"context"
	"encoding/json"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

// delegateOf is somebody who may write alice's sealed values, and nothing else.
func delegateOf(ctx context.Context, alice *rig.Person) *rig.Person {
	GinkgoHelper()
	eve := newUser(ctx, "eve")
	allow(ctx, eve, alice.Namespace, "usersecret-delegate")
	eve, err := product.Person(eve.Name, alice.Namespace)
	Expect(err).NotTo(HaveOccurred())
	return eve
}

// strangerTo has the rights of RBAC in alice's namespace, and nothing else.
func strangerTo(ctx context.Context, alice *rig.Person) *rig.Person {
	GinkgoHelper()
	bob := newUser(ctx, "bob")
	allow(ctx, bob, alice.Namespace, "usersecret-owner")
	bob, err := product.Person(bob.Name, alice.Namespace)
	Expect(err).NotTo(HaveOccurred())
	return bob
}

// refuseEveryKind has every kind of refusal refuse a canary: by the server's own
// checks, by admission, for who asks and for what is asked.
func refuseEveryKind(ctx context.Context, t *trail, alice *rig.Person) {
	admin, err := product.Person("admin", alice.Namespace, "system:masters")
	Expect(err).NotTo(HaveOccurred())
	refuseOthers(ctx, t, alice, admin)
	By("refusals for what is asked")
	for _, c := range append(repetitions(t, alice.Namespace), malformed(ctx, t, alice)...) {
		args := c.args
		if args == nil {
			args = []string{"apply", "-f", "-"}
		}
		t.refused(ctx, alice, c.why, c.stdin, args...)
	}
	By("refusals for what is there already")
	openai := func(name string, label string) string {
		return manifest(alice.Namespace, name, with(custom(t.canary(label)), "provider", "openai", "type", "api_key"), nil)
	}
	Expect(t.kubectl(ctx, alice, openai("looks", "warned about"), "apply", "-f", "-").Stderr).To(ContainSubstring("value does not match the pattern"))
	t.refused(ctx, alice, "is active for provider", openai("second", "second"), "apply", "-f", "-")
	t.refused(ctx, alice, "repeats the value", "", "annotate", "usersecret", "misspelt", "note="+t.canaries["beside a misspelt field"])
}

// refuseOthers are refusals for who asks.
func refuseOthers(ctx context.Context, t *trail, alice, admin *rig.Person) {
	By("refusals for who asks")
	const why = "accepted from the namespace's owner alone"
	for label, who := range map[string]*rig.Person{"of a stranger": strangerTo(ctx, alice), "of a delegate": delegateOf(ctx, alice), "of an administrator": admin} {
		t.refused(ctx, who, why, manifest(alice.Namespace, "refused", custom(t.canary(label)), nil), "apply", "-f", "-")
		t.refused(ctx, who, why, "", "patch", "usersecret", "sealed", "--type=merge", "-p", patchOf(t.canary(label+", as a patch")))
	}
	t.refused(ctx, admin, "usersecrets.dev/owner", manifest("default", "refused", custom(t.canary("in nobody's namespace")), nil), "apply", "-f", "-")
	t.refused(ctx, admin, "written by the UserSecret operator alone", "", "patch", "usersecret", "sealed", "--subresource=status", "--type=merge",
		"-p", `{"status":{"masked":"`+inJSON(t.canary("in the status"), true)+`"}}`)
}

// request is one that is refused for what it asks; args are those of kubectl
// where they are not apply's.
type request struct {
	why, stdin string
	args       []string
}

// repetitions have the value a second time where everybody can read it.
func repetitions(t *trail, namespace string) []request {
	labelled, tagged := t.word("repeated in a label"), t.word("repeated in a tag")
	annotated, encoded, described := t.canary("repeated in an annotation"), t.canary("repeated in base64"), t.canary("repeated in the description")
	noted := func(value, key, note string) string {
		return manifest(namespace, "refused", custom(value), map[string]any{key: map[string]any{"note": note}})
	}
	return []request{
		{why: "labels.note repeats the value", stdin: noted(labelled, "labels", labelled)},
		{why: "annotations.note repeats the value", stdin: noted(annotated, "annotations", annotated)},
		{why: "annotations.note repeats the value", stdin: noted(encoded, "annotations", "see "+inStdBase64(encoded))},
		{why: "spec.description repeats the value", stdin: manifest(namespace, "refused", with(custom(described), "description", "it is "+described), nil)},
		{why: "spec.tags repeats the value", stdin: manifest(namespace, "refused", with(custom(tagged), "tags", []string{"mine", tagged}), nil)},
	}
}

// malformed are requests that the owner may not make either.
func malformed(ctx context.Context, t *trail, alice *rig.Person) []request {
	fresh := func(spec map[string]any) string { return manifest(alice.Namespace, "refused", spec, nil) }
	without := func(field string, value string) map[string]any {
		return map[string]any{"provider": "custom", "type": "custom", field: value}
	}
	sealed := sealFor(ctx, alice, "refused", "some value")
	forged := map[string]any{"annotations": map[string]string{v1alpha1.CreatedByAnnotation: "bob"}}
	return []request{
		{why: "spec.value must be text", stdin: fresh(custom(json.Number(t.number("a number"))))},
		{why: "spec.value must be text", stdin: fresh(custom(map[string]any{"key": t.canary("in an object")}))},
		{why: "spec.value must be text", stdin: fresh(custom([]string{t.canary("in a list")})), args: unvalidated},
		{why: "64 KiB", stdin: fresh(custom(t.canary("too long") + strings.Repeat("x", 64<<10)))},
		{why: "not both", stdin: fresh(with(custom(t.canary("beside a sealed one")), "encryptedValue", sealed))},
		{why: "this is no sealed value", stdin: fresh(without("encryptedValue", t.canary("in place of a sealed one")))},
		{why: "Too long", stdin: fresh(without("encryptedValue", t.canary("too long in place of a sealed one")+strings.Repeat("x", 96<<10)))},
		{why: `unknown field "spec.vaule"`, stdin: fresh(with(custom("some value"), "vaule", t.canary("misspelt")))},
		{why: "a UserSecret needs a value", stdin: fresh(without("vaule", t.canary("misspelt, unchecked"))), args: unvalidated},
		{
			why:   "metadata.name",
			stdin: manifest(alice.Namespace, "", custom(t.canary("for a generated name")), map[string]any{"generateName": "refused-", "name": nil}),
			args:  []string{"create", "-f", "-"},
		},
		{why: "unknown provider", stdin: fresh(with(custom(t.canary("of an unknown provider")), "provider", "nobodys"))},
		{why: "Unsupported value", stdin: fresh(with(custom(t.canary("of an unknown type")), "type", "no_type"))},
		{why: "unknown type", stdin: fresh(with(custom(t.canary("of another's type")), "provider", "openai", "type", "oauth_token"))},
		{why: "lies in the past", stdin: fresh(with(custom(t.canary("expired")), "expiresAt", "2020-01-01T00:00:00Z"))},
		{why: "provider is immutable", stdin: manifest(alice.Namespace, "sealed", with(custom(t.canary("for another provider")), "provider", "webhook"), nil)},
		// By the server: of a change that is forbidden to it, client-side apply
		// itself shows its user the patch that it sent, and so what was in the file.
		{
			why:   "stamped when the UserSecret is created",
			stdin: manifest(alice.Namespace, "sealed", custom(t.canary("of a forged creator")), forged),
			args:  []string{"apply", "--server-side", "--force-conflicts", "-f", "-"},
		},
	}
}

// unvalidated has the API server drop fields that it does not know.
var unvalidated = []string{"apply", "--validate=false", "-f", "-"}

// refuseUnsealed has the API server itself refuse plaintext: with the operator
// away, and where nobody installed, or somebody removed, its webhooks.
func refuseUnsealed(ctx context.Context, t *trail, alice *rig.Person) {
	By("with the operator away")
	away(ctx, func() {
		t.refused(ctx, alice, `failed calling webhook "seal.usersecrets.dev"`, manifest(alice.Namespace, "refused", custom(t.canary("while away")), nil), "apply", "-f", "-")
		t.refused(ctx, alice, `failed calling webhook "seal.usersecrets.dev"`, manifest(alice.Namespace, "sealed", custom(t.canary("while away, over another")), nil), "apply", "--server-side", "-f", "-")
	})
	By("without the webhooks")
	for _, config := range []client.Object{&admissionregistrationv1.MutatingWebhookConfiguration{}, &admissionregistrationv1.ValidatingWebhookConfiguration{}} {
		unhook(ctx, config)
	}
	Expect(product.AwaitAdmission(ctx)).To(Succeed())
	const stored = "value is never stored"
	t.refused(ctx, alice, stored, manifest(alice.Namespace, "refused", custom(t.canary("without webhooks")), nil), "create", "-f", "-")
	t.refused(ctx, alice, stored, manifest(alice.Namespace, "refused", custom(t.canary("without webhooks, by the server")), nil), "apply", "--server-side", "-f", "-")
	t.refused(ctx, alice, stored, manifest(alice.Namespace, "refused", custom(t.canary("without webhooks, by the client")), nil), "apply", "-f", "-")
	// kubectl create would write the annotation anew.
	traced := userSecret(ctx, alice, "refused", "custom", v1alpha1.TypeCustom, "some value")
	traced.Annotations = map[string]string{
		corev1.LastAppliedConfigAnnotation: manifest(alice.Namespace, "refused", custom(t.canary("without webhooks, in kubectl's annotation")), nil),
	}
	err := alice.Client.Create(ctx, traced)
	Expect(err).To(MatchError(ContainSubstring("would keep spec.value in plaintext")))
	t.answers.WriteString(err.Error())
	t.refused(ctx, alice, stored, "", "patch", "usersecret", "sealed", "--type=merge", "-p", patchOf(t.canary("without webhooks, as a patch")))
	t.refused(ctx, alice, stored, "", "patch", "usersecret", "sealed", "--type=merge", "-p", patchOf(json.Number(t.number("without webhooks, a number"))))
	rehook(ctx)
}

// unhooked are webhook configurations that were removed, as they were.
var unhooked []client.Object

// unhook removes a webhook configuration; rehook brings it back, also where the
// spec fails before.
func unhook(ctx context.Context, config client.Object) {
	GinkgoHelper()
	config.SetName(v1alpha1.OperatorName)
	Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(config), config)).To(Succeed())
	Expect(product.Client.Delete(ctx, config)).To(Succeed())
	unhooked = append(unhooked, config)
	DeferCleanup(rehook)
}

func rehook(ctx context.Context) {
	GinkgoHelper()
	for _, config := range unhooked {
		config.SetResourceVersion("")
		config.SetUID("")
		config.SetManagedFields(nil)
		config.SetCreationTimestamp(metav1.Time{})
		Expect(product.Client.Create(ctx, config)).To(Succeed())
	}
	if len(unhooked) > 0 {
		unhooked = nil
		Expect(product.AwaitAdmission(ctx)).To(Succeed())
	}
}

// refusePods has pods carry canaries where they ask for something.
func refusePods(ctx context.Context, t *trail, alice *rig.Person) {
	allowPods(ctx, alice, alice.Namespace)
	for annotation, why := range map[string]string{
		v1alpha1.InjectAnnotation: "malformed annotation", v1alpha1.InjectAsAnnotation: "malformed annotation",
		v1alpha1.MountPathAnnotation: "malformed annotation", v1alpha1.TTLAnnotation: "malformed annotation",
		v1alpha1.ContainersAnnotation: "malformed annotation",
	} {
		pod := asking(alice.Namespace, "refused", "name:sealed", map[string]string{annotation: t.canary("pasted into " + annotation)})
		t.refused(ctx, alice, why, podManifest(pod), "create", "-f", "-")
	}
	pod := asking(alice.Namespace, "refused", "name:sealed="+t.canary("pasted as a key"))
	t.refused(ctx, alice, "malformed key", podManifest(pod), "create", "-f", "-")
}

func podManifest(pod *corev1.Pod) string {
	GinkgoHelper()
	pod.APIVersion, pod.Kind = "v1", "Pod"
	text, err := json.Marshal(pod)
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}
