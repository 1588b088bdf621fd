package catalogue_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/secretvalue"
	"usersecrets.dev/operator/internal/verify"
)

const (
	// canary is in every value that is tested, and in no message.
	canary = "canary-5f0c1e"
	// timeout bounds the tests of servers that answer. It is long: they do.
	timeout = time.Minute
	// shortTimeout bounds the tests of servers that do not.
	shortTimeout = 200 * time.Millisecond
)

// good and bad are the values that a server of these tests accepts and rejects.
func (s *subject) good() string { return s.entry.Example + canary + "-good" }
func (s *subject) bad() string  { return s.entry.Example + canary + "-bad" }

func TestAnswers(t *testing.T) {
	for _, s := range subjects(t) {
		t.Run(s.name, func(t *testing.T) {
			// One server that tells them apart, whichever the answers are.
			for _, yes := range s.Accepted {
				for _, no := range s.Rejected {
					w := serve(t, &s, map[string]answer{s.good(): yes, s.bad(): no})
					w.expect(t, yes.What, s.good(), v1alpha1.ReasonAccepted)
					w.expect(t, no.What, s.bad(), v1alpha1.ReasonRejected)
				}
			}
			for _, neither := range s.Unreachable {
				serve(t, &s, map[string]answer{s.good(): neither}).expect(t, neither.What, s.good(), v1alpha1.ReasonUnreachable)
			}
		})
	}
}

// What says nothing of a value, whoever answers it: also where the body is the one
// that the provider has for a good value.
func TestTroubles(t *testing.T) {
	for _, s := range subjects(t) {
		t.Run(s.name, func(t *testing.T) {
			body := s.Accepted[0].Body
			for _, trouble := range []answer{
				{What: "a failure", Code: http.StatusInternalServerError, Body: body},
				{What: "a failure with nothing more", Code: http.StatusInternalServerError},
				{What: "a gateway's failure", Code: http.StatusBadGateway, Headers: map[string]string{"Content-Type": "text/html"}, Body: "<html></html>"},
				{What: "too many requests", Code: http.StatusTooManyRequests, Headers: map[string]string{"Retry-After": "7"}, Body: body},
				{What: "a redirect", Code: http.StatusFound, Headers: map[string]string{"Location": "https://localhost/"}, Body: body},
				{What: "a page that is not there", Code: http.StatusNotFound, Body: "404 page not found"},
				{What: "a proxy's refusal", Code: http.StatusForbidden, Body: "<html></html>"},
			} {
				got := serve(t, &s, map[string]answer{s.good(): trouble}).expect(t, trouble.What, s.good(), v1alpha1.ReasonUnreachable)
				if trouble.Code == http.StatusTooManyRequests && got.RetryAfter != 7*time.Second {
					t.Errorf("%s: wait %s, want 7s", trouble.What, got.RetryAfter)
				}
			}
		})
	}
}

// A body of any shape is no error, and with 200 it is at most a good answer.
func TestOddBodies(t *testing.T) {
	for _, s := range subjects(t) {
		t.Run(s.name, func(t *testing.T) {
			for _, body := range []string{"", "null", "true", "0", `"text"`, "[]", "[null]", "{}", `{"ok":"yes","error":[],"data":null,"valid":1,"result":[]}`, `{"error":null}`, "{", "\xff"} {
				for _, code := range []int{http.StatusOK, http.StatusBadRequest, http.StatusForbidden} {
					w := serve(t, &s, map[string]answer{s.good(): {Code: code, Body: body}})
					got := w.ask(t, s.good())
					if got.Reason != v1alpha1.ReasonUnreachable && (code != http.StatusOK || got.Reason != v1alpha1.ReasonAccepted) && !statusDecides(&s, code) {
						t.Errorf("%d with %q: %s, %s", code, body, got.Reason, got.Message)
					}
				}
			}
		})
	}
}

// statusDecides says whether a provider rejects by this status alone. xAI does, by
// 400, and documents no body for it.
func statusDecides(s *subject, code int) bool {
	return s.name == "xai/api_key" && code == http.StatusBadRequest
}

// A server that repeats the value, wherever it can, has it in no message.
func TestEcho(t *testing.T) {
	for _, s := range subjects(t) {
		t.Run(s.name, func(t *testing.T) {
			value := s.good()
			text := value + " " + base64.StdEncoding.EncodeToString([]byte(value)) + " " + url.QueryEscape(value)
			for _, code := range []int{http.StatusOK, http.StatusFound, http.StatusBadRequest, http.StatusUnauthorized, http.StatusInternalServerError} {
				w := serve(t, &s, map[string]answer{value: {
					Code:    code,
					Headers: map[string]string{"Content-Type": "application/json", "Location": "https://localhost/" + url.PathEscape(value), "Retry-After": value, "WWW-Authenticate": value},
					Body:    `{"ok":false,"success":false,"error":{"message":"` + text + `","type":"` + text + `"},"message":"` + text + `"}`,
				}})
				w.ask(t, value)
			}
		})
	}
}

// A server that takes the request, and says nothing.
func TestHang(t *testing.T) {
	for _, s := range subjects(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := serve(t, &s, nil)
			w.timeout = shortTimeout
			w.expect(t, "a server that hangs", s.good(), v1alpha1.ReasonUnreachable)
		})
	}
}

// world is a server in a provider's place.
type world struct {
	address string
	host    string
	trust   *x509.CertPool
	entry   *v1alpha1.ProviderType
	timeout time.Duration
}

// serve starts a server that answers a request as the value in it has it, if the
// request is what the provider demands of one with that value. Without answers it
// hangs.
func serve(t *testing.T, s *subject, answers map[string]answer) *world {
	t.Helper()
	target, err := url.Parse(s.Request.URL)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The context of a request ends with its connection only once the body is read.
		body, _ := io.ReadAll(r.Body)
		if answers == nil {
			<-r.Context().Done()
			return
		}
		var lacks []string
		for value, a := range answers {
			lack := s.differences(r, string(body), value)
			if lack == nil {
				for name, text := range a.Headers {
					w.Header().Set(name, text)
				}
				w.WriteHeader(a.Code)
				_, _ = io.WriteString(w, a.Body)
				return
			}
			lacks = append(lacks, lack...)
		}
		t.Errorf("the provider does not take this request:\n%s", strings.Join(lacks, "\n"))
		w.WriteHeader(http.StatusTeapot)
	}))
	own, err := certificate()
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{own.pair}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	return &world{address: server.Listener.Addr().String(), host: target.Host, trust: own.pool, entry: s.entry, timeout: timeout}
}

// ask tests a value. The only way goes to the server, under the provider's name.
func (w *world) ask(t *testing.T, value string) verify.Result {
	t.Helper()
	tester := verify.New(verify.Options{
		RootCAs: w.trust,
		Timeout: w.timeout,
		HTTPDial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != w.host+":443" {
				t.Errorf("the test goes to %s, want %s:443", address, w.host)
			}
			return (&net.Dialer{}).DialContext(ctx, network, w.address)
		},
		HTTPProxy: func(*http.Request) (*url.URL, error) { return nil, nil },
	})
	result := tester.Test(t.Context(), w.entry, secretvalue.FromString(value))
	checkMessage(t, result.Message, value)
	return result
}

func (w *world) expect(t *testing.T, what, value, reason string) verify.Result {
	t.Helper()
	result := w.ask(t, value)
	if result.Reason != reason {
		t.Errorf("%s: %s (%s), want %s", what, result.Reason, result.Message, reason)
	}
	return result
}

func checkMessage(t *testing.T, message, value string) {
	t.Helper()
	if message == "" || len(message) > 512 || strings.ContainsAny(message, "\r\n") {
		t.Errorf("the message is no line of at most 512 bytes: %q", message)
	}
	for _, secret := range []string{canary, value, base64.StdEncoding.EncodeToString([]byte(value)), url.QueryEscape(value), url.PathEscape(value)} {
		if strings.Contains(message, secret) {
			t.Errorf("the message repeats the value: %q", message)
		}
	}
}

// identity is a certificate for every host of the catalogue, and who trusts it.
type identity struct {
	pair tls.Certificate
	pool *x509.CertPool
}

var certificate = sync.OnceValues(func() (*identity, error) {
	documented, err := fixtures()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	for _, f := range documented {
		target, err := url.Parse(f.Request.URL)
		if err != nil {
			return nil, err
		}
		template.DNSNames = append(template.DNSNames, target.Hostname())
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &identity{pair: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool: pool}, nil
})
