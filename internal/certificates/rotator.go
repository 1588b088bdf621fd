package certificates

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Reasons why [Rotator.Ready] is not.
var (
	// ErrNoCertificate: no serving certificate is loaded.
	ErrNoCertificate = errors.New("no serving certificate")
	// ErrExpired: the serving certificate has expired and could not be renewed.
	ErrExpired = errors.New("the serving certificate has expired")
	// ErrNotInPlace: a webhook configuration is absent or does not trust the serving certificate's CA.
	ErrNotInPlace = errors.New("webhook configurations are not in place")
)

// ErrUnsettled is returned where other writers kept changing the Secret or the
// configurations, so that no turn ended with nothing left to do. Trying again is safe.
var ErrUnsettled = errors.New("the CA or the webhook configurations kept changing")

// maxTurns is more than the longest chain (tidy, prepare, announce) with a few lost races.
const maxTurns = 10

// Rotator keeps the CA, this replica's serving certificate and the CA bundles in
// the webhook configurations. [Rotator.GetCertificate], [Rotator.Ready] and
// [Rotator.Check] may be called from any goroutine at any time.
type Rotator struct {
	client  client.Client
	options Options
	names   names
	clock   clock.PassiveClock

	serving atomic.Pointer[tls.Certificate]
	// misplaced is why the configurations, as last seen, are not in place; nil
	// inside where they are.
	misplaced atomic.Pointer[error]
}

// New returns a Rotator that reads and writes by c, which must read from the API
// server, not from a cache: the safety of a CA's change rests on it. Wrong options
// are refused with [ErrOptions].
func New(c client.Client, options Options) (*Rotator, error) {
	options = options.withDefaults()
	if err := options.validate(); err != nil {
		return nil, err
	}
	return &Rotator{client: c, options: options, names: options.names(), clock: options.Clock}, nil
}

// Ensure makes or reads the CA, signs this replica's certificate and writes the
// bundle into the webhook configurations that exist. After it returned nil,
// [Rotator.GetCertificate] has a certificate: call it before the manager starts.
func (r *Rotator) Ensure(ctx context.Context) error {
	_, err := r.settle(ctx)
	return err
}

// GetCertificate is for [tls.Config], the webhook server's. It fails with
// [ErrNoCertificate] before [Rotator.Ensure].
func (r *Rotator) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if serving := r.serving.Load(); serving != nil {
		return serving, nil
	}
	return nil, ErrNoCertificate
}

// Ready returns nil when API servers can call this replica: its certificate is
// valid, and both webhook configurations trust the CA that signed it. Otherwise
// the error is one of [ErrNoCertificate], [ErrExpired] and [ErrNotInPlace], and
// says what is missing. It asks nothing of the API server.
func (r *Rotator) Ready() error {
	serving := r.serving.Load()
	if serving == nil {
		return fmt.Errorf("%w: the Secret %s/%s was neither read nor made yet", ErrNoCertificate, r.options.Namespace, r.options.SecretName)
	}
	if expired(serving.Leaf, r.clock.Now()) {
		return fmt.Errorf("%w at %s: see the operator's log for why it was not renewed", ErrExpired, serving.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	misplaced := r.misplaced.Load()
	if misplaced == nil {
		return fmt.Errorf("%w: they were not read yet", ErrNotInPlace)
	}
	return *misplaced
}

// Check is [Rotator.Ready] as a readiness check of the manager.
func (r *Rotator) Check(*http.Request) error { return r.Ready() }

// settle takes turns until there is nothing to do, and returns when there may be again.
func (r *Rotator) settle(ctx context.Context) (time.Time, error) {
	var err error
	for range maxTurns {
		var next time.Time
		var settled bool
		next, settled, err = r.turn(ctx)
		switch {
		case err != nil && !lostRace(err):
			return time.Time{}, err
		case err == nil && settled:
			return next, nil
		}
	}
	return time.Time{}, errors.Join(ErrUnsettled, err)
}
