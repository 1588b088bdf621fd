package certificates

import (
	"errors"
	"net"
	"strings"
	"testing"

	clocktesting "k8s.io/utils/clock/testing"
)

func TestOptions(t *testing.T) {
	good := Options{Namespace: "usersecrets-system", Service: "webhook"}
	for name, c := range map[string]struct {
		change func(*Options)
		want   string // empty: accepted
	}{
		"the least":             {func(*Options) {}, ""},
		"all":                   {func(o *Options) { o.Hosts, o.IPs = []string{"a.example.com"}, []net.IP{net.IPv6loopback} }, ""},
		"no namespace":          {func(o *Options) { o.Namespace = "" }, `namespace ""`},
		"no service":            {func(o *Options) { o.Service = "" }, `service ""`},
		"a service with a dot":  {func(o *Options) { o.Service = "a.b" }, `service "a.b"`},
		"a host that is none":   {func(o *Options) { o.Hosts = []string{"a b"} }, `host "a b"`},
		"an address as a host":  {func(o *Options) { o.Hosts = []string{"127.0.0.1"} }, "list it as an IP instead"},
		"a projection's prefix": {func(o *Options) { o.SecretName = "usersecret-ca" }, "reserved to projections"},
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			c.change(&o)
			_, err := New(nil, o)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (!errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %v with %q", err, ErrOptions, c.want)
			}
		})
	}
}

func TestNotReady(t *testing.T) {
	now := clocktesting.NewFakePassiveClock(start)
	r, err := New(nil, Options{Namespace: "usersecrets-system", Service: "webhook", Clock: now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.GetCertificate(nil); !errors.Is(err, ErrNoCertificate) {
		t.Errorf("GetCertificate: %v, want %v", err, ErrNoCertificate)
	}
	if err := r.Ready(); !errors.Is(err, ErrNoCertificate) {
		t.Errorf("Ready without a certificate: %v, want %v", err, ErrNoCertificate)
	}

	serving, err := makeAuthority(t, start).serve(servedNames, start)
	if err != nil {
		t.Fatal(err)
	}
	r.serving.Store(serving)
	if err := r.Check(nil); !errors.Is(err, ErrNotInPlace) {
		t.Errorf("Check before the configurations were read: %v, want %v", err, ErrNotInPlace)
	}
	var inPlace error
	r.misplaced.Store(&inPlace)
	if err := r.Ready(); err != nil {
		t.Errorf("Ready with everything in place: %v", err)
	}
	now.SetTime(serving.Leaf.NotAfter)
	if err := r.Ready(); !errors.Is(err, ErrExpired) {
		t.Errorf("Ready with an expired certificate: %v, want %v", err, ErrExpired)
	}
}
