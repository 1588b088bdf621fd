package certificates

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	current := makeAuthority(t, start)
	due := renewal(current.certificate)
	next := makeAuthority(t, due)
	end := current.certificate.NotAfter
	gone := []*x509.Certificate{makeAuthority(t, start.Add(-300*day)).certificate}
	goneAt := gone[0].NotAfter

	for name, c := range map[string]struct {
		trust     trust
		published bool
		at        time.Time
		want      step
	}{
		"no Secret": {trust{}, false, start, found},
		"a Secret without a usable CA": {
			trust{flaw: errors.New("damaged"), previous: gone}, false, start, found,
		},
		"a CA that expired while nobody was there": {trust{current: current}, true, end, found},
		"both CAs expired": {
			trust{current: current, next: next, published: due}, true, end.Add(authorityLife), found,
		},

		"a fresh CA":                      {trust{current: current}, true, start, keep},
		"just before two thirds":          {trust{current: current}, true, due.Add(-time.Second), keep},
		"at two thirds":                   {trust{current: current}, true, due, prepare},
		"at two thirds, not published":    {trust{current: current}, false, due, prepare},
		"a change under way, unpublished": {trust{current: current, next: next}, false, due, keep},
		"a change published":              {trust{current: current, next: next}, true, due, announce},
		"published, too short ago": {
			trust{current: current, next: next, published: due}, true, due.Add(overlap - time.Second), keep,
		},
		"published long enough": {
			trust{current: current, next: next, published: due}, true, due.Add(overlap), promote,
		},
		"published, then taken out of a configuration": {
			trust{current: current, next: next, published: due}, false, due.Add(overlap), keep,
		},
		"never published, current about to end": {
			trust{current: current, next: next}, false, end.Add(-time.Second), keep,
		},
		"never published, current ended": {trust{current: current, next: next}, false, end, promote},
		"current unreadable, next at hand": {
			trust{next: next, flaw: errors.New("damaged")}, false, due, promote,
		},

		"a previous CA that is still valid": {
			trust{current: current, previous: gone}, true, goneAt.Add(-time.Second), keep,
		},
		"a previous CA that expired": {trust{current: current, previous: gone}, true, goneAt, tidy},
		"a next CA that expired before it signed": {
			trust{current: makeAuthority(t, start.Add(authorityLife)), next: current}, true, end, tidy,
		},
		"a damaged bundle": {
			trust{current: current, flaw: errors.New("damaged")}, true, start, tidy,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := plan(c.trust, c.published, c.at); got != c.want {
				t.Errorf("plan: %s, want %s", got, c.want)
			}
		})
	}
}

// A step taken is never planned again at the same moment: no loop, and no second write.
func TestStepsSettle(t *testing.T) {
	current := makeAuthority(t, start)
	due := renewal(current.certificate)
	next := makeAuthority(t, due)
	for name, c := range map[string]struct {
		trust trust
		at    time.Time
		want  []step
	}{
		"nothing there":  {trust{}, start, []step{found}},
		"all is well":    {trust{current: current}, start, nil},
		"time to change": {trust{current: current}, due, []step{prepare, announce}},
		"time to switch": {trust{current: current, next: next, published: due}, due.Add(overlap), []step{promote}},
		"everything at once": {
			trust{current: current, previous: []*x509.Certificate{makeAuthority(t, start.Add(-300*day)).certificate}, flaw: errors.New("damaged")},
			due, []step{tidy, prepare, announce},
		},
		"a next CA that never signed and expired": {
			trust{current: makeAuthority(t, start.Add(authorityLife)), next: current}, current.certificate.NotAfter, []step{tidy},
		},
		"after two years of absence": {
			trust{current: current, next: next, published: due}, start.Add(730 * day), []step{found},
		},
	} {
		t.Run(name, func(t *testing.T) {
			left, state := c.want, c.trust
			for range maxTurns {
				s := plan(state, true, c.at)
				if s == keep {
					break
				}
				if len(left) == 0 || left[0] != s {
					t.Fatalf("took %s, want %v", s, left)
				}
				left, state = left[1:], advance(t, state, s, c.at)
			}
			if len(left) > 0 {
				t.Errorf("did not take %v", left)
			}
			if !state.nextChange().After(c.at) {
				t.Errorf("settled, but the next change is at %s", state.nextChange())
			}
		})
	}
}

// A time that was left over from an earlier change would let the next CA sign before anybody trusts it.
func TestPrepareForgetsAnOlderTime(t *testing.T) {
	current := makeAuthority(t, start)
	leftOver := trust{current: current, published: start}
	due := renewal(current.certificate)
	if prepared := advance(t, leftOver, prepare, due); !prepared.published.IsZero() {
		t.Errorf("the next CA counts as published since %s", prepared.published)
	}
}

// nextChange must name the moment itself: a later one would miss it, an earlier one would wake for nothing.
func TestNextChange(t *testing.T) {
	current := makeAuthority(t, start)
	due := renewal(current.certificate)
	next := makeAuthority(t, due)
	old := makeAuthority(t, start.Add(-300*day)).certificate
	for name, c := range map[string]struct {
		trust trust
		want  time.Time
	}{
		"renewal":             {trust{current: current}, due},
		"a previous CA's end": {trust{current: current, previous: []*x509.Certificate{old}}, old.NotAfter},
		"the overlap's end":   {trust{current: current, next: next, published: due}, due.Add(overlap)},
		"the current CA's end, where nothing is published": {trust{current: current, next: next}, current.certificate.NotAfter},
	} {
		if got := c.trust.nextChange(); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if early, at := plan(c.trust, true, c.want.Add(-time.Second)), plan(c.trust, true, c.want); c.trust.next == nil && early == at {
			t.Errorf("%s: nothing changes at %s: %s before and after", name, c.want, at)
		}
	}
}

func advance(t *testing.T, from trust, s step, now time.Time) trust {
	t.Helper()
	to, err := from.after(s, now)
	if err != nil {
		t.Fatalf("taking %s: %v", s, err)
	}
	return to
}
