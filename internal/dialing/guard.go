package dialing

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// RefusedError says why no connection is made to a place. Its text names the kind
// of place alone, and neither host nor address: both may be part of a secret.
type RefusedError struct {
	// Kind is what the place is, in words with their article, such as "a loopback
	// address".
	Kind string
}

// Error implements error.
func (e *RefusedError) Error() string {
	return e.Kind + ", where connection tests may not go"
}

// Resolver finds the addresses of a name. [net.Resolver] is one.
type Resolver interface {
	// LookupNetIP returns the addresses of host; network is "ip".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Guard connects to places that it does not refuse. It is safe for use by several
// goroutines at once.
type Guard struct {
	allow, deny []netip.Prefix
	resolver    Resolver
	dialer      net.Dialer
}

// NewGuard returns a guard that refuses loopback, link-local, multicast,
// unspecified, broadcast and reserved addresses, and those of metadata services,
// but for the ones in allow; and all that are in deny, also where allow has them.
// IPv4 prefixes hold for the same addresses in IPv6, mapped or behind a
// translator.
func NewGuard(allow, deny []netip.Prefix) *Guard {
	return &Guard{allow: unmapped(allow), deny: unmapped(deny), resolver: net.DefaultResolver}
}

// WithResolver returns a copy of g that asks r for the addresses of names, where
// [NewGuard]'s asks [net.DefaultResolver].
func (g *Guard) WithResolver(r Resolver) *Guard {
	other := *g
	other.resolver = r
	return &other
}

// unmapped returns prefixes with the IPv4-mapped ones as the IPv4 ones they are.
func unmapped(prefixes []netip.Prefix) []netip.Prefix {
	const mappedBits = 96
	result := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		if p.Addr().Is4In6() && p.Bits() >= mappedBits {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mappedBits)
		}
		result = append(result, p.Masked())
	}
	return result
}

// Check returns a [RefusedError] where no connection may go to addr.
func (g *Guard) Check(addr netip.Addr) error {
	if !addr.IsValid() {
		return &RefusedError{Kind: "no address"}
	}
	if addr.Zone() != "" {
		return &RefusedError{Kind: "an address with a zone"}
	}
	addr = addr.Unmap()
	contains := func(p netip.Prefix) bool { return p.Contains(addr) }
	if slices.ContainsFunc(g.deny, contains) {
		return &RefusedError{Kind: "an address that the operator's configuration denies"}
	}
	if slices.ContainsFunc(g.allow, contains) {
		return nil
	}
	for _, r := range builtIn {
		if contains(r.prefix) {
			return &RefusedError{Kind: r.kind}
		}
	}
	for _, inner := range embedded(addr) {
		var refused *RefusedError
		if errors.As(g.Check(inner), &refused) {
			return &RefusedError{Kind: "an IPv6 address that stands for " + refused.Kind}
		}
	}
	return nil
}

// Resolve returns the addresses of host, each of them checked: an IP address, an
// IPv6 one without brackets, or a name, for whose addresses it asks once. It
// returns a [RefusedError] where one of them is refused, or host is a path, or no
// name and no address in standard form, as 2130706433 and 0x7f.1, which some
// resolvers take for 127.0.0.1. Other errors are the resolver's, and name host.
func (g *Guard) Resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}, g.Check(addr)
	}
	if err := checkName(host); err != nil {
		return nil, err
	}
	addrs, err := g.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no addresses", Name: host, IsNotFound: true}
	}
	for i, addr := range addrs {
		if err := g.Check(addr); err != nil {
			return nil, err
		}
		addrs[i] = addr.Unmap()
	}
	return addrs, nil
}

// maxNameLength is that of RFC 1035, section 2.3.4, written with dots.
const maxNameLength = 253

// checkName refuses what is no name that DNS may be asked for.
func checkName(host string) error {
	switch {
	case host == "":
		return &RefusedError{Kind: "no host"}
	case strings.ContainsAny(host, `/\@`):
		return &RefusedError{Kind: "a Unix socket"}
	case len(host) > maxNameLength:
		return &RefusedError{Kind: "no host name"}
	}
	for _, r := range host {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.' {
			return &RefusedError{Kind: "no host name"}
		}
	}
	// A name that ends in a number is an IPv4 address to whoever parses it the
	// way of inet_aton(3), as the WHATWG's URL Standard, section 3.5, puts it. No
	// top-level domain is one.
	last := strings.TrimSuffix(host, ".")
	last = last[strings.LastIndexByte(last, '.')+1:]
	if isNumber(last) {
		return &RefusedError{Kind: "a number that is no IP address in standard form"}
	}
	return nil
}

// isNumber is true of what inet_aton(3) reads as one: decimal, octal, or
// hexadecimal after 0x.
func isNumber(s string) bool {
	digits := "0123456789"
	if rest, ok := strings.CutPrefix(strings.ToLower(s), "0x"); ok {
		s, digits = rest, "0123456789abcdef"
	}
	return strings.Trim(strings.ToLower(s), digits) == ""
}

// DialContext connects to address, host and port number, over network "tcp",
// "tcp4" or "tcp6". It returns a [RefusedError] where it may not, and another
// error, which names the address, where it cannot. It has the signature of
// [net.Dialer]'s method.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := g.Resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, &net.AddrError{Err: "invalid port", Addr: address}
	}
	return g.Dial(ctx, network, addrs, uint16(number))
}

// Dial connects to the first of addrs that answers, as [Guard.Resolve] returned
// them; it checks them again. Errors are those of [Guard.DialContext].
func (g *Guard) Dial(ctx context.Context, network string, addrs []netip.Addr, port uint16) (net.Conn, error) {
	if !slices.Contains([]string{"tcp", "tcp4", "tcp6"}, network) {
		return nil, &RefusedError{Kind: "a network other than TCP"}
	}
	for _, addr := range addrs {
		if err := g.Check(addr); err != nil {
			return nil, err
		}
	}
	err := error(&net.AddrError{Err: "no addresses"})
	for i, addr := range addrs {
		var conn net.Conn
		conn, err = g.dialOne(ctx, network, netip.AddrPortFrom(addr.Unmap(), port), len(addrs)-i)
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// dialOne gives an address its share of the time that is left, so that one that
// does not answer leaves time for the next.
func (g *Guard) dialOne(ctx context.Context, network string, address netip.AddrPort, left int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	return g.dialer.DialContext(ctx, network, address.String())
}
