package kms_test

import (
	"context"
	"io"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/test/rig"
)

var _ = Describe("The operator with a root key in Vault", Ordered, func() {
	var (
		product *rig.Rig
		alice   *rig.Person
		url     string
	)
	BeforeAll(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTime)
		defer cancel()
		url = vault.root(ctx, uniqueName())
		var err error
		product, err = rig.Start(ctx, rig.Options{
			OperatorArgs: []string{"--root-key=" + url},
			OperatorEnv:  []string{"VAULT_ADDR=http://" + vault.address, "VAULT_TOKEN=" + operatorToken},
			Say:          func(format string, args ...any) { GinkgoWriter.Printf(format+"\n", args...) },
		})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx context.Context) {
			vault.start(ctx)
			if CurrentSpecReport().Failed() && product.Operator != nil {
				GinkgoWriter.Println(product.Operator.Log())
			}
			Expect(product.Stop()).To(Succeed())
		})
		alice, err = product.Onboard(ctx, "alice", "alice-flows")
		Expect(err).NotTo(HaveOccurred())
	})

	// ready stores a secret and returns when the operator has opened it.
	ready := func(ctx context.Context, name string) {
		GinkgoHelper()
		us, err := product.Sealed(ctx, alice, name, "custom", v1alpha1.TypeCustom, "value of "+name)
		Expect(err).NotTo(HaveOccurred())
		Expect(product.Client.Create(ctx, us)).To(Succeed())
		Eventually(func(g Gomega) {
			g.Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(us), us)).To(Succeed())
			g.Expect(meta.IsStatusConditionTrue(us.Status.Conditions, v1alpha1.ConditionReady)).To(BeTrue())
		}).Should(Succeed())
	}

	It("goes on while Vault is away", func(ctx context.Context) {
		vault.stop()
		ready(ctx, "meanwhile")
	})

	It("waits for Vault at its start, alive and not ready, and says so", func(ctx context.Context) {
		Expect(product.StopOperator()).To(Succeed())
		Expect(product.LaunchOperator(ctx)).To(Succeed())
		replica := product.Replica(0)
		Eventually(replica.Process.Log).Should(And(
			ContainSubstring("waiting for the root key"), ContainSubstring("connection refused")))
		Expect(get(ctx, replica.LiveURL())).To(Equal(answer{http.StatusOK, "ok"}))
		Expect(get(ctx, replica.ReadyURL())).To(Equal(answer{http.StatusServiceUnavailable, "waiting for the root key\n"}))
	})

	It("becomes ready when Vault is back", func(ctx context.Context) {
		vault.start(ctx)
		Eventually(func(g Gomega) {
			g.Expect(get(ctx, product.Replica(0).ReadyURL()).code).To(Equal(http.StatusOK))
		}).Should(Succeed())
		Expect(product.Operator.Running()).To(BeTrue(), "it was never started again")
		ready(ctx, "afterwards")

		var keys v1alpha1.EncryptionKeyList
		Expect(product.Client.List(ctx, &keys)).To(Succeed())
		Expect(keys.Items).To(HaveLen(1))
		Expect(keys.Items[0].Name).To(Equal(keyring.FirstKeyName))
		Expect(keys.Items[0].Status.RootKeyID).To(Equal(url))
	})
})

type answer struct {
	code int
	body string
}

// get is what a probe gets; no answer is a code of 0.
func get(ctx context.Context, url string) answer {
	GinkgoHelper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	Expect(err).NotTo(HaveOccurred())
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	Expect(err).NotTo(HaveOccurred())
	return answer{response.StatusCode, string(body)}
}
