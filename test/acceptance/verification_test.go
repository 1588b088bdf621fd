package acceptance_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// The operator of this suite was started with --verification=false; test/verification
// has one that tests.
var _ = Describe("An operator that is to run no connection tests", func() {
	It("calls no provider, and says nothing of whether a value is accepted", func(ctx SpecContext) {
		var called atomic.Int64
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		// A connection counts, whether or not the server is trusted then.
		server.Config.ConnState = func(net.Conn, http.ConnState) { called.Add(1) }
		server.StartTLS()
		DeferCleanup(server.Close)
		provider := &v1alpha1.SecretProvider{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "tested-"},
			Spec: v1alpha1.SecretProviderSpec{DisplayName: "Tested", Category: "Custom", Types: []v1alpha1.ProviderType{{
				Type: v1alpha1.TypeAPIKey, Key: "KEY", Test: &v1alpha1.ProviderTest{HTTP: &v1alpha1.HTTPTest{
					URL: server.URL, Headers: []v1alpha1.HTTPHeader{{Name: "Authorization", Value: v1alpha1.ValuePlaceholder}},
				}},
			}}},
		}
		Expect(product.Client.Create(ctx, provider)).To(Succeed())
		alice := newUser(ctx, "alice")
		us := store(ctx, alice, userSecret(ctx, alice, "key", provider.Name, v1alpha1.TypeAPIKey, "a value"))
		Expect(alice.Kubectl(ctx, "", "annotate", "usersecret", "key", v1alpha1.VerifyRequestedAtAnnotation+"="+time.Now().UTC().Format(time.RFC3339)).Err()).NotTo(HaveOccurred())
		Consistently(func(g Gomega) {
			g.Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(us), us)).To(Succeed())
			g.Expect(us.Status.Verification).To(BeNil())
			for _, c := range us.Status.Conditions {
				g.Expect(c.Type).NotTo(Equal(v1alpha1.ConditionVerified))
			}
			g.Expect(called.Load()).To(BeZero())
		}).Should(Succeed())
	})
})
