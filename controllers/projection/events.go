package projection

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/internal/audit"
)

// Reasons of the Events that this controller emits, always after the write that
// made them true.
const (
	reasonUsed      = "Used"
	reasonIssued    = "SecretIssued"
	reasonRefreshed = "SecretRefreshed"
	reasonRevoked   = "SecretRevoked"
	reasonWaiting   = "WaitingForSecret"

	actionProject = "Project"
)

// action says what was done, in words that differ where the note does: the API
// server is told of equal reasons and actions as one Event with a count, and the
// later notes would be lost. It is bounded by what an Event may hold.
func action(verb, note string) string {
	const longest = 128
	text := verb + ": " + note
	return strings.ToValidUTF8(text[:min(len(text), longest)], "")
}

func (r *Reconciler) sayIssued(s *scope, p plan) {
	r.known.tell(s.podName(), "")
	r.Events.Eventf(s.pod, nil, corev1.EventTypeNormal, reasonIssued, actionProject, "Issued Secret %s with %s", s.projection(), p.keys())
}

// logUse writes a use that stands in the status to the access log, before it is
// served: at least once, also where the process that recorded it crashed or lost
// the answer.
func (r *Reconciler) logUse(s *scope, use part) {
	us := use.choice.UserSecret
	record := r.record(s, source{Name: us.Name, UID: us.UID}, audit.Use)
	record.KeyID = string(use.keyID)
	r.Audit.Write(record)
}

// logRefreshed writes to the access log which values a pod is about to get that
// was counted before. The same generation is the same refresh, however often it is
// tried.
func (r *Reconciler) logRefreshed(s *scope, p plan, fresh []part) {
	for _, part := range s.parts {
		if _, set := p.set[part.choice.Key]; !set || part.err != nil || slices.ContainsFunc(fresh, part.sameSecret) {
			continue
		}
		us := part.choice.UserSecret
		record := r.record(s, source{Name: us.Name, UID: us.UID}, audit.Refresh)
		record.ID += "/" + strconv.FormatInt(us.Generation, 10)
		record.KeyID = string(part.keyID)
		r.Audit.Write(record)
	}
}

func (p part) sameSecret(other part) bool {
	return p.choice.UserSecret.UID == other.choice.UserSecret.UID
}

// sayUsed tells of uses that stand in the record. An Event costs the API server
// as much as the Secret that a pod waits for, and so comes after it.
func (r *Reconciler) sayUsed(s *scope, uses []part) {
	for _, use := range uses {
		r.Events.Eventf(use.choice.UserSecret, s.pod, corev1.EventTypeNormal, reasonUsed, actionProject,
			"Used by pod %s, workflow %q, node %q, created by %s", s.pod.Name, s.request.Workflow, s.request.Node, s.actor())
	}
}

// sayRefreshed tells what a Secret got and lost; version is what it has since.
func (r *Reconciler) sayRefreshed(s *scope, p plan, version string) {
	if len(p.set) > 0 {
		r.Events.Eventf(s.pod, nil, corev1.EventTypeNormal, reasonRefreshed, action("Refresh", p.keys()), "Secret %s has new values of %s", s.projection(), p.keys())
	}
	if len(p.unset) == 0 {
		return
	}
	r.Events.Eventf(s.pod, nil, corev1.EventTypeWarning, reasonRevoked, action("Revoke", p.why), "Secret %s lost %s: %s", s.projection(), strings.Join(p.unset, ", "), p.why)
	told := map[types.UID]bool{}
	for _, key := range p.unset {
		from, known := s.current.sources[key]
		if !known || told[from.UID] {
			continue
		}
		told[from.UID] = true
		record := r.record(s, from, audit.Revoke)
		// The same UserSecret may be given and taken several times.
		record.ID += "/" + version
		record.Reason = p.why
		r.Audit.Write(record)
	}
}

// sayWaiting tells once why a pod waits, and again when the reason changes. What
// an earlier leader told is not told again.
func (r *Reconciler) sayWaiting(s *scope, why string) {
	changed, first := r.known.tell(s.podName(), why)
	if changed && (!first || !r.inherit.earlier(s.pod.UID)) {
		r.Events.Eventf(s.pod, nil, corev1.EventTypeWarning, reasonWaiting, action("Await", why), "%s", why)
	}
}

func (r *Reconciler) record(s *scope, of source, t audit.Type) audit.Record {
	return audit.Record{
		ID: string(s.pod.UID) + "/" + string(of.UID) + "/" + string(t), Time: s.now, Type: t, Decision: audit.Allow,
		Owner: s.owner, Namespace: s.pod.Namespace, Name: of.Name, UID: string(of.UID),
		Actor: s.actor(), Workflow: s.request.Workflow, Node: s.request.Node, Pod: s.pod.Name, PodUID: string(s.pod.UID),
	}
}

// keys lists the keys that a plan sets, for people.
func (p plan) keys() string {
	return strings.Join(slices.Sorted(maps.Keys(p.set)), ", ")
}
