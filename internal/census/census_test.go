package census

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
)

const key envelope.KeyID = "v1-3f9a2c1b"

func makeScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return scheme
}

// pages is an API server that has UserSecrets on several pages.
type pages struct {
	t     *testing.T
	pages []string
	asked []string
}

// ServeHTTP implements http.Handler.
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.asked = append(p.asked, r.URL.RequestURI())
	if len(p.asked) > len(p.pages) {
		p.t.Errorf("asked for more than there is: %s", r.URL.RequestURI())
		w.WriteHeader(http.StatusGone)
		return
	}
	next := ""
	if n := len(p.asked); n < len(p.pages) {
		next = fmt.Sprintf(`,"continue":"after-%d"`, n)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"apiVersion":"usersecrets.dev/v1alpha1","kind":"UserSecretList","metadata":{"resourceVersion":"7"%s},"items":[%s]}`, next, p.pages[len(p.asked)-1])
}

func (p *pages) client() client.Client {
	p.t.Helper()
	server := httptest.NewServer(p)
	p.t.Cleanup(server.Close)
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{v1alpha1.GroupVersion})
	mapper.Add(v1alpha1.GroupVersion.WithKind("UserSecret"), meta.RESTScopeNamespace)
	c, err := client.New(&rest.Config{Host: server.URL}, client.Options{Scheme: makeScheme(p.t), Mapper: mapper})
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// item is a UserSecret in JSON; without text it has no sealed value.
func item(name, text string) string {
	spec := `{"provider":"openai"}`
	if text != "" {
		spec = `{"encryptedValue":"` + text + `"}`
	}
	return `{"metadata":{"namespace":"alice","name":"` + name + `"},"spec":` + spec + `}`
}

// Every page is read, and what it leaves out is not what the page before said.
func TestOfReadsEveryPage(t *testing.T) {
	p := &pages{t: t, pages: []string{
		item("one", "us1.v1-3f9a2c1b.AAAA") + "," + item("two", "us1.v2-00000000.AAAA") + "," + item("three", "us1.v1-3f9a2c1b.AAAA"),
		item("four", "") + "," + item("five", "us1.v1-3f9a2c1b.AAAA") + "," + item("six", ""),
		item("seven", "us1.v1-3f9a2c1bb.AAAA") + "," + item("eight", "us1.v1-3f9a2c1b.AAAA") + "," + item("nine", "v1-3f9a2c1b"),
	}}
	got, err := Of(context.Background(), p.client(), key)
	want := Sealed{Count: 4, Names: []string{"alice/one", "alice/three", "alice/five"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, sealed (-want +got):\n%s", err, diff)
	}
	const path = "/apis/usersecrets.dev/v1alpha1/usersecrets?"
	if diff := cmp.Diff([]string{path + "limit=200", path + "continue=after-1&limit=200", path + "continue=after-2&limit=200"}, p.asked); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestOfNothing(t *testing.T) {
	got, err := Of(context.Background(), fake.NewClientBuilder().WithScheme(makeScheme(t)).Build(), key)
	if diff := cmp.Diff(Sealed{}, got); diff != "" || err != nil {
		t.Errorf("error %v, sealed (-want +got):\n%s", err, diff)
	}
}

// A count of a part is no count.
func TestOfFailure(t *testing.T) {
	down, lists := errors.New("the API server is down"), 0
	c := interceptor.NewClient(fake.NewClientBuilder().WithScheme(makeScheme(t)).Build(), interceptor.Funcs{
		List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, _ ...client.ListOption) error {
			if lists++; lists == 2 {
				return down
			}
			page, ok := list.(*v1alpha1.UserSecretList)
			if !ok {
				t.Fatalf("listed %T", list)
			}
			page.Continue = "more"
			page.Items = []v1alpha1.UserSecret{{Spec: v1alpha1.UserSecretSpec{EncryptedValue: "us1.v1-3f9a2c1b.AAAA"}}}
			return nil
		},
	})
	got, err := Of(context.Background(), c, key)
	if !errors.Is(err, down) || err.Error() != "looking for UserSecrets sealed with key v1-3f9a2c1b: the API server is down" || got.Count != 0 {
		t.Errorf("counted %d, error %v", got.Count, err)
	}
}

func TestString(t *testing.T) {
	tests := map[string]Sealed{
		"1 UserSecret (alice/openai)":                              {Count: 1, Names: []string{"alice/openai"}},
		"2 UserSecrets (alice/openai, bob/slack)":                  {Count: 2, Names: []string{"alice/openai", "bob/slack"}},
		"4 UserSecrets (alice/openai, alice/slack, bob/openai, …)": {Count: 4, Names: []string{"alice/openai", "alice/slack", "bob/openai"}},
	}
	for want, sealed := range tests {
		if got := sealed.String(); got != want {
			t.Errorf("String = %q, want %q", got, want)
		}
	}
}
