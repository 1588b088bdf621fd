package verify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/dialing"
)

// maxRead is how many bytes a test reads from a database server on one connection.
// A login and SELECT 1 take a few KiB. It also bounds the RSA keys by which a MySQL
// server may have the password encrypted, the work of which grows by the square.
const maxRead = 64 << 10

var errTooMuch = errors.New("the server sent more than a test reads")

// unusable says why a connection string is not tested, and what to change. It
// repeats nothing of the string but the names of options that this package knows.
type unusable string

// Error implements error.
func (u unusable) Error() string { return string(u) }

// endpoint is a server as a connection string names it.
type endpoint struct {
	host string
	port uint16
}

// server is an endpoint whose addresses are known, and may be connected to.
type server struct {
	endpoint
	addrs []netip.Addr
	err   error // that of looking the host up
}

// resolve looks every endpoint up before any is connected to. A refused one
// refuses them all.
func (t *Tester) resolve(ctx context.Context, endpoints []endpoint) ([]server, error) {
	servers := make([]server, 0, len(endpoints))
	for _, e := range endpoints {
		addrs, err := t.destinations.Resolve(ctx, e.host)
		var refused *dialing.RefusedError
		if errors.As(err, &refused) {
			return nil, unusable("the connection string names " + refused.Error())
		}
		servers = append(servers, server{endpoint: e, addrs: addrs, err: err})
	}
	return servers, nil
}

// security is how a connection is protected.
type security int

const (
	plain         security = iota
	encrypted              // by TLS, whatever the certificate
	chainVerified          // by TLS, with a certificate of a trusted authority
	nameVerified           // likewise, and for the name that was connected to
)

// tlsConfig is nil for a plain connection.
func (t *Tester) tlsConfig(s security, host string) *tls.Config {
	if s == plain {
		return nil
	}
	config := &tls.Config{ServerName: host, RootCAs: t.rootCAs, MinVersion: tls.VersionTLS12}
	if s == nameVerified {
		return config
	}
	// What the connection string asks for; the drivers' own default is the same.
	config.InsecureSkipVerify = true
	if s == chainVerified {
		config.VerifyConnection = func(state tls.ConnectionState) error {
			intermediates := x509.NewCertPool()
			for _, c := range state.PeerCertificates[1:] {
				intermediates.AddCert(c)
			}
			_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: t.rootCAs, Intermediates: intermediates})
			return err
		}
	}
	return config
}

// attempt is one try to log in, with how sure its result is: after one that is
// not settled, another security or another server may give a better one.
type attempt struct {
	Result
	settled bool
}

// attempts tries the servers in order, each with every security in order, until a
// result is settled or a server has rejected the value. Each try has its share of
// the time that is left.
func attempts(ctx context.Context, servers []server, securities []security, try func(context.Context, server, security) attempt) Result {
	var result Result
	left := len(servers) * len(securities)
	for _, server := range servers {
		for _, s := range securities {
			tryCtx, cancel := shareOf(ctx, left)
			got := try(tryCtx, server, s)
			cancel()
			left--
			// What a server says of the value tells more than what became of
			// another try.
			if result.Reason != v1alpha1.ReasonRejected || got.Reason == v1alpha1.ReasonAccepted {
				result = got.Result
			}
			if got.settled {
				return result
			}
		}
		if result.Reason == v1alpha1.ReasonRejected {
			break
		}
	}
	return result
}

// shareOf gives one of n tries its share of the time that ctx has left.
func shareOf(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || n <= 1 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(n))
}

// line is the connection of one try. Drivers dial through it, and so reach no
// address but the server's that were checked, and read no more than maxRead.
type line struct {
	ctx    context.Context // the try's: its end closes the connection
	guard  *dialing.Guard
	server server
	conn   *boundedConn
}

// dial connects, whatever network and address the driver names. After the try it
// connects no more: pgx asks a server to cancel what it waits for.
func (l *line) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := l.ctx.Err(); err != nil {
		return nil, err
	}
	if l.server.err != nil {
		return nil, l.server.err
	}
	conn, err := l.guard.Dial(ctx, "tcp", l.server.addrs, l.server.port)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(l.ctx, func() { _ = conn.Close() })
	l.conn = &boundedConn{Conn: conn}
	l.conn.left.Store(maxRead)
	return l.conn, nil
}

// cause returns why a driver failed, which it may not say itself.
func (l *line) cause(err error) error {
	if l.conn == nil {
		return err
	}
	if failure := l.conn.failure.Load(); failure != nil {
		return errors.Join(err, *failure)
	}
	return err
}

// boundedConn fails once it has read as many bytes as it may. It keeps the first
// error of reading.
type boundedConn struct {
	net.Conn
	left    atomic.Int64
	failure atomic.Pointer[error]
}

// Read implements [net.Conn].
func (c *boundedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.left.Add(-int64(n)) < 0 {
		n, err = 0, errTooMuch
		_ = c.Close()
	}
	if err != nil {
		c.failure.CompareAndSwap(nil, &err)
	}
	return n, err
}

// explainDatabase says what became of a connection, where the server did not say.
func (t *Tester) explainDatabase(ctx context.Context, err error) Result {
	switch {
	case errors.Is(err, errTooMuch):
		return unreachable("the server sent more than the answer to a login")
	case errors.Is(err, errTooHard):
		return unreachable("the server asks for a login of more than 999999 SCRAM iterations")
	}
	return unreachable("the server " + t.explain(ctx, err))
}
