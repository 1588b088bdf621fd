package main

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/lab"
)

// forecast is a service of the platform's own, which knows one good key.
type forecast struct {
	server *httptest.Server
	key    string
}

func newForecast() *forecast {
	f := &forecast{key: "fc-" + rand.Text()}
	f.server = httptest.NewUnstartedServer(f)
	f.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.server.StartTLS()
	return f
}

// ServeHTTP implements http.Handler.
func (f *forecast) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+f.key {
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// environment has the operator trust the service, and leave everybody else in
// peace: for the world outside it gets a proxy that nobody serves.
func (f *forecast) environment(dir string) ([]string, error) {
	path := filepath.Join(dir, "forecast.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.server.Certificate().Raw})
	if err := os.WriteFile(path, certificate, 0o600); err != nil {
		return nil, fmt.Errorf("writing the service's certificate: %w", err)
	}
	return []string{"SSL_CERT_FILE=" + path, "HTTPS_PROXY=http://127.0.0.1:1"}, nil
}

func (f *forecast) manifest() string {
	return `apiVersion: usersecrets.dev/v1alpha1
kind: SecretProvider
metadata:
  name: forecast
spec:
  displayName: Forecast
  category: Integration
  docsURL: https://forecast.example/keys
  types:
  - type: api_key
    key: FORECAST_API_KEY
    test:
      http:
        url: ` + f.server.URL + `/whoami
        headers:
        - name: Authorization
          value: Bearer {{value}}
`
}

// testAgainstProvider adds a provider to the catalogue, and has a wrong and a good key of
// it tested.
func (d *demo) testAgainstProvider(ctx context.Context) error {
	d.out.note("an administrator adds a service to the catalogue: data, no code")
	d.out.output(d.forecast.manifest())
	d.out.command("admin", "kubectl apply -f -")
	if err := d.rig.Kubectl(ctx, d.rig.AdminKubeconfig, strings.NewReader(d.forecast.manifest()), "apply", "-f", "-").Err(); err != nil {
		return err
	}
	d.out.note("alice mistypes her key, and asks whether it is good")
	if _, err := d.as(ctx, d.alice, "fc-mistyped", "usersecret", "create", "forecast", "--provider", "forecast", "--from-file", "-"); err != nil {
		return err
	}
	result, err := d.as(ctx, d.alice, "", "usersecret", "test", "forecast")
	if err == nil || !strings.Contains(result.Stdout, "did not accept the value (401)") {
		return fmt.Errorf("a wrong key was not found out")
	}
	d.out.note("she replaces it, and the new value is tested by itself")
	manifest := fmt.Sprintf(`apiVersion: usersecrets.dev/v1alpha1
kind: UserSecret
metadata:
  name: forecast
  namespace: alice
spec:
  provider: forecast
  type: api_key
  value: %s
`, d.forecast.key)
	if _, err := d.as(ctx, d.alice, manifest, "apply", "-f", "-"); err != nil {
		return err
	}
	if err := d.awaitAccepted(ctx, "forecast"); err != nil {
		return err
	}
	_, err = d.as(ctx, d.alice, "", "usersecret", "list")
	return err
}

func (d *demo) awaitAccepted(ctx context.Context, name string) error {
	return lab.Await(ctx, "UserSecret "+name+" to be accepted", func(ctx context.Context) (bool, error) {
		us := &v1alpha1.UserSecret{}
		err := d.rig.Client.Get(ctx, types.NamespacedName{Namespace: "alice", Name: name}, us)
		return meta.IsStatusConditionTrue(us.Status.Conditions, v1alpha1.ConditionVerified), client.IgnoreNotFound(err)
	})
}
