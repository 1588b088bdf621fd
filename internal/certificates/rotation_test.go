package certificates

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"
)

// world is what a CA's change must not break: replicas that sign anew at different
// times, and an API server that sees a configuration late.
type world struct {
	t        *testing.T
	now      time.Time
	secret   map[string][]byte
	replicas []*tls.Certificate
	// bundles are those that the API server may still have: the newest, and those replaced within lag.
	bundles []seen
	steps   []step
}

type seen struct {
	text     []byte
	replaced time.Time // zero: it is the newest
}

// lag is how late the API server is; every change must bear any shorter than overlap.
const lag = overlap - time.Minute

var servedNames = names{hosts: []string{"webhook.usersecrets-system.svc"}}

// turn is Rotator.turn with a map for the Secret: the same pure parts in the same order.
func (w *world) turn() trust {
	w.t.Helper()
	var state trust
	if w.secret != nil {
		state = decode(w.secret)
	}
	s := plan(state, w.carried(state), w.now)
	if s != keep {
		w.steps = append(w.steps, s)
		state = advance(w.t, state, s, w.now)
		data, err := state.encode()
		if err != nil {
			w.t.Fatal(err)
		}
		w.secret = data
	}
	w.publish(state.bundle())
	return state
}

func (w *world) carried(state trust) bool {
	if state.next == nil || len(w.bundles) == 0 {
		return false
	}
	carried, err := decodeBundle(w.bundles[len(w.bundles)-1].text)
	if err != nil {
		w.t.Fatal(err)
	}
	return contains(carried, state.next.certificate)
}

func contains(all []*x509.Certificate, c *x509.Certificate) bool {
	for _, other := range all {
		if other.Equal(c) {
			return true
		}
	}
	return false
}

func (w *world) publish(text []byte) {
	if n := len(w.bundles); n > 0 {
		if string(w.bundles[n-1].text) == string(text) {
			return
		}
		w.bundles[n-1].replaced = w.now
	}
	w.bundles = append(w.bundles, seen{text: text})
}

// sign gives a replica a new certificate where it needs one.
func (w *world) sign(replica int, state trust) {
	w.t.Helper()
	if !outdated(w.replicas[replica], state.current, w.now) {
		return
	}
	serving, err := state.current.serve(servedNames, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	w.replicas[replica] = serving
}

// check has every replica called with every bundle that an API server may still have.
func (w *world) check() {
	w.t.Helper()
	var current []seen
	for _, b := range w.bundles {
		if b.replaced.IsZero() || w.now.Sub(b.replaced) <= lag {
			current = append(current, b)
		}
	}
	w.bundles = current
	for i, serving := range w.replicas {
		for j, b := range w.bundles {
			if err := verify(serving, b.text, w.now); err != nil {
				w.t.Fatalf("%s after %v: replica %d, bundle %d of %d: %v", w.now, w.steps, i, j+1, len(w.bundles), err)
			}
		}
	}
}

func verify(serving *tls.Certificate, bundle []byte, now time.Time) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	_, err := serving.Leaf.Verify(x509.VerifyOptions{
		DNSName: servedNames.hosts[0], Roots: roots, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err
}

// Three years, two replicas, one of which looks at the Secret once a day only, and an
// API server that sees every new bundle 59 minutes late: no call ever fails.
func TestNoCallFailsWhileTheCAChanges(t *testing.T) {
	w := &world{t: t, now: start, replicas: make([]*tls.Certificate, 2)}
	var lazyTurn time.Time
	for w.now.Before(start.Add(3 * authorityLife)) {
		state := w.turn()
		w.sign(0, state)
		if w.now.Sub(lazyTurn) >= day {
			w.sign(1, state)
			lazyTurn = w.now
		}
		w.check()
		w.now = w.now.Add(w.pace(state))
	}
	counts := map[step]int{}
	for _, s := range w.steps {
		counts[s]++
	}
	for s, want := range map[step]int{found: 1, prepare: 4, announce: 4, promote: 4, tidy: 3} {
		if counts[s] != want {
			t.Errorf("took %s %d times in three years, want %d: %v", s, counts[s], want, w.steps)
		}
	}
}

// pace is how far the time moves: slowly where something happens.
func (w *world) pace(state trust) time.Duration {
	if state.next != nil || len(w.bundles) > 1 {
		return 29 * time.Minute
	}
	return 6 * time.Hour
}

// The phases of one change, and who is believed in each.
func TestPhases(t *testing.T) {
	w := &world{t: t, now: start, replicas: make([]*tls.Certificate, 1)}
	w.sign(0, w.turn())
	first := w.secret
	due := renewal(decode(first).current.certificate)

	w.now = due
	w.turn() // prepare
	w.turn() // announce
	prepared := decode(w.secret)
	w.replicas[0] = nil
	w.sign(0, prepared)
	before := w.replicas[0]
	if err := before.Leaf.CheckSignatureFrom(prepared.current.certificate); err != nil {
		t.Errorf("before the overlap: not signed by the current CA: %v", err)
	}

	w.now = due.Add(overlap)
	w.turn() // promote
	promoted := decode(w.secret)
	w.sign(0, promoted)
	after := w.replicas[0]

	for name, c := range map[string]struct {
		serving *tls.Certificate
		bundle  []byte
		want    bool
	}{
		"old serving, old bundle":      {before, first[bundleKey], true},
		"old serving, overlap bundle":  {before, prepared.bundle(), true},
		"old serving, promoted bundle": {before, promoted.bundle(), true},
		"new serving, overlap bundle":  {after, prepared.bundle(), true},
		"new serving, promoted bundle": {after, promoted.bundle(), true},
		// What the hour of overlap is for:
		"new serving, bundle from before the change": {after, first[bundleKey], false},
	} {
		if err := verify(c.serving, c.bundle, w.now); (err == nil) != c.want {
			t.Errorf("%s: %v, want believed %t", name, err, c.want)
		}
	}
	if len(promoted.previous) != 1 || !promoted.previous[0].Equal(prepared.current.certificate) {
		t.Error("the CA that signed before is not among the previous ones")
	}

	w.now = prepared.current.certificate.NotAfter
	w.turn() // tidy
	if left := decode(w.secret).certificates(); len(left) != 1 {
		t.Errorf("%d CAs left when the old one expired, want 1", len(left))
	}
}
