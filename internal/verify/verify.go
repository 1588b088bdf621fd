// Package verify asks the service that gave out a value whether it accepts it.
//
// How to ask is the catalogue's: an entry's test names the request and says how
// to read the answer. The package promises that a test ends in bounded time and
// memory whatever the other side does, goes nowhere but where the catalogue or,
// for connection strings, the dialer allows, and that no [Result] repeats the
// value or anything that the other side said.
package verify

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"time"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/dialing"
	"usersecrets.dev/operator/internal/secretvalue"
)

// DefaultTimeout bounds a whole test, from looking the name up to the verdict.
const DefaultTimeout = 10 * time.Second

// Result is what a connection test found.
type Result struct {
	// Reason is one of v1alpha1.ReasonAccepted, ReasonRejected,
	// ReasonUnreachable and ReasonNotTestable.
	Reason string
	// Message says it in words, without the value: one line of at most 512 bytes.
	Message string
	// RetryAfter is how long the server asked to wait, at most an hour; 0 where
	// it did not say.
	RetryAfter time.Duration
}

// Options say how tests connect. The zero Options are those of a workstation.
type Options struct {
	// RootCAs are the authorities whose certificates are trusted; nil means the
	// system's.
	RootCAs *x509.CertPool
	// Destinations opens the connections to servers that a value names; nil means
	// a guard without lists.
	Destinations *dialing.Guard
	// Timeout bounds each test; 0 means [DefaultTimeout].
	Timeout time.Duration
	// HTTPDial opens the connections of HTTP tests; nil means the net package's.
	HTTPDial func(ctx context.Context, network, address string) (net.Conn, error)
	// HTTPProxy chooses the proxy of an HTTP test; nil means the one that the
	// environment names ([http.ProxyFromEnvironment]).
	HTTPProxy func(*http.Request) (*url.URL, error)
}

// Tester runs connection tests, any number at once.
type Tester struct {
	timeout      time.Duration
	http         http.RoundTripper
	destinations *dialing.Guard
	rootCAs      *x509.CertPool
}

// New returns a Tester.
func New(o Options) *Tester {
	t := &Tester{timeout: o.Timeout, http: transport(o), destinations: o.Destinations, rootCAs: o.RootCAs}
	if t.destinations == nil {
		t.destinations = dialing.NewGuard(nil, nil)
	}
	if t.timeout == 0 {
		t.timeout = DefaultTimeout
	}
	return t
}

// Test tests a value as its provider's entry says. An entry without a test, or
// nil, gives ReasonNotTestable. Where ctx ends the test gives ReasonUnreachable,
// and the caller looks at ctx.
func (t *Tester) Test(ctx context.Context, entry *v1alpha1.ProviderType, value secretvalue.Value) Result {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	result := t.run(ctx, entry, value)
	result.Message = present(result.Message, value)
	return result
}

func (t *Tester) run(ctx context.Context, entry *v1alpha1.ProviderType, value secretvalue.Value) Result {
	if entry == nil || entry.Test == nil {
		return notTestable("the catalogue has no test for such values")
	}
	switch test := entry.Test; {
	case test.HTTP != nil:
		return t.askHTTP(ctx, test.HTTP, value)
	case test.Postgres != nil:
		return t.postgres(ctx, value)
	case test.MySQL != nil:
		return t.mysql(ctx, value)
	default:
		return notTestable("the catalogue's test is of a kind that this version does not know")
	}
}

func accepted(message string) Result {
	return Result{Reason: v1alpha1.ReasonAccepted, Message: message}
}

func rejected(message string) Result {
	return Result{Reason: v1alpha1.ReasonRejected, Message: message}
}

func unreachable(message string) Result {
	return Result{Reason: v1alpha1.ReasonUnreachable, Message: message}
}

func notTestable(message string) Result {
	return Result{Reason: v1alpha1.ReasonNotTestable, Message: message}
}
