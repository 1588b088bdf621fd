package dialing_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"usersecrets.dev/operator/internal/dialing"
)

// answers is a resolver that gives its answers one after the other, the last one
// again and again.
type answers struct {
	given [][]string
	asked int
}

func (a *answers) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	answer := a.given[min(a.asked, len(a.given)-1)]
	a.asked++
	if network != "ip" {
		return nil, errors.New("asked for network " + network)
	}
	if len(answer) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var addrs []netip.Addr
	for _, s := range answer {
		addrs = append(addrs, netip.MustParseAddr(s))
	}
	return addrs, nil
}

func prefixes(given ...string) []netip.Prefix {
	var result []netip.Prefix
	for _, s := range given {
		result = append(result, netip.MustParsePrefix(s))
	}
	return result
}

// wantKind fails where err is not a refusal of this kind; "" is none at all.
func wantKind(t *testing.T, err error, kind string) {
	t.Helper()
	var refused *dialing.RefusedError
	switch {
	case kind == "" && err != nil:
		t.Errorf("refused: %v", err)
	case kind != "" && (!errors.As(err, &refused) || refused.Kind != kind):
		t.Errorf("error %v, want refusal of %s", err, kind)
	}
}

const (
	loopback    = "a loopback address"
	unspecified = "an unspecified address"
	linkLocal   = "a link-local address"
	metadata    = "the address of a cloud provider's metadata service"
	multicast   = "a multicast address"
	standsFor   = "an IPv6 address that stands for "
	denied      = "an address that the operator's configuration denies"
)

func TestCheck(t *testing.T) {
	tests := map[string]struct {
		addr        string
		allow, deny []netip.Prefix
		wantKind    string
	}{
		"public":                            {addr: "192.0.2.10"},
		"public IPv6":                       {addr: "2001:db8::1"},
		"private":                           {addr: "10.0.0.5"},
		"private IPv6":                      {addr: "fd12:3456::1"},
		"loopback":                          {addr: "127.0.0.1", wantKind: loopback},
		"end of loopback":                   {addr: "127.255.255.255", wantKind: loopback},
		"after loopback":                    {addr: "128.0.0.1"},
		"IPv6 loopback":                     {addr: "::1", wantKind: loopback},
		"mapped loopback":                   {addr: "::ffff:127.0.0.1", wantKind: loopback},
		"compatible loopback":               {addr: "::127.0.0.1", wantKind: standsFor + loopback},
		"compatible public":                 {addr: "::192.0.2.10"},
		"translated loopback":               {addr: "64:ff9b::127.0.0.1", wantKind: standsFor + loopback},
		"translated metadata":               {addr: "64:ff9b::169.254.169.254", wantKind: standsFor + metadata},
		"translated public":                 {addr: "64:ff9b::192.0.2.10"},
		"locally translated":                {addr: "64:ff9b:1::192.0.2.10", wantKind: "an address of a translator (NAT64)"},
		"6to4 of loopback":                  {addr: "2002:7f00:1::1", wantKind: standsFor + loopback},
		"6to4 of metadata":                  {addr: "2002:a9fe:a9fe::", wantKind: standsFor + metadata},
		"6to4 of public":                    {addr: "2002:c000:20a::1"},
		"Teredo of loopback":                {addr: "2001:0:c000:20a:0:0:80ff:fffe", wantKind: standsFor + loopback},
		"unspecified":                       {addr: "0.0.0.0", wantKind: unspecified},
		"this network":                      {addr: "0.1.2.3", wantKind: unspecified},
		"IPv6 unspecified":                  {addr: "::", wantKind: unspecified},
		"mapped unspecified":                {addr: "::ffff:0.0.0.0", wantKind: unspecified},
		"link-local":                        {addr: "169.254.1.1", wantKind: linkLocal},
		"IPv6 link-local":                   {addr: "fe80::1", wantKind: linkLocal},
		"end of IPv6 link-local":            {addr: "febf::1", wantKind: linkLocal},
		"zone":                              {addr: "fe80::1%eth0", wantKind: "an address with a zone"},
		"zone of a public one":              {addr: "2001:db8::1%eth0", wantKind: "an address with a zone"},
		"metadata":                          {addr: "169.254.169.254", wantKind: metadata},
		"mapped metadata":                   {addr: "::ffff:169.254.169.254", wantKind: metadata},
		"metadata of ECS":                   {addr: "169.254.170.2", wantKind: metadata},
		"metadata of AWS, IPv6":             {addr: "fd00:ec2::254", wantKind: metadata},
		"metadata of Google, IPv6":          {addr: "fd20:ce::254", wantKind: metadata},
		"metadata of Alibaba":               {addr: "100.100.100.200", wantKind: metadata},
		"metadata of Oracle":                {addr: "192.0.0.192", wantKind: metadata},
		"metadata of Azure":                 {addr: "168.63.129.16", wantKind: metadata},
		"metadata of Scaleway":              {addr: "fd00:42::42", wantKind: metadata},
		"multicast":                         {addr: "224.0.0.1", wantKind: multicast},
		"IPv6 multicast":                    {addr: "ff02::1", wantKind: multicast},
		"broadcast":                         {addr: "255.255.255.255", wantKind: "a broadcast address"},
		"reserved":                          {addr: "240.0.0.1", wantKind: "a reserved address"},
		"allowed":                           {addr: "127.0.0.1", allow: prefixes("127.0.0.0/8")},
		"allowed, mapped":                   {addr: "::ffff:127.0.0.1", allow: prefixes("127.0.0.0/8")},
		"allowed by a mapped prefix":        {addr: "127.0.0.1", allow: prefixes("::ffff:127.0.0.0/104")},
		"allowed behind a translator":       {addr: "64:ff9b::127.0.0.1", allow: prefixes("127.0.0.0/8")},
		"others than what is allowed":       {addr: "::1", allow: prefixes("127.0.0.0/8"), wantKind: loopback},
		"public where others are allowed":   {addr: "192.0.2.10", allow: prefixes("127.0.0.0/8")},
		"denied":                            {addr: "10.0.0.5", deny: prefixes("10.0.0.0/8"), wantKind: denied},
		"denied, mapped":                    {addr: "::ffff:10.0.0.5", deny: prefixes("10.0.0.0/8"), wantKind: denied},
		"denied behind a translator":        {addr: "64:ff9b::10.0.0.5", deny: prefixes("10.0.0.0/8"), wantKind: standsFor + denied},
		"denied by a prefix with host bits": {addr: "10.9.9.9", deny: prefixes("10.0.0.5/8"), wantKind: denied},
		"denied and allowed":                {addr: "127.0.0.1", allow: prefixes("127.0.0.0/8"), deny: prefixes("127.0.0.1/32"), wantKind: denied},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			wantKind(t, dialing.NewGuard(tt.allow, tt.deny).Check(netip.MustParseAddr(tt.addr)), tt.wantKind)
		})
	}
	wantKind(t, dialing.NewGuard(nil, nil).Check(netip.Addr{}), "no address")
}

func TestDialRefuses(t *testing.T) {
	const (
		number     = "a number that is no IP address in standard form"
		socket     = "a Unix socket"
		noHostName = "no host name"
	)
	tests := map[string]struct {
		network, address string
		answers          [][]string
		wantKind         string
		wantAsked        int
	}{
		"loopback":                        {address: "127.0.0.1:5432", wantKind: loopback},
		"IPv6 loopback":                   {address: "[::1]:5432", wantKind: loopback},
		"unspecified":                     {address: "0.0.0.0:5432", wantKind: unspecified},
		"metadata":                        {address: "169.254.169.254:80", wantKind: metadata},
		"mapped loopback":                 {address: "[::ffff:127.0.0.1]:5432", wantKind: loopback},
		"zone":                            {address: "[fe80::1%lo]:5432", wantKind: "an address with a zone"},
		"decimal":                         {address: "2130706433:5432", wantKind: number},
		"hexadecimal":                     {address: "0x7f000001:5432", wantKind: number},
		"hexadecimal of two parts":        {address: "0x7f.1:5432", wantKind: number},
		"hexadecimal at the end":          {address: "127.0.0.0X1:5432", wantKind: number},
		"octal":                           {address: "0177.0.0.1:5432", wantKind: number},
		"short form":                      {address: "127.1:5432", wantKind: number},
		"dot at the end":                  {address: "127.0.0.1.:5432", wantKind: number},
		"dot alone":                       {address: ".:5432", wantKind: number},
		"fullwidth digits":                {address: "127.0.0.\uff11:5432", wantKind: noHostName},
		"blank":                           {address: "db .example:5432", wantKind: noHostName},
		"NUL":                             {address: "db\x00.example:5432", wantKind: noHostName},
		"too long":                        {address: strings.Repeat("a.", 127) + "bc:5432", wantKind: noHostName},
		"no host":                         {address: ":5432", wantKind: "no host"},
		"path":                            {address: "/var/run/postgresql:5432", wantKind: socket},
		"abstract socket":                 {address: "@postgresql:5432", wantKind: socket},
		"network unix":                    {network: "unix", address: "db.example:5432", answers: [][]string{{"192.0.2.10"}}, wantKind: "a network other than TCP", wantAsked: 1},
		"name of loopback":                {address: "db.example:5432", answers: [][]string{{"127.0.0.1"}}, wantKind: loopback, wantAsked: 1},
		"name of mapped loopback":         {address: "db.example:5432", answers: [][]string{{"::ffff:127.0.0.1"}}, wantKind: loopback, wantAsked: 1},
		"name with a refused address":     {address: "db.example:5432", answers: [][]string{{"192.0.2.10", "127.0.0.1"}}, wantKind: loopback, wantAsked: 1},
		"name with a refused one first":   {address: "db.example:5432", answers: [][]string{{"169.254.169.254", "192.0.2.10"}}, wantKind: metadata, wantAsked: 1},
		"name with both families":         {address: "db.example:5432", answers: [][]string{{"192.0.2.10", "::1"}}, wantKind: loopback, wantAsked: 1},
		"name that would change its mind": {address: "db.example:5432", answers: [][]string{{"127.0.0.1"}, {"192.0.2.10"}}, wantKind: loopback, wantAsked: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			resolver := &answers{given: append([][]string{}, tt.answers...)}
			if len(tt.answers) == 0 {
				resolver.given = [][]string{{"192.0.2.1"}}
			}
			network := tt.network
			if network == "" {
				network = "tcp"
			}
			conn, err := dialing.NewGuard(nil, nil).WithResolver(resolver).DialContext(t.Context(), network, tt.address)
			if err == nil {
				_ = conn.Close()
			}
			wantKind(t, err, tt.wantKind)
			if resolver.asked != tt.wantAsked {
				t.Errorf("asked for addresses %d times, want %d", resolver.asked, tt.wantAsked)
			}
			host, _, _ := net.SplitHostPort(tt.address)
			if len(host) > 1 && strings.Contains(err.Error(), host) {
				t.Errorf("error %q names the host", err)
			}
		})
	}
}

// listen returns the port of a listener on addr, and a channel of where those
// connected to that came.
func listen(t *testing.T, addr string) (port uint16, came <-chan string) {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	connections := make(chan string, 8)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections <- conn.LocalAddr().(*net.TCPAddr).IP.String()
			_ = conn.Close()
		}
	}()
	return netip.MustParseAddrPort(listener.Addr().String()).Port(), connections
}

// Who resolves first, and dials later, is told at once.
func TestResolveRefuses(t *testing.T) {
	for name, answer := range map[string][]string{
		"alone": {"127.0.0.1"}, "first": {"127.0.0.1", "192.0.2.10"}, "last": {"192.0.2.10", "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			addrs, err := dialing.NewGuard(nil, nil).WithResolver(&answers{given: [][]string{answer}}).Resolve(t.Context(), "db.example")
			if addrs != nil {
				t.Errorf("addresses %v, want none", addrs)
			}
			wantKind(t, err, loopback)
		})
	}
}

// A name that answers with an allowed address first and a refused one afterwards
// is connected to at the first, and asked for once.
func TestDialUsesTheAddressThatItChecked(t *testing.T) {
	port, came := listen(t, "127.0.0.2")
	resolver := &answers{given: [][]string{{"127.0.0.2"}, {"127.0.0.1"}}}
	guard := dialing.NewGuard(prefixes("127.0.0.2/32"), nil).WithResolver(resolver)
	conn, err := guard.DialContext(t.Context(), "tcp", net.JoinHostPort("db.example", strconv.Itoa(int(port))))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if got := <-came; got != "127.0.0.2" {
		t.Errorf("connected to %s, want 127.0.0.2", got)
	}
	if resolver.asked != 1 {
		t.Errorf("asked for addresses %d times, want once", resolver.asked)
	}
}

// Dial checks what it is given, whoever resolved it.
func TestDialChecksAgain(t *testing.T) {
	port, _ := listen(t, "127.0.0.1")
	_, err := dialing.NewGuard(nil, nil).Dial(t.Context(), "tcp", []netip.Addr{netip.MustParseAddr("127.0.0.1")}, port)
	wantKind(t, err, loopback)
}

func TestDialTriesTheNextAddress(t *testing.T) {
	port, came := listen(t, "127.0.0.3")
	resolver := &answers{given: [][]string{{"127.0.0.2", "127.0.0.3"}}}
	guard := dialing.NewGuard(prefixes("127.0.0.0/8"), nil).WithResolver(resolver)
	conn, err := guard.DialContext(t.Context(), "tcp", net.JoinHostPort("db.example", strconv.Itoa(int(port))))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if got := <-came; got != "127.0.0.3" {
		t.Errorf("connected to %s, want 127.0.0.3", got)
	}
}

func TestDialFails(t *testing.T) {
	ended, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	tests := map[string]struct {
		ctx     context.Context
		address string
		answer  []string
		want    func(error) bool
	}{
		"no port":      {address: "db.example", want: isAs[*net.AddrError]},
		"named port":   {address: "db.example:postgresql", answer: []string{"192.0.2.10"}, want: isAs[*net.AddrError]},
		"unknown name": {address: "db.example:5432", want: isAs[*net.DNSError]},
		"ended":        {ctx: ended, address: "db.example:5432", answer: []string{"192.0.2.10", "192.0.2.11"}, want: isAs[net.Error]},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ctx := tt.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			guard := dialing.NewGuard(nil, nil).WithResolver(&answers{given: [][]string{tt.answer}})
			if _, err := guard.DialContext(ctx, "tcp", tt.address); err == nil || !tt.want(err) {
				t.Errorf("error %T %v", err, err)
			}
		})
	}
}

func isAs[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}
