package webhook

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/audit"
	"usersecrets.dev/operator/internal/catalogue"
)

// A provider may be younger than the cache's last event.
func TestProviderIsLookedForLive(t *testing.T) {
	c := makeCluster(t)
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c.vault.reader = fake.NewClientBuilder().WithScheme(scheme).Build()
	if p, err := c.vault.provider(context.Background(), "openai"); err != nil || p.Name != "openai" {
		t.Errorf("provider %v, error %v", p, err)
	}
	if p, err := c.vault.provider(context.Background(), "opneai"); !errors.Is(err, catalogue.ErrUnknownProvider) || p != nil {
		t.Errorf("provider %v, error %v; want ErrUnknownProvider", p, err)
	}
}

// What the cache knows is not asked for again.
func TestProviderIsReadFromTheCache(t *testing.T) {
	c := makeCluster(t)
	c.vault.live = nil
	if p, err := c.vault.provider(context.Background(), "openai"); err != nil || p.Name != "openai" {
		t.Errorf("provider %v, error %v", p, err)
	}
}

func TestUserSecretsAreOfOneNamespace(t *testing.T) {
	elsewhere := makeSecret("c").with(func(us *v1alpha1.UserSecret) { us.Namespace = "bob-flows" })
	c := makeCluster(t, makeSecret("a").UserSecret, makeSecret("b").UserSecret, elsewhere.UserSecret)
	secrets, err := c.vault.userSecrets(context.Background(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, us := range secrets {
		names = append(names, us.Namespace+"/"+us.Name)
	}
	if diff := cmp.Diff([]string{"alice-flows/a", "alice-flows/b"}, names); diff != "" {
		t.Errorf("UserSecrets (-want +got):\n%s", diff)
	}
}

func TestAccessType(t *testing.T) {
	for operation, want := range map[admissionv1.Operation]audit.Type{
		admissionv1.Create: audit.Create, admissionv1.Update: audit.Update, admissionv1.Delete: audit.Delete,
	} {
		req := makeRequest(t, "alice", makeSecret("openai"), nil)
		req.Operation = operation
		if got := accessType(req); got != want {
			t.Errorf("%s is recorded as %s, want %s", operation, got, want)
		}
		req.Kind.Kind = "Pod"
		if got := accessType(req); got != audit.Use {
			t.Errorf("%s of a pod is recorded as %s, want use", operation, got)
		}
	}
}
