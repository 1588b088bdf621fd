package dialing

import "net/netip"

// refusal is a range of addresses and what they are, in words with their article.
type refusal struct {
	prefix netip.Prefix
	kind   string
}

const metadata = "the address of a cloud provider's metadata service"

// builtIn are the ranges where no connection goes unless it is allowed. Metadata
// services stand first: most of them lie in a range that has its own line.
//
// The ranges are those of IANA's registries of special-purpose addresses
// (RFC 6890); the services' addresses are those that the providers publish.
var builtIn = []refusal{
	{netip.MustParsePrefix("169.254.169.254/32"), metadata}, // AWS, Azure, Google Cloud, Oracle, DigitalOcean, OpenStack and more
	{netip.MustParsePrefix("169.254.170.0/24"), metadata},   // AWS: credentials of ECS tasks and EKS pods
	{netip.MustParsePrefix("100.100.100.200/32"), metadata}, // Alibaba Cloud
	{netip.MustParsePrefix("168.63.129.16/32"), metadata},   // Azure's WireServer
	{netip.MustParsePrefix("192.0.0.192/32"), metadata},     // Oracle Cloud Classic
	{netip.MustParsePrefix("fd00:ec2::/32"), metadata},      // AWS: ::254, and ::23 of EKS pods
	{netip.MustParsePrefix("fd20:ce::254/128"), metadata},   // Google Cloud
	{netip.MustParsePrefix("fd00:42::42/128"), metadata},    // Scaleway

	{netip.MustParsePrefix("127.0.0.0/8"), "a loopback address"},
	{netip.MustParsePrefix("::1/128"), "a loopback address"},
	{netip.MustParsePrefix("0.0.0.0/8"), "an unspecified address"}, // RFC 1122, section 3.2.1.3: this host on this network
	{netip.MustParsePrefix("::/128"), "an unspecified address"},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address"},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address"},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address"},
	{netip.MustParsePrefix("ff00::/8"), "a multicast address"},
	{netip.MustParsePrefix("255.255.255.255/32"), "a broadcast address"},
	{netip.MustParsePrefix("240.0.0.0/4"), "a reserved address"},
	// RFC 8215: each network sets its own length, so what stands in it cannot be told.
	{netip.MustParsePrefix("64:ff9b:1::/48"), "an address of a translator (NAT64)"},
}

var (
	compatible = netip.MustParsePrefix("::/96")        // RFC 4291, section 2.5.5.1
	nat64      = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052, section 2.1
	sixToFour  = netip.MustParsePrefix("2002::/16")    // RFC 3056, section 2
	teredo     = netip.MustParsePrefix("2001::/32")    // RFC 4380, section 4
)

// embedded returns the IPv4 addresses that translators and tunnels may send what
// goes to an IPv6 address on to. An IPv4-mapped address is no case of it: it is
// the IPv4 address.
func embedded(addr netip.Addr) []netip.Addr {
	if !addr.Is6() {
		return nil
	}
	b := addr.As16()
	last := netip.AddrFrom4([4]byte(b[12:]))
	switch {
	case addr == netip.IPv6Unspecified() || addr == netip.IPv6Loopback():
		return nil
	case compatible.Contains(addr), nat64.Contains(addr):
		return []netip.Addr{last}
	case sixToFour.Contains(addr):
		return []netip.Addr{netip.AddrFrom4([4]byte(b[2:6]))}
	case teredo.Contains(addr):
		// The client's address is stored inverted.
		return []netip.Addr{netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}
	default:
		return nil
	}
}
