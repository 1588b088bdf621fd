package projection

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"usersecrets.dev/operator/internal/inject"
)

// step is what to do for a pod.
type step int

const (
	// stay: everything is as it should be.
	stay step = iota
	// wait: the pod asks for something that cannot be served now.
	wait
	// issue: record the uses, then create the Secret.
	issue
	// refresh: record uses that are new, then change the Secret's data.
	refresh
	// remove: delete the Secret, since the pod is done.
	remove
)

const (
	// keyRetry is when to look again for a key that is not in the vault: key
	// material that somebody restores raises no event.
	keyRetry = 30 * time.Second
	// heldRetry is when to look again at values that were held back while
	// others were taken away.
	heldRetry = time.Second
)

// plan is the next step with what it needs.
type plan struct {
	step step
	why  string // for people, with wait and refresh
	// again is when to look again; zero means at the next event.
	again time.Duration
	// set and unset are the changes to the Secret's data.
	set   map[string][]byte
	unset []string
	// uses are the parts to be recorded first.
	uses []part
}

// gives says whether a value goes to a pod that does not have it.
func (p plan) gives() bool { return len(p.set) > 0 }

// withheld is the plan without what it gives: what is to be taken away goes.
func (p plan) withheld() plan {
	p.set, p.uses = nil, nil
	p.again = sooner(p.again, guardRetry)
	if len(p.unset) == 0 {
		p.step = stay
	}
	return p
}

// decide computes the next step from the facts alone.
func decide(s *scope) plan {
	switch {
	case s.finished():
		return plan{step: stay}
	case done(s.pod):
		return plan{step: remove}
	case s.current != nil:
		return decideNext(s)
	case s.malformed != nil:
		return plan{step: wait, why: s.malformed.Error()}
	default:
		return decideFirst(s)
	}
}

// decideFirst issues only what is complete: a pod starts with all that it asked
// for, or waits.
func decideFirst(s *scope) plan {
	p := plan{step: issue, set: map[string][]byte{}, again: untilChange(s, s.now)}
	keyed := make([]inject.Keyed, 0, len(s.parts))
	sizes := make([]int, 0, len(s.parts))
	for _, part := range s.parts {
		if part.err != nil {
			why := fmt.Sprintf("%s: %s", part.choice.Item.Source(), part.err)
			return plan{step: wait, why: why, again: sooner(untilKey(s), untilClear(s))}
		}
		keyed = append(keyed, inject.Keyed{Item: part.choice.Item, Key: part.choice.Key})
		sizes = append(sizes, part.value.Len())
		p.set[part.choice.Key] = part.value.Bytes()
		p.uses = addUse(p.uses, part)
	}
	for _, err := range []error{inject.CheckKeys(keyed), inject.CheckTotal(sizes)} {
		if err != nil {
			return plan{step: wait, why: err.Error()}
		}
	}
	return p
}

// addUse adds a part once per UserSecret: a pod that takes the same one under
// two keys is granted it once.
func addUse(uses []part, p part) []part {
	for _, have := range uses {
		if have.choice.UserSecret.UID == p.choice.UserSecret.UID {
			return uses
		}
	}
	return append(uses, p)
}

// decideNext compares what the projection holds with what it should hold. What
// is to be taken away goes whatever else is wrong.
func decideNext(s *scope) plan {
	if ttlOver(s) {
		return revokeAll(s)
	}
	p := plan{step: stay, set: map[string][]byte{}, again: sooner(untilChange(s, s.current.created), untilKey(s))}
	reasons := p.compare(s)
	p.why = strings.Join(reasons, "; ")
	if err := checkRoom(s.current, p); err != nil {
		p.set, p.uses = nil, nil
		if len(p.unset) == 0 {
			p.step, p.why = wait, err.Error()
			return p
		}
		p.again = sooner(p.again, heldRetry)
	}
	if len(p.set) > 0 || len(p.unset) > 0 {
		p.step = refresh
	}
	return p
}

// compare fills in what to set and to unset, and returns the reasons of the
// latter. A key that comes from no part is one whose source nobody knows.
func (p *plan) compare(s *scope) (reasons []string) {
	known := map[string]bool{}
	for _, part := range s.parts {
		key := part.choice.Key
		known[key] = true
		if part.err == nil {
			p.offer(s.current, part)
			continue
		}
		if _, held := s.current.holds[key]; held && !part.undecided() {
			p.unset, reasons = append(p.unset, key), addReason(reasons, part.err.Error())
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.current.holds)) {
		if !known[key] {
			p.unset, reasons = append(p.unset, key), addReason(reasons, "it is not known where the value comes from")
		}
	}
	return reasons
}

// offer sets a key where the projection does not hold this value of this
// UserSecret: a new one of the same name is a new grant, also of the same value.
func (p *plan) offer(current *issued, part part) {
	key, us := part.choice.Key, part.choice.UserSecret
	if current.holds[key] == hold(part.value.Bytes()) && current.sources[key].UID == us.UID {
		return
	}
	p.set[key] = part.value.Bytes()
	if !current.drawsOn(us.UID) {
		p.uses = addUse(p.uses, part)
	}
}

func addReason(reasons []string, why string) []string {
	if slices.Contains(reasons, why) {
		return reasons
	}
	return append(reasons, why)
}

// checkRoom says whether the projection, as the plan leaves it, fits into a Secret.
func checkRoom(current *issued, p plan) error {
	after := map[string]int{}
	for key, held := range current.holds {
		after[key] = held.size
	}
	for key, value := range p.set {
		after[key] = len(value)
	}
	for _, key := range p.unset {
		delete(after, key)
	}
	return inject.CheckTotal(slices.Collect(maps.Values(after)))
}

func revokeAll(s *scope) plan {
	if len(s.current.holds) == 0 {
		return plan{step: stay}
	}
	return plan{
		step:  refresh,
		why:   fmt.Sprintf("the pod's time to live of %s is over", s.request.TTL),
		unset: slices.Sorted(maps.Keys(s.current.holds)),
	}
}

func ttlOver(s *scope) bool {
	return s.request.TTL > 0 && !s.now.Before(s.current.created.Add(s.request.TTL))
}

// untilChange is the time until the TTL or a value's expiry changes the answer;
// zero where nothing but an event does.
func untilChange(s *scope, from time.Time) time.Duration {
	var next time.Duration
	if s.request.TTL > 0 {
		next = from.Add(s.request.TTL).Sub(s.now)
	}
	for _, part := range s.parts {
		if us := part.choice.UserSecret; us != nil && us.Spec.ExpiresAt != nil {
			next = sooner(next, us.Spec.ExpiresAt.Sub(s.now))
		}
	}
	return next
}

// untilKey is when to look again where a key was not at hand, else zero.
func untilKey(s *scope) time.Duration {
	for _, part := range s.parts {
		if part.undecided() {
			return keyRetry
		}
	}
	return 0
}

// untilClear is the time until one of several UserSecrets that are meant equally
// expires, else zero.
func untilClear(s *scope) time.Duration {
	var next time.Duration
	for _, part := range s.parts {
		if at := part.choice.Until; !at.IsZero() {
			next = sooner(next, at.Sub(s.now))
		}
	}
	return next
}

// sooner is the shorter of two times; what is not ahead does not count.
func sooner(a, b time.Duration) time.Duration {
	switch {
	case a <= 0:
		return max(b, 0)
	case b <= 0:
		return a
	default:
		return min(a, b)
	}
}

// sourcesOf says where each key comes from once the plan is carried out.
func (p plan) sourcesOf(s *scope) map[string]source {
	sources := map[string]source{}
	if s.current != nil {
		maps.Copy(sources, s.current.sources)
	}
	for _, part := range s.parts {
		key := part.choice.Key
		if _, changed := p.set[key]; !changed {
			continue
		}
		from, known := sources[key]
		if from.UID = part.choice.UserSecret.UID; !known {
			from = sourceOf(part)
		}
		sources[key] = from
	}
	return sources
}
