// Package audit says who did what with whose secret: one record an access, in
// one place. Admission and controllers write records; a [Log] keeps them, as lines
// of JSON that are chained by their hashes, and a [Verifier] finds what was changed
// in such a log. The format is docs/spec/access-log.md.
//
// A record never carries a value. Its texts are written bounded and escaped, since
// users choose names of pods, of workflows and, with some authenticators, their
// own: a line of the log must not pass for another.
package audit

import "time"

// Type says what was done.
type Type string

// The types of access.
const (
	Create Type = "create"
	Read   Type = "read"
	Update Type = "update"
	Delete Type = "delete"
	// Use is a value issued to a pod.
	Use Type = "use"
	// Refresh is a new value in a projection that stands.
	Refresh Type = "refresh"
	// Revoke is a value taken out of a projection.
	Revoke Type = "revoke"
	// Reseal is the same value sealed with another key.
	Reseal Type = "reseal"
	// Test is a value sent to its provider, to hear whether it is accepted.
	Test Type = "test"
)

// Decision says how it ended.
type Decision string

// The decisions.
const (
	Allow Decision = "allow"
	Deny  Decision = "deny"
)

// Record is one access.
type Record struct {
	// ID is the same for the same access, however often it is written.
	ID string `json:"id"`
	// Time is written in UTC, to the microsecond.
	Time      time.Time `json:"time"`
	Type      Type      `json:"type"`
	Decision  Decision  `json:"decision"`
	Owner     string    `json:"owner"`
	Namespace string    `json:"namespace"`
	// Name and UID are the UserSecret's.
	Name  string `json:"name"`
	UID   string `json:"uid"`
	KeyID string `json:"keyID"`
	// Actor is the Kubernetes username of who did it.
	Actor    string `json:"actor"`
	Workflow string `json:"workflow"`
	// Node is the node of the workflow, not of the cluster.
	Node   string `json:"node"`
	Pod    string `json:"pod"`
	PodUID string `json:"podUID"`
	// SourceIPs are the addresses that a request came from: the client's, then
	// those of proxies. The first 16 are written.
	SourceIPs []string `json:"sourceIPs"`
	UserAgent string   `json:"userAgent"`
	// Reason is why it was refused, or done.
	Reason string `json:"reason"`
}

// Sink keeps records. Write does not wait for a disk or a network.
type Sink interface {
	Write(Record)
}
