package rotation_test

import (
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/test/rig"
)

// applier is what a GitOps tool does with a manifest, whether or not anything
// changed in it.
type applier struct {
	apply []string
	// wantWhy is what the operator says about whose the sealed value is.
	wantWhy string
}

// rounds is how often a tool comes by after the rotation. A fight would show as a
// write for each.
const rounds = 8

var _ = Describe("A sealed value that somebody keeps in a manifest", Ordered, func() {
	var (
		product *rig.Rig
		alice   *rig.Person
	)
	BeforeAll(func(ctx SpecContext) {
		product = startRig()
		alice = onboard(ctx, product, "alice")
	})
	AfterAll(func() { stopRig(product) })

	DescribeTable("is left as it is, and offered anew", func(ctx SpecContext, name string, tool applier) {
		us := &v1alpha1.UserSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "alice", Name: name}}
		sealed, err := product.Seal(ctx, alice, name, "the value of "+name)
		Expect(err).NotTo(HaveOccurred())
		text := manifest(us, sealed)
		comeBy := func() {
			GinkgoHelper()
			Expect(product.Kubectl(ctx, product.AdminKubeconfig, strings.NewReader(text), append(tool.apply, "-f", "-")...).Err()).NotTo(HaveOccurred())
		}
		comeBy()
		observed(ctx, product, us)
		out := rotate(ctx, product)
		Expect(out).To(ContainSubstring("left: alice/" + name + ": The value opens, but it is sealed with key "))

		Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(us), us)).To(Succeed())
		Expect(sealedReason(us)).To(Equal(v1alpha1.ReasonStaleKey))
		Expect(reasonOf(us, v1alpha1.ConditionReady)).To(Equal(v1alpha1.ReasonReady), "pods get it all the same")
		Expect(conditionMessage(us)).To(ContainSubstring(tool.wantWhy))
		Expect(us.Spec.EncryptedValue).To(Equal(sealed))
		Expect(valueOf(ctx, opener(ctx, product), us, us.Status.ResealedValue)).To(Equal("the value of " + name))
		active := envelope.KeyIDOf(us.Status.ResealedValue)
		Expect(string(active)).To(Equal(string(publicKey(ctx, product, "alice").KeyID())))

		before := us.DeepCopy()
		for range rounds {
			comeBy()
			time.Sleep(100 * time.Millisecond) // the tool's own pause; nothing is waited for
		}
		Consistently(func(g Gomega) {
			g.Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(us), us)).To(Succeed())
			g.Expect(us.Generation).To(Equal(before.Generation), "nobody writes the spec")
			g.Expect(us.Status.ResealedValue).To(Equal(before.Status.ResealedValue), "the offer stands")
		}).Should(Succeed())

		path := file(name+".yaml", text)
		Expect(alice.Kubectl(ctx, "", "usersecret", "reseal", "-f", path).Stdout).To(Equal("usersecret.usersecrets.dev/" + name + " resealed\n"))
		written, err := os.ReadFile(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(written)).To(Equal(manifest(us, us.Status.ResealedValue)), "comments and all")
		text = string(written)
		comeBy()
		Eventually(func(g Gomega) {
			g.Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(us), us)).To(Succeed())
			g.Expect(sealedReason(us)).To(Equal(v1alpha1.ReasonOpens))
			g.Expect(us.Status.ResealedValue).To(BeEmpty())
			g.Expect(us.Status.ValueID).To(Equal(before.Status.ValueID))
		}).Should(Succeed())
		Expect(alice.Kubectl(ctx, "", "usersecret", "reseal", "-f", path).Stdout).To(Equal("usersecret.usersecrets.dev/" + name + " unchanged\n"))
		Expect(product.Client.Delete(ctx, us)).To(Succeed())
	},
		Entry("by Flux, which applies by server and forces", "flux", applier{
			apply:   []string{"apply", "--server-side", "--force-conflicts", "--field-manager=kustomize-controller"},
			wantWhy: `field manager "kustomize-controller" applies it from a manifest`,
		}),
		Entry("by Argo CD, which applies by client and heals", "argo", applier{
			apply:   []string{"apply", "--field-manager=argocd-controller"},
			wantWhy: "kubectl apply keeps it from a manifest",
		}),
		Entry("by a person with kubectl apply", "person", applier{
			apply:   []string{"apply"},
			wantWhy: "kubectl apply keeps it from a manifest",
		}),
	)

	DescribeTable("and that comes back after it was sealed again is left from then on", func(ctx SpecContext, name, verb, wantWhy string) {
		us := store(ctx, product, alice, name, "the value of "+name)
		old := manifest(us, us.Spec.EncryptedValue)
		rotate(ctx, product)
		us = observed(ctx, product, us)
		Expect(us.Generation).To(BeEquivalentTo(2), "nobody kept it, so it was sealed again in place")

		result := product.Kubectl(ctx, product.AdminKubeconfig, strings.NewReader(old), verb, "-f", "-")
		Expect(result.Err()).NotTo(HaveOccurred())
		Eventually(func(g Gomega) {
			g.Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(us), us)).To(Succeed())
			g.Expect(sealedReason(us)).To(Equal(v1alpha1.ReasonStaleKey))
		}).Should(Succeed())
		Expect(conditionMessage(us)).To(ContainSubstring(wantWhy))
		Expect(us.Generation).To(BeEquivalentTo(3))
		Expect(valueOf(ctx, opener(ctx, product), us, us.Status.ResealedValue)).To(Equal("the value of " + name))

		By("also after another rotation, whose key the offer then has")
		rotate(ctx, product)
		Eventually(func(g Gomega) {
			g.Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(us), us)).To(Succeed())
			g.Expect(string(envelope.KeyIDOf(us.Status.ResealedValue))).To(Equal(string(publicKey(ctx, product, "alice").KeyID())))
		}).Should(Succeed())
		Expect(us.Generation).To(BeEquivalentTo(3))

		By("until its owner stores another value")
		sealed, err := product.Seal(ctx, alice, name, "another value of "+name)
		Expect(err).NotTo(HaveOccurred())
		us.Spec.EncryptedValue = sealed
		delete(us.Annotations, "kubectl.kubernetes.io/last-applied-configuration")
		Expect(alice.Client.Update(ctx, us, client.FieldOwner("kubectl-usersecret"))).To(Succeed())
		rotate(ctx, product)
		Eventually(func(g Gomega) {
			g.Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(us), us)).To(Succeed())
			g.Expect(string(envelope.KeyIDOf(us.Spec.EncryptedValue))).To(Equal(string(publicKey(ctx, product, "alice").KeyID())))
			g.Expect(us.Status.ResealedValue).To(BeEmpty())
		}).Should(Succeed())
		Expect(valueOf(ctx, opener(ctx, product), us, us.Spec.EncryptedValue)).To(Equal("another value of " + name))
		Expect(product.Client.Delete(ctx, us)).To(Succeed())
	},
		Entry("by kubectl replace, which leaves no trace", "replaced", "replace", "it was sealed with the newer key"),
		Entry("by kubectl apply of an old manifest", "reverted", "apply", "kubectl apply keeps it from a manifest"),
	)
})

func conditionMessage(us *v1alpha1.UserSecret) string {
	for _, c := range us.Status.Conditions {
		if c.Type == v1alpha1.ConditionSealed {
			return c.Message
		}
	}
	return ""
}
