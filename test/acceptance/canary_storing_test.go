package acceptance_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"usersecrets.dev/operator/test/rig"
)

// storeEveryWay stores canaries in every way that there is, most of them over an
// earlier one, and returns the label of each UserSecret's newest by its name.
func storeEveryWay(ctx context.Context, t *trail, alice *rig.Person) map[string]string {
	newest := map[string]string{}
	apply := func(name, label string, args ...string) {
		GinkgoHelper()
		newest[name] = label
		stdin := manifest(alice.Namespace, name, custom(t.canary(label)), nil)
		for range 2 { // the second time nothing changes
			t.done(ctx, alice, stdin, append([]string{"apply", "-f", "-"}, args...)...)
		}
		Expect(t.kubectl(ctx, alice, stdin, append([]string{"diff", "-f", "-"}, args...)...).ExitCode).To(BeZero(), "no difference")
	}
	By("kubectl apply, by the client and by the server")
	apply("by-client", "applied by the client")
	apply("by-client", "applied by the client again")
	apply("by-server", "applied by the server", "--server-side")
	apply("by-server", "applied by the server again", "--server-side")
	apply("by-server", "applied by the client after the server", "--server-side=false")
	apply("switched-off", "switched off later")
	apply("changed", "changed later")

	By("kubectl diff and dry runs, which store nothing")
	for label, args := range map[string][]string{
		"compared": {"diff", "-f", "-"}, "compared on the server": {"diff", "--server-side", "-f", "-"},
		"tried": {"apply", "--dry-run=server", "-o", "yaml", "-f", "-"}, "tried on the server": {"apply", "--server-side", "--dry-run=server", "-o", "json", "-f", "-"},
	} {
		t.kubectl(ctx, alice, manifest(alice.Namespace, "by-client", custom(t.canary(label)), nil), append(args, "--force-conflicts="+onServer(args))...)
	}

	By("kubectl create, replace and patch")
	t.done(ctx, alice, manifest(alice.Namespace, "sealed", custom(t.canary("created")), nil), "create", "-f", "-")
	t.done(ctx, alice, manifest(alice.Namespace, "sealed", custom(t.canary("replaced")), nil), "replace", "-f", "-")
	t.done(ctx, alice, "", "patch", "usersecret", "sealed", "--type=merge", "-p", patchOf(t.canary("patched")))
	pointed, err := json.Marshal([]any{map[string]any{"op": "add", "path": "/spec/value", "value": t.canary("patched at a path")}})
	Expect(err).NotTo(HaveOccurred())
	t.done(ctx, alice, "", "patch", "usersecret", "sealed", "--type=json", "-p", string(pointed))

	By("sealed values, also over one that was plaintext")
	newest["sealed"] = "sealed"
	sealed := with(custom(nil), "encryptedValue", sealFor(ctx, alice, "sealed", t.canary("sealed")))
	delete(sealed, "value")
	t.done(ctx, alice, manifest(alice.Namespace, "sealed", sealed, nil), "apply", "--server-side", "--force-conflicts", "-f", "-")

	By("a misspelt field beside it, which the API server drops and kubectl's annotation would keep")
	misspelt := with(custom(t.canary("beside a misspelt field")), "vaule", t.canary("in a misspelt field"))
	t.done(ctx, alice, manifest(alice.Namespace, "misspelt", misspelt, nil), "apply", "--validate=false", "-f", "-")

	storeByPlugin(ctx, t, alice, newest)
	return newest
}

// onServer says whether arguments of kubectl ask for server-side apply.
func onServer(args []string) string {
	if strings.Contains(strings.Join(args, " "), "--server-side") {
		return "true"
	}
	return "false"
}

func patchOf(value any) string {
	GinkgoHelper()
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"value": value}})
	Expect(err).NotTo(HaveOccurred())
	return string(patch)
}

// storeByPlugin seals on the user's machine: from standard input, a variable and
// a file, with the cluster's key and with a saved one.
func storeByPlugin(ctx context.Context, t *trail, alice *rig.Person, newest map[string]string) {
	By("the plugin, from standard input, a variable and a file")
	folder := GinkgoT().TempDir()
	file, saved := filepath.Join(folder, "value"), filepath.Join(folder, "sealing-key.yaml")
	newest["from-stdin"], newest["from-env"], newest["from-file"] = "typed", "exported", "in a file"
	t.done(ctx, alice, t.canary("typed")+"\n", "usersecret", "create", "from-stdin", "--provider=custom", "--from-file=-")
	Expect(t.plugin(ctx, alice, "EXPORTED="+t.canary("exported"), "create", "from-env", "--provider=custom", "--from-env=EXPORTED").Err()).NotTo(HaveOccurred())
	Expect(os.WriteFile(file, []byte(t.keep("in a file", "é"+odd+rand.Text()+rand.Text())), 0o600)).To(Succeed())
	t.done(ctx, alice, "", "usersecret", "create", "from-file", "--provider=custom", "--from-file", file)

	By("the plugin offline, for somebody else to apply")
	Expect(os.WriteFile(saved, []byte(t.done(ctx, alice, "", "get", "sealingkey", "sealing-key", "-o", "yaml")), 0o600)).To(Succeed())
	newest["by-delegate"] = "sealed offline"
	sealed := t.done(ctx, alice, t.canary("sealed offline"), "usersecret", "seal", "by-delegate", "--sealing-key", saved,
		"--provider=custom", "--type=custom", "--from-file=-", "-o", "yaml")
	t.done(ctx, delegateOf(ctx, alice), sealed, "apply", "-f", "-")

	By("the plugin, where it refuses")
	t.refused(ctx, alice, "exists already", t.canary("typed for a name that is taken"), "usersecret", "create", "from-stdin", "--provider=custom", "--from-file=-")
	t.refused(ctx, alice, "command line", "", "usersecret", "create", "another", "--provider=custom", t.canary("on the command line"))
	t.refused(ctx, alice, "command line", "", "usersecret", "create", "another", "--provider=custom", "--value", t.canary("in a flag"))
	t.refused(ctx, alice, "not set", "", "usersecret", "create", "another", "--provider=custom", "--from-env", t.canary("in place of a variable"))
	t.refused(ctx, alice, "no such file", "", "usersecret", "create", "another", "--provider=custom", "--from-file", t.canary("in place of a file"))
	t.refused(ctx, alice, "no valid name", "some value", "usersecret", "seal", t.canary("in place of a name"), "--from-file=-")
	t.refused(ctx, alice, "64 KiB", t.canary("typed too long")+strings.Repeat("x", 64<<10), "usersecret", "create", "another", "--provider=custom", "--from-file=-")
	t.refused(ctx, alice, `unknown provider`, t.canary("typed for nobody's"), "usersecret", "create", "another", "--provider=nobodys", "--from-file=-")
}
