package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/webhook"
)

// authority signs certificates for a test.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key := newKey(t)
	return authority{sign(t, template, template, key, key), key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// issue is a certificate for one use, of 127.0.0.1 where it serves.
func (a authority) issue(t *testing.T, use x509.ExtKeyUsage) tls.Certificate {
	t.Helper()
	key := newKey(t)
	leaf := sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "kube-apiserver"}, NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, a.certificate, key, a.key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}
}

func (a authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

func (a authority) file(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serveWebhooks runs the webhook server as the operator does, with certificate
// files, and is its address.
func serveWebhooks(t *testing.T, serving authority, clientCA string) string {
	t.Helper()
	dir := t.TempDir()
	certificate := serving.issue(t, x509.ExtKeyUsageServerAuth)
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}, "tls.key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	_ = listener.Close()
	p := &parts{options: &options{webhookBind: "127.0.0.1", webhookPort: port, certDir: dir, webhookClientCA: clientCA}}
	server, err := p.webhookServer()
	if err != nil {
		t.Fatal(err)
	}
	runWebhooks(t, server)
	return listener.Addr().String()
}

// runWebhooks starts a server and ends it with the test.
func runWebhooks(t *testing.T, server webhook.Server) {
	t.Helper()
	server.Register("/told", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "told") }))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the webhook server ended: %v", err)
		}
	})
	started := server.StartedChecker()
	for deadline := time.Now().Add(10 * time.Second); started(nil) != nil; {
		if time.Now().After(deadline) {
			t.Fatalf("the webhook server does not start: %v", started(nil))
		}
	}
}

func TestWebhooksAnswerAPIServersAlone(t *testing.T) {
	serving, callers, users := newAuthority(t), newAuthority(t), newAuthority(t)
	guarded, open := serveWebhooks(t, serving, callers.file(t)), serveWebhooks(t, serving, "")
	for name, tc := range map[string]struct {
		address string
		shows   []tls.Certificate
		want    string // of the error; empty: answered
	}{
		"an API server":                     {guarded, []tls.Certificate{callers.issue(t, x509.ExtKeyUsageClientAuth)}, ""},
		"nobody":                            {guarded, nil, "tls: certificate required"},
		"a user":                            {guarded, []tls.Certificate{users.issue(t, x509.ExtKeyUsageClientAuth)}, "tls: unknown certificate authority"},
		"a server of the same authority":    {guarded, []tls.Certificate{callers.issue(t, x509.ExtKeyUsageServerAuth)}, "tls: bad certificate"},
		"nobody, where it is not asked for": {open, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := call(t, tc.address, serving, tc.shows, tc.want == "")
			switch {
			case tc.want == "" && !strings.HasSuffix(answer, "told"):
				t.Errorf("not answered: %q, %v", answer, err)
			case tc.want != "" && (err == nil || err.Error() != "remote error: "+tc.want):
				t.Errorf("answered, or refused otherwise: %q, %v, want %s", answer, err, tc.want)
			}
		})
	}
}

// call is all that comes back from a connection with the certificate shown, if
// any. Who will be refused must not ask: what is sent into a closed connection may
// cost the reader the refusal.
func call(t *testing.T, address string, serving authority, shows []tls.Certificate, ask bool) (string, error) {
	t.Helper()
	connection, err := tls.Dial("tcp", address, &tls.Config{
		RootCAs: serving.pool(),
		// Whatever the server asks for: Go's own choice would be not to show one that it will not accept.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(shows) == 0 {
				return &tls.Certificate{}, nil
			}
			return &shows[0], nil
		},
	})
	if err != nil {
		return "", err
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	if ask {
		if _, err := io.WriteString(connection, "GET /told HTTP/1.0\r\n\r\n"); err != nil {
			return "", err
		}
	}
	answer, err := io.ReadAll(connection)
	return string(answer), err
}

func TestWebhookCallersCannotBeRead(t *testing.T) {
	missing, empty := filepath.Join(t.TempDir(), "none.crt"), filepath.Join(t.TempDir(), "empty.crt")
	if err := os.WriteFile(empty, []byte("no certificate\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		missing: "reading --webhook-client-ca-file: open " + missing + ": no such file or directory",
		empty: "reading --webhook-client-ca-file: " + empty +
			" holds no certificate: give it those that sign the API servers' client certificates, in PEM",
	} {
		p := &parts{options: &options{certDir: t.TempDir(), webhookClientCA: file}}
		if _, err := p.webhookServer(); err == nil || err.Error() != want {
			t.Errorf("webhookServer: %v,\nwant %s", err, want)
		}
	}
}

func TestOnce(t *testing.T) {
	answers := []error{errors.New("not yet"), nil, errors.New("asked again")}
	asked := 0
	check := once(func(*http.Request) error { asked++; return answers[asked-1] })
	if err := check(nil); err == nil || err.Error() != "not yet" {
		t.Errorf("first: %v, want not yet", err)
	}
	for range 2 {
		if err := check(nil); err != nil {
			t.Errorf("after it passed: %v", err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times, want 2", asked)
	}
}
