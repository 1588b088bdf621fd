package projection

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
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

// plan is the next step with what it needs.
type plan struct {
	step  step
	why   string // for people, with wait and refresh
	again time.Duration
	// set and unset are the changes to the Secret's data.
	set   map[string][]byte
	unset []string
	// uses are the parts to be recorded first.
	uses []part
}

// decide computes the next step from the facts alone.
func decide(s *scope) plan {
	switch {
	case done(s.pod):
		return decideDone(s)
	case s.malformed != nil:
		return plan{step: wait, why: s.malformed.Error()}
	case s.current == nil && !s.pod.DeletionTimestamp.IsZero():
		return plan{step: stay}
	case s.current == nil:
		return decideFirst(s)
	case s.current.gone:
		return plan{step: stay}
	default:
		return decideNext(s)
	}
}

func decideDone(s *scope) plan {
	if s.current == nil || s.current.gone {
		return plan{step: stay}
	}
	return plan{step: remove}
}

// decideFirst issues only what is complete: a pod starts with all that it asked
// for, or waits.
func decideFirst(s *scope) plan {
	p := plan{step: issue, set: map[string][]byte{}}
	keyed := make([]inject.Keyed, 0, len(s.parts))
	for _, part := range s.parts {
		if part.err != nil {
			return plan{step: wait, why: fmt.Sprintf("%s: %s", part.choice.Item.Source(), part.err)}
		}
		keyed = append(keyed, inject.Keyed{Item: part.choice.Item, Key: part.choice.Key})
		p.set[part.choice.Key] = part.value.Bytes()
		p.uses = addUse(p.uses, part)
	}
	if err := inject.CheckKeys(keyed); err != nil {
		return plan{step: wait, why: err.Error()}
	}
	if err := checkTotal(s.parts); err != nil {
		return plan{step: wait, why: err.Error()}
	}
	p.again = untilChange(s, s.now)
	return p
}

func checkTotal(parts []part) error {
	sizes := make([]int, 0, len(parts))
	for _, p := range parts {
		sizes = append(sizes, p.value.Len())
	}
	return inject.CheckTotal(sizes)
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

// decideNext compares what the projection holds with what it should hold.
func decideNext(s *scope) plan {
	if ttlOver(s) {
		return revokeAll(s)
	}
	if err := checkTotal(s.parts); err != nil {
		return plan{step: wait, why: err.Error()}
	}
	p := plan{step: stay, set: map[string][]byte{}, again: untilChange(s, s.current.created)}
	for _, part := range s.parts {
		p.compare(s.current, part)
	}
	if len(p.set) == 0 && len(p.unset) == 0 {
		return p
	}
	p.step = refresh
	return p
}

func (p *plan) compare(current *issued, part part) {
	key := part.choice.Key
	have, held := current.digests[key]
	if part.err != nil {
		if held && !part.undecided() {
			p.unset, p.why = append(p.unset, key), part.err.Error()
		}
		return
	}
	if held && have == sha256.Sum256(part.value.Bytes()) {
		return
	}
	p.set[key] = part.value.Bytes()
	if !current.drawsOn(part.choice.UserSecret.UID) {
		p.uses = addUse(p.uses, part)
	}
}

func revokeAll(s *scope) plan {
	if len(s.current.digests) == 0 {
		return plan{step: stay}
	}
	return plan{
		step:  refresh,
		why:   fmt.Sprintf("the pod's time to live of %s is over", s.request.TTL),
		unset: slices.Sorted(maps.Keys(s.current.digests)),
	}
}

func ttlOver(s *scope) bool {
	return s.request.TTL > 0 && !s.now.Before(s.current.created.Add(s.request.TTL))
}

// untilChange is the time until the TTL or a value's expiry changes the answer;
// zero where nothing but an event does.
func untilChange(s *scope, from time.Time) time.Duration {
	var next time.Duration
	consider := func(at time.Time) {
		if left := at.Sub(s.now); left > 0 && (next == 0 || left < next) {
			next = left
		}
	}
	if s.request.TTL > 0 {
		consider(from.Add(s.request.TTL))
	}
	for _, part := range s.parts {
		if us := part.choice.UserSecret; us != nil && us.Spec.ExpiresAt != nil {
			consider(us.Spec.ExpiresAt.Time)
		}
	}
	return next
}

// sourcesOf says where each key comes from once the plan is carried out.
func (p plan) sourcesOf(s *scope) map[string]source {
	sources := map[string]source{}
	if s.current != nil {
		maps.Copy(sources, s.current.sources)
	}
	for _, part := range s.parts {
		if us := part.choice.UserSecret; us != nil && part.err == nil {
			sources[part.choice.Key] = source{Name: us.Name, UID: us.UID}
		}
	}
	return sources
}
