// Package audit says who did what with whose secret: one record an access, in
// one place. Admission and controllers write records; sinks keep them.
//
// A record never carries a value. Sinks write every text in it bounded and free
// of control characters, since users choose names of pods, of workflows and, with
// some authenticators, their own: a line of the log must not pass for another.
package audit

import (
	"time"

	"github.com/go-logr/logr"
)

// Type says what was done.
type Type string

// The types of access.
const (
	Create Type = "create"
	Update Type = "update"
	Delete Type = "delete"
	Use    Type = "use"
	Revoke Type = "revoke"
	// Verify is a value sent to its provider, to hear whether it is accepted.
	Verify Type = "verify"
)

// Decision says how it ended.
type Decision string

// The decisions.
const (
	Allowed Decision = "allowed"
	Refused Decision = "refused"
)

// Record is one access.
type Record struct {
	// ID is the same for the same access, however often it is written.
	ID        string
	Time      time.Time
	Type      Type
	Decision  Decision
	Reason    string
	Owner     string
	Namespace string
	Name      string
	UID       string
	KeyID     string
	Actor     string
	Workflow  string
	Node      string
	Pod       string
	PodUID    string
}

// Sink keeps records.
type Sink interface {
	Write(Record)
}

// LogSink writes each record as one structured line of the operator's log.
type LogSink struct {
	Logger logr.Logger
}

// Write implements Sink.
func (s LogSink) Write(r Record) {
	s.Logger.Info("access",
		"id", plain(r.ID), "at", r.Time.UTC().Format(time.RFC3339Nano), "type", r.Type, "decision", r.Decision, "reason", plain(r.Reason),
		"owner", plain(r.Owner), "namespace", plain(r.Namespace), "name", plain(r.Name), "uid", plain(r.UID), "keyID", plain(r.KeyID), "actor", plain(r.Actor),
		"workflow", plain(r.Workflow), "node", plain(r.Node), "pod", plain(r.Pod), "podUID", plain(r.PodUID))
}
