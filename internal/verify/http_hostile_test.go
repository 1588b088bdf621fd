package verify

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"usersecrets.dev/operator/api/v1alpha1"
)

// short is the time that tests of servers that never end are given.
const short = 300 * time.Millisecond

func within(timeout time.Duration) func(*Options) {
	return func(o *Options) { o.Timeout = timeout }
}

// readsBody is a test whose verdict needs the body.
func readsBody() v1alpha1.HTTPTest {
	test := bearer()
	test.Valid, test.Invalid = "body.ok == true", "body.ok == false"
	return test
}

// A server that gives its answer slowly, or none, takes no longer than the time of
// a test.
func TestHTTPSlow(t *testing.T) {
	const silence = "example.com did not answer within 300ms"
	tests := map[string]struct {
		test    v1alpha1.HTTPTest
		handler http.HandlerFunc
		want    string
	}{
		"no answer": {bearer(), func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		}, silence},
		"a byte of the body at a time": {readsBody(), func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte(" "))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(short / 10)
			}
		}, "example.com answered 200 and then did not answer within 300ms"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := serve(t, tt.handler, within(short))
			start := time.Now()
			got := p.test(t, tt.test, goodKey)
			if want := (Result{Reason: "Unreachable", Message: tt.want}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if took := time.Since(start); took > 10*short {
				t.Errorf("took %s, and had %s", took, short)
			}
		})
	}
}

// A body that never ends costs neither memory nor the rest of it; where the verdict
// does not need it, it is not read.
func TestHTTPEndlessBody(t *testing.T) {
	const size = 1 << 30
	var sent atomic.Int64
	p := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk := []byte(`"` + strings.Repeat("x", 64<<10))
		for sent.Load() < size {
			n, err := w.Write(chunk)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := p.test(t, readsBody(), goodKey)
	runtime.ReadMemStats(&after)
	if want := (Result{Reason: "Unreachable", Message: "example.com answered 200, with more than can be read"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if n := sent.Load(); n > 64<<20 {
		t.Errorf("the server could send %d bytes", n)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 32<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
	if got := p.test(t, bearer(), goodKey); got.Reason != v1alpha1.ReasonAccepted {
		t.Errorf("verdict by status code alone: got %+v", got)
	}
}

// A redirect is an answer: whoever it names is not asked.
func TestHTTPRedirect(t *testing.T) {
	var hits atomic.Int32
	internal := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer internal.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			p := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", internal.URL+"/latest/meta-data")
				w.WriteHeader(code)
			})
			var dialled atomic.Int32
			toServer := dialTo(p.server.Listener.Addr().String())
			roots := x509.NewCertPool()
			roots.AddCert(p.server.Certificate())
			p.tester = New(Options{RootCAs: roots, HTTPProxy: noProxy, HTTPDial: func(ctx context.Context, network, address string) (net.Conn, error) {
				dialled.Add(1)
				if address == "example.com:443" {
					return toServer(ctx, network, address)
				}
				return (&net.Dialer{}).DialContext(ctx, network, address)
			}})
			got := p.test(t, bearer(), goodKey)
			want := Result{Reason: "Unreachable", Message: fmt.Sprintf("example.com answered %d: it answers with a redirect, which is not followed", code)}
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if n := dialled.Load(); n != 1 {
				t.Errorf("%d connections were opened, want 1", n)
			}
		})
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("the internal host was asked %d times", n)
	}
}

// The catalogue may give a redirect a meaning.
func TestHTTPRedirectAsVerdict(t *testing.T) {
	p := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/login")
		w.WriteHeader(http.StatusFound)
	})
	test := bearer()
	test.Invalid = "code == 302"
	if got := p.test(t, test, goodKey); got.Reason != v1alpha1.ReasonRejected {
		t.Errorf("got %+v, want Rejected", got)
	}
}

// speak starts a TLS server that reads the head of a request and then does as it
// is told.
func speak(t *testing.T, answer func(conn net.Conn)) provider {
	t.Helper()
	p := serve(t, func(http.ResponseWriter, *http.Request) {})
	listener, err := tls.Listen("tcp", "127.0.0.1:0", p.server.TLS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					answer(conn)
				}
			}()
		}
	}()
	roots := x509.NewCertPool()
	roots.AddCert(p.server.Certificate())
	p.tester = New(Options{RootCAs: roots, Timeout: 5 * time.Second, HTTPProxy: noProxy, HTTPDial: dialTo(listener.Addr().String())})
	return p
}

func noProxy(*http.Request) (*url.URL, error) { return nil, nil }

// What a server says is in no message, whatever it says and however wrongly.
func TestHTTPMisbehaviour(t *testing.T) {
	tests := map[string]struct {
		answer string
		want   Result
	}{
		"status text": {
			"HTTP/1.1 500 no such key " + canary + "\r\nContent-Length: 0\r\n\r\n",
			Result{Reason: "Unreachable", Message: "example.com answered 500: it has a failure of its own"},
		},
		"headers": {
			"HTTP/1.1 401 Unauthorized\r\nX-Key: " + canary + "\r\nWWW-Authenticate: " + canary + "\r\nRetry-After: " + canary + "\r\nContent-Length: 0\r\n\r\n",
			Result{Reason: "Rejected", Message: "example.com did not accept the value (401)"},
		},
		"body": {
			"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 24\r\n\r\n" + canary,
			Result{Reason: "Unreachable", Message: "example.com answered 418, which does not say whether the value is accepted"},
		},
		"no HTTP":            {canary + " " + canary + "\r\n\r\n", Result{Reason: "Unreachable", Message: "example.com gave no answer that can be read"}},
		"malformed header":   {"HTTP/1.1 200 OK\r\n" + canary + "\r\n\r\n", Result{Reason: "Unreachable", Message: "example.com gave no answer that can be read"}},
		"malformed code":     {"HTTP/1.1 20" + canary + " OK\r\n\r\n", Result{Reason: "Unreachable", Message: "example.com gave no answer that can be read"}},
		"huge headers":       {"HTTP/1.1 200 OK\r\nX-Key: " + strings.Repeat("x", 2<<20) + "\r\n\r\n", Result{Reason: "Unreachable", Message: "example.com gave no answer that can be read"}},
		"closed at once":     {"", Result{Reason: "Unreachable", Message: "example.com closed the connection before it had answered"}},
		"closed in the head": {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", Result{Reason: "Unreachable", Message: "example.com closed the connection before it had answered"}},
		"closed in the body": {
			"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"ok\": true}",
			Result{Reason: "Unreachable", Message: "example.com answered 200 and then closed the connection before it had answered"},
		},
		"no JSON": {
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{ok}\n",
			Result{Reason: "Unreachable", Message: "example.com answered 200, which does not say whether the value is accepted"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := speak(t, func(conn net.Conn) { _, _ = conn.Write([]byte(tt.answer)) })
			test := readsBody()
			test.Invalid = "code == 401"
			// In the path too, since errors of net/http name the URL; not in a
			// header, where it could not stand as it is.
			test.URL = "https://example.com/bot{{value}}/getMe?key={{value}}"
			if got := p.test(t, test, canary); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestHTTPNoConnection(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = deaf.Close() }()
	answerTo := func(err error) func(*Options) {
		return func(o *Options) {
			o.HTTPDial = func(context.Context, string, string) (net.Conn, error) { return nil, err }
		}
	}
	tests := map[string]struct {
		adjust func(*Options)
		want   string
	}{
		"refused":           {func(o *Options) { o.HTTPDial = dialTo(closed.Addr().String()) }, "example.com refused the connection"},
		"plain HTTP":        {func(o *Options) { o.HTTPDial = dialTo(plain.Listener.Addr().String()) }, "example.com cannot be reached: it does not speak TLS"},
		"silent":            {func(o *Options) { o.HTTPDial = dialTo(deaf.Addr().String()); o.Timeout = short }, "example.com did not answer within 300ms"},
		"unknown authority": {func(o *Options) { o.RootCAs = x509.NewCertPool() }, "example.com cannot be trusted: its certificate is signed by an unknown authority"},
		"unknown name": {
			answerTo(&net.DNSError{Err: "no such host " + canary, Name: canary, IsNotFound: true}),
			"example.com cannot be reached: its name is not known",
		},
		"resolver fails": {
			answerTo(&net.DNSError{Err: "server misbehaving " + canary, Name: canary}),
			"example.com cannot be reached: looking its name up failed",
		},
		"any other error": {answerTo(fmt.Errorf("dialling with %s", canary)), "example.com gave no answer that can be read"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := serve(t, func(http.ResponseWriter, *http.Request) {}, tt.adjust)
			want := Result{Reason: "Unreachable", Message: tt.want}
			if got := p.test(t, bearer(), "canary-0123456789"); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestHTTPWrongName(t *testing.T) {
	p := serve(t, func(http.ResponseWriter, *http.Request) {})
	test := bearer()
	test.URL = "https://api.example.org/v1/models"
	want := Result{Reason: "Unreachable", Message: "api.example.org cannot be trusted: its certificate is for another name"}
	if got := p.test(t, test, goodKey); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestHTTPStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	got := p.tester.Test(ctx, entryOf(bearer()), valueOf(goodKey))
	if want := (Result{Reason: "Unreachable", Message: "example.com was not heard out: the test was stopped"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Requests say nothing of each other: no cookie comes back, no connection is used
// twice, and HTTP/1.1 is spoken also to who offers more.
func TestHTTPRequestsAreApart(t *testing.T) {
	var seen []*http.Request
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r)
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "alice", Path: "/", Secure: true})
	})
	for _, key := range []string{"alice-0123456789", "bob-0123456789"} {
		if got := p.test(t, bearer(), key); got.Reason != v1alpha1.ReasonAccepted {
			t.Fatalf("got %+v", got)
		}
	}
	if len(seen) != 2 {
		t.Fatalf("%d requests, want 2", len(seen))
	}
	if seen[0].RemoteAddr == seen[1].RemoteAddr {
		t.Errorf("both requests came by one connection")
	}
	for _, r := range seen {
		if len(r.Cookies()) != 0 || r.UserAgent() != "usersecret-operator" || r.Proto != "HTTP/1.1" || r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("unexpected request: %s %v", r.Proto, r.Header)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		header string
		want   time.Duration
	}{
		"none":            {"", 0},
		"seconds":         {"120", 2 * time.Minute},
		"zero":            {"0", 0},
		"negative":        {"-5", 0},
		"fraction":        {"1.5", 0},
		"longer than ok":  {"7200", time.Hour},
		"largest number":  {"18446744073709551615", time.Hour},
		"too large":       {"18446744073709551616", 0},
		"date":            {"Fri, 27 Nov 2026 12:00:30 GMT", 30 * time.Second},
		"date gone by":    {"Fri, 27 Nov 2026 11:00:00 GMT", 0},
		"date far ahead":  {"Fri, 27 Nov 2065 12:00:00 GMT", time.Hour},
		"neither of them": {"soon", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := retryAfter(tt.header, now); got != tt.want {
				t.Errorf("retryAfter(%q) = %s, want %s", tt.header, got, tt.want)
			}
		})
	}
}

// Only who gave no verdict is asked again.
func TestHTTPRetryAfterOfVerdict(t *testing.T) {
	p := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusUnauthorized)
	})
	if got := p.test(t, bearer(), goodKey); got.RetryAfter != 0 || got.Reason != v1alpha1.ReasonRejected {
		t.Errorf("got %+v, want Rejected without RetryAfter", got)
	}
}

func base64Of(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
