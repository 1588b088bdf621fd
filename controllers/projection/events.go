package projection

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

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

func (r *Reconciler) sayIssued(s *scope, p plan) {
	r.waiting.swap(s.podName(), "")
	r.Events.Eventf(s.pod, nil, corev1.EventTypeNormal, reasonIssued, actionProject, "Issued Secret %s with %s", s.projection(), p.keys())
}

// auditUse tells of a use that was recorded just now.
func (r *Reconciler) auditUse(s *scope, use part) {
	us := use.choice.UserSecret
	r.Events.Eventf(us, s.pod, corev1.EventTypeNormal, reasonUsed, actionProject,
		"Used by pod %s, workflow %q, node %q, created by %s", s.pod.Name, s.request.Workflow, s.request.Node, s.actor())
	r.Audit.Write(r.record(s, use, audit.Use, ""))
}

func (r *Reconciler) sayRefreshed(s *scope, p plan) {
	if len(p.set) > 0 {
		r.Events.Eventf(s.pod, nil, corev1.EventTypeNormal, reasonRefreshed, actionProject, "Secret %s has new values of %s", s.projection(), p.keys())
	}
	if len(p.unset) == 0 {
		return
	}
	r.Events.Eventf(s.pod, nil, corev1.EventTypeWarning, reasonRevoked, actionProject, "Secret %s lost %s: %s", s.projection(), strings.Join(p.unset, ", "), p.why)
	for _, part := range s.parts {
		if part.choice.UserSecret != nil && (part.err != nil || ttlOver(s)) {
			r.Audit.Write(r.record(s, part, audit.Revoke, p.why))
		}
	}
}

// sayWaiting tells once why a pod waits, and again when the reason changes. What
// an earlier leader told is not told again.
func (r *Reconciler) sayWaiting(s *scope, why string) {
	first := r.waiting.first(s.podName())
	if r.waiting.swap(s.podName(), why) && !(first && r.inherit.open(s.pod.UID)) {
		r.Events.Eventf(s.pod, nil, corev1.EventTypeWarning, reasonWaiting, actionProject, "%s", why)
	}
}

func (r *Reconciler) record(s *scope, of part, t audit.Type, why string) audit.Record {
	us := of.choice.UserSecret
	return audit.Record{
		ID: string(s.pod.UID) + "/" + string(us.UID), Time: s.now, Type: t, Decision: audit.Allowed, Reason: why,
		Owner: s.owner, Namespace: us.Namespace, Name: us.Name, UID: string(us.UID), KeyID: string(of.keyID),
		Actor: s.actor(), Workflow: s.request.Workflow, Node: s.request.Node, Pod: s.pod.Name, PodUID: string(s.pod.UID),
	}
}
