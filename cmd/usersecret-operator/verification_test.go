package main

import (
	"net/netip"
	"strings"
	"testing"
)

func TestVerificationFlags(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string // the error; empty for none
	}{
		"by default":               {nil, ""},
		"none at all":              {[]string{"--verification=false"}, ""},
		"ranges":                   {[]string{"--verification-allow-cidrs=127.0.0.0/8,::1/128", "--verification-deny-cidrs=10.0.0.0/8", "--verification-deny-cidrs=fd00::/8"}, ""},
		"an address to allow":      {[]string{"--verification-allow-cidrs=10.0.0.1"}, `--verification-allow-cidrs: "10.0.0.1" is no range of addresses: give one such as 10.0.0.0/8, 192.0.2.7/32 or fd00::/8`},
		"a name to deny":           {[]string{"--verification-deny-cidrs=10.0.0.0/8,db.example"}, `--verification-deny-cidrs: "db.example" is no range of addresses: give one such as 10.0.0.0/8, 192.0.2.7/32 or fd00::/8`},
		"a range and an address":   {[]string{"--verification-deny-cidrs=10.1.2.3/8"}, `--verification-deny-cidrs: "10.1.2.3/8" has bits beyond its length: give 10.0.0.0/8 for that range, or 10.1.2.3/32 for the address alone`},
		"an IPv6 one":              {[]string{"--verification-deny-cidrs=fd00::1/8"}, `--verification-deny-cidrs: "fd00::1/8" has bits beyond its length: give fd00::/8 for that range, or fd00::1/128 for the address alone`},
		"nothing at once":          {[]string{"--verification-concurrency=0"}, errVerificationLimit.Error()},
		"nothing of a user":        {[]string{"--verification-per-user=0"}, errVerificationLimit.Error()},
		"less than none to a host": {[]string{"--verification-per-host=-1"}, errVerificationLimit.Error()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, got := withFlags(t, tt.args...)
			if got != tt.want {
				t.Errorf("%s:\n got %q\nwant %q", strings.Join(tt.args, " "), got, tt.want)
			}
		})
	}
}

func TestVerificationDestinations(t *testing.T) {
	o := &verificationOptions{allow: []string{"127.0.0.0/8", "169.254.0.0/16"}, deny: []string{"10.0.0.0/8", "169.254.169.254/32"}}
	guard, err := o.destinations()
	if err != nil {
		t.Fatal(err)
	}
	for text, allowed := range map[string]bool{"127.0.0.1": true, "169.254.1.1": true, "169.254.169.254": false, "10.1.2.3": false, "192.0.2.1": true, "::1": false} {
		if err := guard.Check(netip.MustParseAddr(text)); (err == nil) != allowed {
			t.Errorf("%s: %v, want it allowed: %t", text, err, allowed)
		}
	}
}
