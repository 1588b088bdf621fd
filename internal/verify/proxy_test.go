package verify

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// connectProxy is a proxy that opens every way (RFC 9110, section 9.3.6) to one
// address, and counts how often.
func connectProxy(t *testing.T, address string) (proxy *httptest.Server, asked *atomic.Int32) {
	t.Helper()
	asked = &atomic.Int32{}
	proxy = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != "example.com:443" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		asked.Add(1)
		there, err := net.Dial("tcp", address)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			_ = there.Close()
			return
		}
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(there, here)
			_ = there.Close()
		}()
		_, _ = io.Copy(here, there)
		_ = here.Close()
	}))
	t.Cleanup(proxy.Close)
	return proxy, asked
}

// The variables of the helper process of TestProxyOfEnvironment.
const (
	helperRoots = "VERIFY_TEST_ROOTS"
	helperURL   = "VERIFY_TEST_URL"
)

// The environment is read once in a process, so the test is one of its own: the
// same binary, which runs TestHelperAsksByEnvironment alone.
func TestProxyOfEnvironment(t *testing.T) {
	p := serve(t, func(http.ResponseWriter, *http.Request) {})
	proxy, asked := connectProxy(t, p.server.Listener.Addr().String())
	roots := filepath.Join(t.TempDir(), "roots.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
	if err := os.WriteFile(roots, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	helper := exec.Command(os.Args[0], "-test.run=^TestHelperAsksByEnvironment$", "-test.v")
	helper.Env = append(os.Environ(), helperRoots+"="+roots, helperURL+"=https://example.com/v1/models",
		"HTTPS_PROXY="+proxy.URL, "https_proxy="+proxy.URL, "NO_PROXY=", "no_proxy=")
	out, err := helper.CombinedOutput()
	if err != nil {
		t.Fatalf("the helper: %v\n%s", err, out)
	}
	if want := "result: Accepted example.com accepted the value (200)"; !strings.Contains(string(out), want) {
		t.Errorf("the helper printed %s, want %s", out, want)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the proxy was asked %d times, want 1", n)
	}
}

func TestHelperAsksByEnvironment(t *testing.T) {
	file := os.Getenv(helperRoots)
	if file == "" {
		t.Skip("is a part of TestProxyOfEnvironment")
	}
	certificate, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	test := bearer()
	test.URL = os.Getenv(helperURL)
	result := New(Options{RootCAs: roots}).Test(t.Context(), entryOf(test), valueOf(goodKey))
	fmt.Println("result:", result.Reason, result.Message)
}

func TestProxyFailures(t *testing.T) {
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
	}))
	defer refusing.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, tt := range map[string]struct{ proxy, want string }{
		"refuses": {refusing.URL, "example.com cannot be reached: the proxy refused to connect to it"},
		"is down": {gone.URL, "example.com cannot be reached: the proxy does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			address, err := url.Parse(tt.proxy)
			if err != nil {
				t.Fatal(err)
			}
			p := serve(t, func(http.ResponseWriter, *http.Request) {}, func(o *Options) {
				o.HTTPProxy = http.ProxyURL(address)
				o.HTTPDial = nil
			})
			want := Result{Reason: "Unreachable", Message: tt.want}
			if got := p.test(t, bearer(), goodKey); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
