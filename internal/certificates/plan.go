package certificates

import (
	"crypto/x509"
	"slices"
	"time"
)

// overlap is how long every configuration must have carried a CA before it signs.
// API servers learn of a changed configuration by a watch, within seconds; an
// hour leaves room for one that was cut off or slow, and costs nothing.
const overlap = time.Hour

// step is what is to be done next to the trust in the Secret.
type step string

const (
	// keep: nothing.
	keep step = "keep"
	// found: make the first CA, or the one in place of an unusable one, which signs at once.
	found step = "found"
	// prepare: make the next CA and add it to the bundle. It signs nothing yet.
	prepare step = "prepare"
	// announce: note since when all configurations carry the next CA.
	announce step = "announce"
	// promote: the next CA becomes the current one; the current one stays in the bundle.
	promote step = "promote"
	// tidy: drop expired CAs, and write anew what could not be read.
	tidy step = "tidy"
)

// plan says what is to be done now. published says that every webhook
// configuration carries the next CA at this moment.
//
// A whole change is prepare, announce, promote and, months later, tidy. Each
// step can be repeated or taken by another replica than the one before.
func plan(t trust, published bool, now time.Time) step {
	switch {
	case !t.current.live(now) && t.next.live(now):
		// Nothing that the current CA signed is valid any more, so there is nothing to wait for.
		return promote
	case !t.current.live(now):
		return found
	case t.flaw != nil || slices.ContainsFunc(t.certificates(), expiredAt(now)):
		return tidy
	case t.next == nil:
		return when(!now.Before(renewal(t.current.certificate)), prepare)
	case !published:
		return keep
	case t.published.IsZero():
		return announce
	default:
		return when(!now.Before(t.published.Add(overlap)), promote)
	}
}

func when(due bool, s step) step {
	if due {
		return s
	}
	return keep
}

// after returns the trust with a step taken. It fails only where no key can be made.
func (t trust) after(s step, now time.Time) (trust, error) {
	var err error
	switch s {
	case found:
		t = trust{previous: t.certificates()}
		t.current, err = newAuthority(now)
	case prepare:
		t.published = time.Time{}
		t.next, err = newAuthority(now)
	case announce:
		t.published = now
	case promote:
		t = trust{current: t.next, previous: t.without(t.next)}
	}
	return t.tidied(now), err
}

// without returns the certificates of all but a.
func (t trust) without(a *authority) []*x509.Certificate {
	return slices.DeleteFunc(t.certificates(), a.certificate.Equal)
}

// tidied drops what has expired, except for the signing CA, which only another one can replace.
func (t trust) tidied(now time.Time) trust {
	t.flaw = nil
	t.previous = slices.DeleteFunc(slices.Clone(t.previous), expiredAt(now))
	if !t.next.live(now) {
		t.next = nil
	}
	if t.next == nil {
		t.published = time.Time{}
	}
	return t
}

// nextChange is when plan may give another answer without anything but time having changed.
func (t trust) nextChange() time.Time {
	var times []time.Time
	for _, c := range t.certificates() {
		times = append(times, c.NotAfter)
	}
	if t.next == nil {
		return earliest(append(times, renewal(t.current.certificate))...)
	}
	if !t.published.IsZero() {
		times = append(times, t.published.Add(overlap))
	}
	return earliest(times...)
}

func expiredAt(now time.Time) func(*x509.Certificate) bool {
	return func(c *x509.Certificate) bool { return expired(c, now) }
}
