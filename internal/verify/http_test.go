package verify

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/secretvalue"
)

// canary is a value that no result may repeat, in any encoding.
const canary = "canary/of:the?tests%20=+&"

// goodKey is what the tests' servers accept.
const goodKey = "good-key-0123456789"

// provider is a local HTTPS server under the name example.com.
type provider struct {
	server *httptest.Server
	tester *Tester
}

// serve starts a server; o says what differs from a Tester that reaches it alone.
func serve(t *testing.T, handler http.HandlerFunc, adjust ...func(*Options)) provider {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	o := Options{
		RootCAs:   roots,
		Timeout:   5 * time.Second,
		HTTPDial:  dialTo(server.Listener.Addr().String()),
		HTTPProxy: func(*http.Request) (*url.URL, error) { return nil, nil },
	}
	for _, change := range adjust {
		change(&o)
	}
	return provider{server: server, tester: New(o)}
}

// dialTo opens every connection to one address.
func dialTo(address string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
}

func entryOf(test v1alpha1.HTTPTest) *v1alpha1.ProviderType {
	return &v1alpha1.ProviderType{Type: "api_key", Test: &v1alpha1.ProviderTest{HTTP: &test}}
}

func bearer() v1alpha1.HTTPTest {
	return v1alpha1.HTTPTest{
		URL:     "https://example.com/v1/models",
		Headers: []v1alpha1.HTTPHeader{{Name: "Authorization", Value: "Bearer {{value}}"}},
	}
}

func (p provider) test(t *testing.T, test v1alpha1.HTTPTest, value string) Result {
	t.Helper()
	result := p.tester.Test(t.Context(), entryOf(test), secretvalue.FromString(value))
	if len(result.Message) > maxMessage || strings.ContainsAny(result.Message, "\r\n") {
		t.Errorf("message is not one line of at most %d bytes: %q", maxMessage, result.Message)
	}
	for _, form := range forms(secretvalue.FromString(value)) {
		if strings.Contains(result.Message, form) {
			t.Errorf("message repeats the value: %q", result.Message)
		}
	}
	return result
}

func TestHTTPVerdicts(t *testing.T) {
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Authorization") {
		case "Bearer " + goodKey:
			_, _ = fmt.Fprint(w, `{"ok": true}`)
		case "Bearer busy":
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(http.StatusTooManyRequests)
		case "Bearer broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "Bearer lost":
			w.WriteHeader(http.StatusNotFound)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	tests := map[string]struct {
		value string
		want  Result
	}{
		"accepted": {goodKey, Result{Reason: "Accepted", Message: "example.com accepted the value (200)"}},
		"rejected": {"bad-key", Result{Reason: "Rejected", Message: "example.com did not accept the value (401)"}},
		"429":      {"busy", Result{Reason: "Unreachable", Message: "example.com answered 429: it takes no more requests for now", RetryAfter: 2 * time.Minute}},
		"500":      {"broken", Result{Reason: "Unreachable", Message: "example.com answered 500: it has a failure of its own"}},
		"404":      {"lost", Result{Reason: "Unreachable", Message: "example.com answered 404, which does not say whether the value is accepted"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := p.test(t, bearer(), tt.value); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
