//go:build linux

// Package databases_test shows connection tests of databases against servers that
// are real: PostgreSQL and MariaDB, from the distribution's packages as
// hack/databases/fetch.sh unpacks them, each started by the test on a loopback
// address with a folder of its own.
//
// Servers that are hostile, and answers that these servers do not give on demand,
// are in the tests of internal/verify.
package databases_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/dialing"
	"usersecrets.dev/operator/internal/secretvalue"
	"usersecrets.dev/operator/internal/verify"
	"usersecrets.dev/operator/test/lab"
)

const (
	// serversVariable names the folder of the servers; without it they are fetched
	// where they are missing.
	serversVariable = "DATABASE_SERVERS"
	// startTime bounds making a data folder and starting a server on it.
	startTime = time.Minute
	stopTime  = 20 * time.Second

	// The servers' users have this password, which no message may repeat, and
	// which has characters that connection strings must encode.
	password        = "canary p4ss:/@%?word"
	encodedPassword = "canary%20p4ss%3A%2F%40%25%3Fword"
	// serverName is the host in connection strings, and in the servers' certificate.
	serverName = "db.example"
	otherName  = "other.example"

	// nobody is whom servers run as where the tests run as root: PostgreSQL
	// refuses to run as root.
	nobody = 65534
)

// servers are the unpacked servers and a folder that they may write to.
type servers struct {
	dir  string // of the packages
	work string
}

func findServers(t *testing.T) servers {
	t.Helper()
	dir := os.Getenv(serversVariable)
	if dir == "" {
		root, err := lab.ProjectRoot()
		if err != nil {
			t.Fatal(err)
		}
		script := exec.CommandContext(t.Context(), filepath.Join(root, "hack", "databases", "fetch.sh"))
		script.Stderr = os.Stderr
		out, err := script.Output()
		if err != nil {
			t.Fatalf("fetching the database servers: %v", err)
		}
		dir = strings.TrimSpace(string(out))
	}
	work, err := os.MkdirTemp("", "usersecret-databases-") //nolint:usetesting // another user may not enter the parents of t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(work) })
	return servers{dir: dir, work: work}
}

// program is the path of one of the servers' programs.
func (s servers) program(t *testing.T, name string) string {
	t.Helper()
	found := ""
	err := filepath.WalkDir(filepath.Join(s.dir, "root", "usr"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == name && entry.Type().IsRegular() && strings.HasSuffix(filepath.Dir(path), "bin") {
			found = path
			return fs.SkipAll
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("%s has no %s: %v", s.dir, name, err)
	}
	return found
}

// command is one of the servers' programs with nothing of the test's environment
// but PATH. It ends with the test.
func (s servers) command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = s.work
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LD_LIBRARY_PATH=" + filepath.Join(s.dir, "lib"), "TZ=UTC", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	return cmd
}

// run fails the test where a program fails.
func (s servers) run(t *testing.T, stdin, path string, args ...string) {
	t.Helper()
	s.giveAway(t)
	cmd := s.command(t.Context(), path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(path), err, out)
	}
}

// write makes a file that the servers alone may read.
func (s servers) write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(s.work, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// giveAway makes all files those of whom servers run as.
func (s servers) giveAway(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	err := filepath.WalkDir(s.work, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// start runs a server until stop, or the test's end.
func (s servers) start(t *testing.T, path string, args ...string) (stop func()) {
	t.Helper()
	s.giveAway(t)
	var log bytes.Buffer
	cmd := s.command(context.Background(), path, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v (a project below a folder that only root may enter does not do)", filepath.Base(path), err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(stopTime):
			_ = cmd.Process.Kill()
			<-done
			t.Errorf("%s did not end", filepath.Base(path))
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(path), log.String())
		}
	}
	t.Cleanup(stop)
	return stop
}

// await returns once the value is accepted.
func await(t *testing.T, tester *verify.Tester, entry *v1alpha1.ProviderType, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	var got verify.Result
	err := lab.Await(ctx, "the server to accept a login", func(ctx context.Context) (bool, error) {
		got = tester.Test(ctx, entry, secretvalue.FromString(value))
		if got.Reason == v1alpha1.ReasonAccepted || got.Reason == v1alpha1.ReasonUnreachable {
			return got.Reason == v1alpha1.ReasonAccepted, nil
		}
		return false, fmt.Errorf("%s: %s", got.Reason, got.Message)
	})
	if err != nil {
		t.Fatalf("%v; the last answer: %s", err, got.Message)
	}
}

// names has both names at the servers' address.
type names struct{}

func (names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if host == serverName || host == otherName {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// testers are one that trusts the servers' authority, one that trusts none, and
// one that may go where connection tests go by default.
type testers struct{ trusting, distrusting, guarded *verify.Tester }

func makeTesters(authority *x509.Certificate) testers {
	guard := dialing.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, nil).WithResolver(names{})
	trusted := x509.NewCertPool()
	trusted.AddCert(authority)
	return testers{
		trusting:    verify.New(verify.Options{RootCAs: trusted, Destinations: guard}),
		distrusting: verify.New(verify.Options{RootCAs: x509.NewCertPool(), Destinations: guard}),
		guarded:     verify.New(verify.Options{RootCAs: trusted}),
	}
}

// makeCertificate writes server.crt and server.key for serverName, and returns the
// authority that signed it.
func (s servers) makeCertificate(t *testing.T) (authority *x509.Certificate, certificatePath, keyPath string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	issue := func(serial int64, name string, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(err)
		template := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		}
		if parent == nil {
			parent, signer = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
		must(err)
		certificate, err := x509.ParseCertificate(der)
		must(err)
		return certificate, key
	}
	authority, authorityKey := issue(1, "authority.example", nil, nil)
	certificate, key := issue(2, serverName, authority, authorityKey)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	certificatePath = s.write(t, "server.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
	keyPath = s.write(t, "server.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return authority, certificatePath, keyPath
}

// check is one connection string and what testing it gives.
type check struct {
	value               string // with PORT for the server's
	tester              *verify.Tester
	wantReason, wantSay string
}

func (c check) run(t *testing.T, entry *v1alpha1.ProviderType, port int) {
	t.Helper()
	value := strings.ReplaceAll(c.value, "PORT", fmt.Sprint(port))
	got := c.tester.Test(t.Context(), entry, secretvalue.FromString(value))
	if got.Reason != c.wantReason || got.Message != c.wantSay {
		t.Errorf("got %s %q, want %s %q", got.Reason, got.Message, c.wantReason, c.wantSay)
	}
	for _, part := range []string{password, encodedPassword, "canary", "alice", "tls_only", "orders", serverName, otherName, "127.0.0", fmt.Sprint(port)} {
		if strings.Contains(got.Message, part) {
			t.Errorf("the message %q repeats %q", got.Message, part)
		}
	}
}
