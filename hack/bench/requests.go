package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"usersecrets.dev/operator/api/v1alpha1"
)

const operatorUser = "system:serviceaccount:" + v1alpha1.OperatorNamespace + ":" + v1alpha1.OperatorName

// requests are those of the operator that the API server's audit log has.
type requests struct {
	reads, writes int
	// apart are writes that are meant to be: to its Lease (but for renewals,
	// which the audit policy drops), the Event in the operator's own namespace
	// that says who leads, and reviews, which store nothing.
	apart int
	// last is when the last of them ended, watches and what is apart left out.
	last time.Time
	// written, kept apart and read are counts by verb and resource.
	written, kept, read map[string]int
}

// event is what is of use here in a line of the audit log (audit.k8s.io/v1).
type event struct {
	Stage          string    `json:"stage"`
	Verb           string    `json:"verb"`
	RequestURI     string    `json:"requestURI"`
	StageTimestamp time.Time `json:"stageTimestamp"`
	User           struct {
		Username string `json:"username"`
	} `json:"user"`
	ObjectRef struct {
		Namespace   string `json:"namespace"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
	} `json:"objectRef"`
}

// ofLeading says whether a write is about who leads.
func (e event) ofLeading() bool {
	return e.ObjectRef.Resource == "leases" || e.ObjectRef.Resource == "events" && e.ObjectRef.Namespace == v1alpha1.OperatorNamespace
}

func size(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("looking at the audit log: %w", err)
	}
	return info.Size(), nil
}

// requestsSince reads the audit log from an offset.
func requestsSince(path string, offset int64) (requests, error) {
	r := requests{written: map[string]int{}, kept: map[string]int{}, read: map[string]int{}}
	file, err := os.Open(path)
	if err != nil {
		return r, fmt.Errorf("reading the audit log: %w", err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return r, fmt.Errorf("reading the audit log: %w", err)
	}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		// The last line may still be being written.
		if err := json.Unmarshal(lines.Bytes(), &e); err == nil && e.User.Username == operatorUser {
			r.add(e)
		}
	}
	return r, lines.Err()
}

func (r *requests) add(e event) {
	if e.Stage != "ResponseComplete" || e.Verb == "watch" {
		return
	}
	what := e.Verb + " " + strings.TrimSuffix(e.ObjectRef.Resource+"/"+e.ObjectRef.Subresource, "/")
	if e.ObjectRef.Resource == "" {
		what = e.Verb + " of a path" // discovery, the version
	}
	if strings.Contains(e.RequestURI, "dryRun=All") {
		what, e.Verb = what+" as a dry run", "get" // it asks, and changes nothing
	}
	switch e.Verb {
	case "get", "list":
		r.reads++
		r.read[what]++
	default:
		if e.ofLeading() || strings.HasSuffix(e.ObjectRef.Resource, "reviews") {
			r.apart++
			r.kept[what]++
			return
		}
		r.writes++
		r.written[what]++
	}
	if e.StageTimestamp.After(r.last) {
		r.last = e.StageTimestamp
	}
}

// notes say what the requests were.
func (r requests) notes(of string) []string {
	var notes []string
	for _, kinds := range []struct {
		name   string
		counts map[string]int
	}{{"reads", r.read}, {"writes", r.written}, {"apart", r.kept}} {
		if len(kinds.counts) == 0 {
			continue
		}
		var parts []string
		for _, what := range slices.Sorted(maps.Keys(kinds.counts)) {
			parts = append(parts, fmt.Sprintf("%d %s", kinds.counts[what], what))
		}
		notes = append(notes, fmt.Sprintf("%s, %s: %s.", of, kinds.name, strings.Join(parts, ", ")))
	}
	return notes
}
