package rotation_test

import (
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// The drill of docs/operations/keys.md.
var _ = Describe("A cluster that is lost with its etcd", func() {
	It("is made again from a backup of keys and a dump of UserSecrets", func(ctx SpecContext) {
		dir := GinkgoT().TempDir()
		backup, rootOut := filepath.Join(dir, "keys.age"), filepath.Join(dir, "root.key")
		passphrase := file("passphrase", "five words drawn by chance\n")

		By("storing values, of two keys' times, one of them in a manifest")
		lost := startRig()
		alice := onboard(ctx, lost, "alice")
		kept := &v1alpha1.UserSecret{}
		kept.Namespace, kept.Name = "alice", "in-git"
		sealed, err := lost.Seal(ctx, alice, kept.Name, "the value in git")
		Expect(err).NotTo(HaveOccurred())
		Expect(alice.Kubectl(ctx, manifest(kept, sealed), "apply", "--server-side", "-f", "-").Err()).NotTo(HaveOccurred())
		store(ctx, lost, alice, "stored", "the value stored")
		rotate(ctx, lost)
		newest := encryptionKey(ctx, lost, "v2").Status.KeyID

		By("backing up")
		rootFile := file("root", lost.RootKey()+"\n")
		out := mustAdmin(ctx, lost, "keys", "backup", backup, "--passphrase-file", passphrase, "--root-key-file", rootFile)
		Expect(lines(out)).To(Equal([]string{backup + " holds 3 Secrets with key material", "the root key is in it, and opens all of them"}))
		dump := lost.Kubectl(ctx, lost.AdminKubeconfig, nil, "get", "usersecrets", "-A", "-o", "yaml")
		Expect(dump.Err()).NotTo(HaveOccurred())
		written, err := os.ReadFile(backup)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(written)).NotTo(ContainSubstring(lost.RootKey()))

		By("losing all of it")
		Expect(lost.Stop()).To(Succeed())

		By("restoring into a cluster whose operator has made a key of its own already")
		product := startRig()
		DeferCleanup(func() { stopRig(product) })
		own := encryptionKey(ctx, product, "v1").Status.KeyID
		onboard(ctx, product, "alice")
		out = mustAdmin(ctx, product, "keys", "restore", backup, "--passphrase-file", passphrase, "--root-key-out", rootOut)
		Expect(out).To(ContainSubstring("secret/encryption-key-v2 restored\n"))
		Expect(out).To(MatchRegexp(`secret/encryption-key-v1-[0-9a-f]{8} restored\n`))
		Expect(out).To(ContainSubstring("secret/value-identity-key left as it is"))
		Expect(out).To(ContainSubstring("the operator must be given root key local-"))
		root, err := os.ReadFile(rootOut)
		Expect(err).NotTo(HaveOccurred())
		Expect(strings.TrimSpace(string(root))).To(Equal(lost.RootKey()))
		Expect(product.StopOperator()).To(Succeed())
		product.SetRootKey(product.RootKey() + "\n" + string(root))
		Expect(product.StartOperator(ctx)).To(Succeed())
		restored := product.Kubectl(ctx, product.AdminKubeconfig, strings.NewReader(dump.Stdout), "create", "-f", "-")
		Expect(restored.Err()).NotTo(HaveOccurred())

		By("opening every value, with the keys in their old order")
		list := &v1alpha1.UserSecretList{}
		Eventually(func(g Gomega) {
			g.Expect(product.Client.List(ctx, list)).To(Succeed())
			g.Expect(list.Items).To(HaveLen(2))
			for i := range list.Items {
				g.Expect(reasonOf(&list.Items[i], v1alpha1.ConditionReady)).To(Equal(v1alpha1.ReasonReady))
				g.Expect(list.Items[i].Status.KeyID).To(Equal(newest), "sealed again with the newest")
			}
		}).Should(Succeed())
		Expect(own).NotTo(Equal(newest))
		Eventually(func() map[string]v1alpha1.KeyPhase { return phases(ctx, product) }).Should(HaveKeyWithValue("v2", v1alpha1.KeyActive))
		Expect(served(ctx, product, "alice", "step", "name:in-git=A, name:stored=B").Data).To(Equal(map[string][]byte{"A": []byte("the value in git"), "B": []byte("the value stored")}))

		By("restoring twice changes nothing")
		again := mustAdmin(ctx, product, "keys", "restore", backup, "--passphrase-file", passphrase)
		Expect(again).To(ContainSubstring("secret/encryption-key-v2 unchanged: the key is there\n"))
		Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(&list.Items[0]), &list.Items[0])).To(Succeed())
	})
})
