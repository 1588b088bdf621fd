package acceptance_test

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/test/lab"
	"usersecrets.dev/operator/test/rig"
)

// trail is what canaries leave behind on their way: each is a value made for one
// path and known by a label, so that finding it tells which path leaks.
type trail struct {
	canaries map[string]string
	answers  strings.Builder
}

// odd are characters that encoders escape, each in its own way.
const odd = `"<&>\`

// canary makes a value as users have them, with something odd in it. It is ASCII
// and long enough that masks show its end, and short enough that all of it would
// fit where they stand.
func (t *trail) canary(label string) string {
	return t.keep(label, "sk-"+odd+rand.Text())
}

// word makes a value that can stand where only letters and digits may.
func (t *trail) word(label string) string { return t.keep(label, rand.Text()+rand.Text()) }

// number makes a value of digits.
func (t *trail) number(label string) string {
	return t.keep(label, "1"+new(big.Int).SetBytes(binary(16)).String())
}

func (t *trail) keep(label, value string) string {
	GinkgoHelper()
	Expect(t.canaries).NotTo(HaveKey(label), "a canary for each path")
	t.canaries[label] = value
	return value
}

// kubectl runs as somebody, and keeps all that it says.
func (t *trail) kubectl(ctx context.Context, who *rig.Person, stdin string, args ...string) lab.Result {
	return t.answer(who.Kubectl(ctx, stdin, args...))
}

// plugin runs the plugin as somebody, with a variable in its environment.
func (t *trail) plugin(ctx context.Context, who *rig.Person, variable string, args ...string) lab.Result {
	return t.answer(product.Run(ctx, who.Kubeconfig, nil, "/usr/bin/env", append([]string{variable, product.Plugin()}, args...)...))
}

func (t *trail) answer(result lab.Result) lab.Result {
	t.answers.WriteString(result.Stdout + "\n" + result.Stderr + "\n")
	return result
}

// done is kubectl where it must succeed; it says what it did.
func (t *trail) done(ctx context.Context, who *rig.Person, stdin string, args ...string) string {
	GinkgoHelper()
	result := t.kubectl(ctx, who, stdin, args...)
	Expect(result.Err()).NotTo(HaveOccurred())
	return result.Stdout
}

// refused is kubectl where it must fail, for the reason given.
func (t *trail) refused(ctx context.Context, who *rig.Person, why, stdin string, args ...string) {
	GinkgoHelper()
	Expect(t.kubectl(ctx, who, stdin, args...).Err()).To(MatchError(ContainSubstring(why)), "refused since: %s", why)
}

// leaks looks everywhere, also for the keys.
func (t *trail) leaks(ctx context.Context, owners ...*rig.Person) findings {
	GinkgoHelper()
	secrets := keyMaterial(ctx, owners...)
	for label, canary := range t.canaries {
		secrets[label] = canary
	}
	return scan(newScanner(secrets), places(ctx, t.answers.String()))
}

// keyMaterial is the root key and all that it opens: encryption keys, the value
// identity key, and the seeds of owners' private keys.
func keyMaterial(ctx context.Context, owners ...*rig.Person) map[string]string {
	GinkgoHelper()
	raw, err := hex.DecodeString(product.RootKey())
	Expect(err).NotTo(HaveOccurred())
	root, err := keyring.ParseRootKey(product.RootKey())
	Expect(err).NotTo(HaveOccurred())
	keys := map[string]string{"root key": string(raw)}

	var wrapped corev1.SecretList
	Expect(product.Client.List(ctx, &wrapped, client.InNamespace(v1alpha1.OperatorNamespace), client.HasLabels{keyring.MaterialLabel})).To(Succeed())
	for _, secret := range wrapped.Items {
		opened, err := root.Unwrap(ctx, secret.Data["wrapped"])
		Expect(err).NotTo(HaveOccurred())
		key := opened[len(opened)-keyring.KeySize:]
		keys[secret.Name] = string(key)
		for _, owner := range owners {
			seed, err := hkdf.Key(sha256.New, key, nil, "usersecrets.dev/us1/user-key\x00"+owner.Name, 32)
			Expect(err).NotTo(HaveOccurred())
			keys["seed of "+owner.Name+" from "+secret.Name] = string(seed)
		}
	}
	Expect(len(wrapped.Items)).To(BeNumerically(">=", 2), "an encryption key and the value identity key")
	return keys
}

var _ = Describe("The canary", Serial, func() {
	It("is found in live projections alone, and after their pods nowhere", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		t := &trail{canaries: map[string]string{}}
		storing := storeEveryWay(ctx, t, alice)
		refuseEveryKind(ctx, t, alice)
		refuseUnsealed(ctx, t, alice)
		refusePods(ctx, t, alice)
		Expect(t.leaks(ctx, alice)).To(BeEmpty(), "what is stored and refused lies nowhere")

		By("pods take what was stored: as files, as variables, switched off, changed meanwhile")
		want := findings{}
		pods := usePods(ctx, t, alice, storing, want)
		Expect(t.leaks(ctx, alice)).To(Equal(want), "each value in its projection, and nowhere else")

		By("the key is rotated, and all keys are backed up")
		t.answer(product.Kubectl(ctx, product.AdminKubeconfig, nil, "usersecret", "keys", "rotate", "--watch"))
		backUp(ctx, t)
		Expect(t.leaks(ctx, alice)).To(Equal(want), "no key shows, and no value that was sealed again")

		By("the pods end")
		for n, pod := range pods {
			issued := projectionOf(ctx, pod)
			if n%2 == 0 {
				finish(ctx, pod)
			} else {
				Expect(product.Client.Delete(ctx, pod)).To(Succeed())
			}
			vanishes(ctx, issued)
		}
		look(ctx, t, alice)
		Expect(t.leaks(ctx, alice)).To(BeEmpty(), "it is over, and nothing stays")
	})
})

// backUp writes a backup with the root key in it, and has its text looked at too.
func backUp(ctx context.Context, t *trail) {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
		return path
	}
	backup := filepath.Join(dir, "keys.age")
	Expect(t.answer(product.Kubectl(ctx, product.AdminKubeconfig, nil, "usersecret", "keys", "backup", backup,
		"--passphrase-file", file("passphrase", rand.Text()), "--root-key-file", file("root.key", product.RootKey()))).Err()).NotTo(HaveOccurred())
	written, err := os.ReadFile(backup)
	Expect(err).NotTo(HaveOccurred())
	t.answers.Write(written)
}

// usePods has pods take values in every way, and says where those lie then.
func usePods(ctx context.Context, t *trail, alice *rig.Person, storing map[string]string, want findings) []*corev1.Pod {
	files := start(ctx, asking(alice.Namespace, "files", "name:by-client=A, name:by-server=B, name:sealed=C"))
	variables := start(ctx, asking(alice.Namespace, "variables", "name:from-stdin=A, name:from-env=B, name:from-file=C, name:by-delegate=D",
		map[string]string{v1alpha1.InjectAsAnnotation: "env"}))
	emptied := start(ctx, asking(alice.Namespace, "emptied", "name:switched-off", map[string]string{v1alpha1.TTLAnnotation: "1h"}))
	changed := start(ctx, asking(alice.Namespace, "changed", "name:changed"))
	pods := []*corev1.Pod{files, variables, emptied, changed}
	for _, pod := range pods {
		projectionOf(ctx, pod)
	}
	t.done(ctx, alice, "", "patch", "usersecret", "switched-off", "--type=merge", "-p", `{"spec":{"active":false}}`)
	newest := t.canary("changed while a pod has it")
	t.done(ctx, alice, manifest(alice.Namespace, "changed", custom(newest), nil), "apply", "-f", "-")
	Eventually(projected(ctx, emptied)).Should(Equal(nothing))
	Eventually(projected(ctx, changed)).Should(Equal(values{"CUSTOM_SECRET": newest}))

	for name, label := range storing {
		switch name {
		case "switched-off":
		case "changed":
			want["changed while a pod has it"] = live(projectionOf(ctx, changed))
		case "by-client", "by-server", "sealed":
			want[label] = live(projectionOf(ctx, files))
		default:
			want[label] = live(projectionOf(ctx, variables))
		}
	}
	look(ctx, t, alice)
	return pods
}

// look has people look at everything, who may.
func look(ctx context.Context, t *trail, alice *rig.Person) {
	GinkgoHelper()
	t.done(ctx, alice, "", "get", "usersecrets", "-o", "yaml", "--show-managed-fields")
	t.done(ctx, alice, "", "get", "usersecrets,pods,events,sealingkeys", "-o", "wide")
	t.done(ctx, alice, "", "describe", "usersecrets,pods")
	t.done(ctx, alice, "", "usersecret", "list", "-o", "wide")
}

// custom is the spec of a value in plaintext.
func custom(value any) map[string]any {
	return map[string]any{"provider": "custom", "type": "custom", "value": value}
}

// with is a spec with something more, or something else, in it.
func with(spec map[string]any, more ...any) map[string]any {
	for n := 0; n+1 < len(more); n += 2 {
		spec[more[n].(string)] = more[n+1]
	}
	return spec
}

func inStdBase64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
