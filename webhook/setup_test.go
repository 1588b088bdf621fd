package webhook

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hooks is a Registry that keeps what it is given.
type hooks map[string]http.Handler

func (h hooks) Register(path string, hook http.Handler) { h[path] = hook }

// Each path answers as its own handler does, over HTTP, as the API server asks.
func TestRegister(t *testing.T) {
	c := makeCluster(t)
	h := hooks{}
	Register(h, Options{
		Reader: c.client, Client: c.client, Keys: c.keys, Owners: c.vault.owners, Audit: c, Clock: c.vault.clock,
		Operator: operator, Limits: limits,
	})
	sealed := makeSecret("openai").sealed(c.seal("openai", canary))
	c.create(sealed)
	asked := map[string]admissionv1.AdmissionRequest{
		"/seal-usersecret":      makeRequest(t, "bob", makeSecret("openai").plain(canary), nil).AdmissionRequest,
		"/validate-usersecret":  makeRequest(t, operator, sealed.active(false), sealed).AdmissionRequest,
		"/delete-usersecret":    deletion(t, "bob").AdmissionRequest,
		"/inject-pod":           podRequest(t, "bob", makePod("openai", "ttl", "61m")).AdmissionRequest,
		"/delete-encryptionkey": keyDeletion(t, c, "v1", false).AdmissionRequest,

		"/validate-secretprovider": providerRequest(t, makeProvider("weather", "api_key").pattern("("), nil).AdmissionRequest,
		"/delete-secretprovider":   providerRequest(t, nil, makeProvider("openai", "api_key")).AdmissionRequest,
	}
	got := map[string]string{}
	for path, hook := range h {
		got[path] = ask(t, hook, asked[path])
	}
	want := map[string]string{
		"/seal-usersecret":      errPlaintext.Error(),
		"/validate-usersecret":  operatorMessage,
		"/delete-usersecret":    strangerMessage,
		"/inject-pod":           "malformed annotation usersecrets.dev/ttl: 1h1m0s is over this cluster's limit: give at most 1h0m0s",
		"/delete-encryptionkey": `EncryptionKey "v1" is active: new values are sealed with it. Make a newer one first, with 'kubectl usersecret keys rotate'`,

		"/validate-secretprovider": "SecretProvider.usersecrets.dev \"weather\" is invalid: spec.types[0].pattern: Invalid value: \"(\": error parsing regexp: missing closing ): `(`",
		"/delete-secretprovider":   `SecretProvider "openai" is in use by 1 UserSecret (alice-flows/openai): delete those first`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if len(c.records) != 4 {
		t.Errorf("%d records, want 4", len(c.records))
	}
}

// ask puts a request to a webhook and returns the message of its answer.
func ask(t *testing.T, hook http.Handler, req admissionv1.AdmissionRequest) string {
	t.Helper()
	review := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: &req,
	}
	call := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewReader(encode(t, review)))
	call.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	hook.ServeHTTP(recorder, call)
	checkNoCanary(t, "the answer", recorder.Body.Bytes())
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil || answer.Response == nil || answer.Response.UID != "request-1" {
		t.Fatalf("answer %s, error %v", recorder.Body, err)
	}
	return answer.Response.Result.Message
}
