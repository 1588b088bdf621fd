package verification_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

const (
	// good is what every server accepts that answers.
	good = "sk-good-5f0c1e8a9b7d3246"
	// canary is what they do not accept. It must be in nothing that is kept.
	canary = "sk-Canary-1d7e5b3c9a8f2460"
)

// provider is a server as providers have them: it says whether a key is good, and
// repeats a bad one in its answer.
type provider struct {
	server *httptest.Server
	asked  atomic.Int64
	// ill has it answer 503, and stuck has it answer nothing.
	ill, stuck atomic.Bool
}

// serve starts a provider for the rest of the container.
func serve() *provider {
	p := &provider{}
	p.server = httptest.NewTLSServer(p)
	DeferCleanup(func() {
		p.server.CloseClientConnections()
		p.server.Close()
	})
	return p
}

// ServeHTTP implements http.Handler.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.asked.Add(1)
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case p.stuck.Load():
		<-r.Context().Done()
	case p.ill.Load():
		http.Error(w, "not today, "+key, http.StatusServiceUnavailable)
	case key == good:
		_, _ = fmt.Fprint(w, `{"ok":true}`)
	default:
		http.Error(w, fmt.Sprintf(`{"error":"bad key %s"}`, key), http.StatusUnauthorized)
	}
}

// test is what the catalogue has of it.
func (p *provider) test() *v1alpha1.ProviderTest {
	return &v1alpha1.ProviderTest{HTTP: &v1alpha1.HTTPTest{
		URL: p.server.URL + "/v1/models", Headers: []v1alpha1.HTTPHeader{{Name: "Authorization", Value: "Bearer " + v1alpha1.ValuePlaceholder}},
	}}
}

// certificate is the one that all servers of httptest have, and that is its own
// authority.
func certificate() []byte {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

func patch(ctx context.Context, owner *rig.Person, us *v1alpha1.UserSecret, change map[string]any) {
	GinkgoHelper()
	text, err := json.Marshal(change)
	Expect(err).NotTo(HaveOccurred())
	Expect(owner.Client.Patch(ctx, us.DeepCopy(), client.RawPatch(types.MergePatchType, text), client.FieldOwner("kubectl-usersecret"))).To(Succeed())
}
