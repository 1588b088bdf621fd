package certificates

import (
	"crypto/x509"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// start is the day on which these tests begin.
var start = time.Date(2031, time.March, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func makeAuthority(t *testing.T, made time.Time) *authority {
	t.Helper()
	a, err := newAuthority(made)
	if err != nil {
		t.Fatalf("making a CA: %v", err)
	}
	return a
}

func TestAuthority(t *testing.T) {
	a := makeAuthority(t, start)
	c := a.certificate
	if got, want := c.NotAfter.Sub(start), authorityLife; got != want {
		t.Errorf("lives for %s, want %s", got, want)
	}
	if got, want := renewal(c).Sub(start).Round(day), 243*day; got != want {
		t.Errorf("is renewed after %s, want %s", got, want)
	}
	for when, want := range map[time.Time]bool{
		start.Add(-backdate - time.Second):        true, // a slow clock must not make a replica replace a new CA
		start:                                     true,
		start.Add(authorityLife - time.Second):    true,
		start.Add(authorityLife):                  false,
		start.Add(authorityLife + 10*time.Minute): false,
	} {
		if got := a.live(when); got != want {
			t.Errorf("live at %s: %t, want %t", when, got, want)
		}
	}
	if other := makeAuthority(t, start); other.certificate.SerialNumber.Cmp(c.SerialNumber) == 0 {
		t.Error("two CAs have the same serial number")
	}
}

func TestServing(t *testing.T) {
	a := makeAuthority(t, start)
	n := Options{
		Namespace: "usersecrets-system", Service: "webhook", Hosts: []string{"vault.example.com"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)},
	}.names()
	serving, err := a.serve(n, start)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.certificate)
	for name, want := range map[string]bool{
		"webhook.usersecrets-system.svc":               true,
		"webhook.usersecrets-system.svc.cluster.local": true,
		"vault.example.com":                            true,
		"127.0.0.1":                                    true,
		"127.0.0.2":                                    false,
		"webhook.default.svc":                          false,
	} {
		_, err := serving.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: start})
		if got := err == nil; got != want {
			t.Errorf("valid for %s: %t (%v), want %t", name, got, err, want)
		}
		var wrongName x509.HostnameError
		if !want && !errors.As(err, &wrongName) {
			t.Errorf("for %s: %v, want a hostname error", name, err)
		}
	}
	if got := serving.Leaf.NotAfter.Sub(start); got != servingLife {
		t.Errorf("lives for %s, want %s", got, servingLife)
	}
}

func TestServingDoesNotOutliveItsCA(t *testing.T) {
	a := makeAuthority(t, start)
	serving, err := a.serve(names{hosts: []string{"x.y.svc"}}, start.Add(authorityLife-day))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a.certificate.NotAfter, serving.Leaf.NotAfter); diff != "" {
		t.Errorf("end of life (-CA +serving):\n%s", diff)
	}
}

func TestOutdated(t *testing.T) {
	a, other := makeAuthority(t, start), makeAuthority(t, start)
	serving, err := a.serve(names{hosts: []string{"x.y.svc"}}, start)
	if err != nil {
		t.Fatal(err)
	}
	twoThirds := renewal(serving.Leaf)
	for name, c := range map[string]struct {
		got, want bool
	}{
		"none yet":            {outdated(nil, a, start), true},
		"fresh":               {outdated(serving, a, start), false},
		"of another CA":       {outdated(serving, other, start), true},
		"before two thirds":   {outdated(serving, a, twoThirds.Add(-time.Second)), false},
		"at two thirds":       {outdated(serving, a, twoThirds), true},
		"long after its end":  {outdated(serving, a, start.Add(30*day)), true},
		"with a slow clock":   {outdated(serving, a, start.Add(-2*time.Hour)), false},
		"of another, expired": {outdated(serving, other, start.Add(30*day)), true},
	} {
		if c.got != c.want {
			t.Errorf("%s: outdated %t, want %t", name, c.got, c.want)
		}
	}
}
