package main

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"usersecrets.dev/operator/controllers/verification"
	"usersecrets.dev/operator/internal/dialing"
	"usersecrets.dev/operator/internal/verify"
)

// verificationOptions are the flags of connection tests.
type verificationOptions struct {
	on     bool
	limits verification.Limits
	allow  []string
	deny   []string
}

var errVerificationLimit = errors.New("--verification-concurrency, --verification-per-user and --verification-per-host are 1 at least: to run no tests at all, give --verification=false")

func (o *verificationOptions) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&o.on, "verification", o.on, "Test values against their providers. When false no test is run, whatever UserSecrets say, and verdicts stay as they are.")
	f.IntVar(&o.limits.Total, "verification-concurrency", o.limits.Total, "How many connection tests run at once.")
	f.IntVar(&o.limits.PerUser, "verification-per-user", o.limits.PerUser, "How many connection tests of one user's values run at once; those that take longer than a second do not count.")
	f.IntVar(&o.limits.PerHost, "verification-per-host", o.limits.PerHost, "How many connection tests go to one host of the catalogue at once.")
	f.StringSliceVar(&o.allow, "verification-allow-cidrs", o.allow, "Ranges that tests of connection strings may go to although they are refused by default, such as 127.0.0.0/8: loopback, link-local, metadata services, multicast and reserved ones.")
	f.StringSliceVar(&o.deny, "verification-deny-cidrs", o.deny, "Ranges that tests of connection strings may not go to, such as the cluster's own 10.0.0.0/8; they win over those allowed.")
}

func (o *verificationOptions) validate() error {
	if min(o.limits.Total, o.limits.PerUser, o.limits.PerHost) < 1 {
		return errVerificationLimit
	}
	_, err := o.destinations()
	return err
}

// destinations is where a test may go that a value names.
func (o *verificationOptions) destinations() (*dialing.Guard, error) {
	allow, err := prefixes("--verification-allow-cidrs", o.allow)
	if err != nil {
		return nil, err
	}
	deny, err := prefixes("--verification-deny-cidrs", o.deny)
	if err != nil {
		return nil, err
	}
	return dialing.NewGuard(allow, deny), nil
}

func prefixes(flag string, texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is no range of addresses: give one such as 10.0.0.0/8, 192.0.2.7/32 or fd00::/8", flag, text)
		}
		if prefix != prefix.Masked() {
			return nil, fmt.Errorf("%s: %q has bits beyond its length: give %s for that range, or %s for the address alone",
				flag, text, prefix.Masked(), netip.PrefixFrom(prefix.Addr(), prefix.Addr().BitLen()))
		}
		all = append(all, prefix)
	}
	return all, nil
}

// tester tests values where the flags let it go.
func (o *verificationOptions) tester() (*verify.Tester, error) {
	destinations, err := o.destinations()
	if err != nil {
		return nil, err
	}
	return verify.New(verify.Options{Destinations: destinations}), nil
}
