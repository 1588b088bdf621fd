package audit_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"

	"usersecrets.dev/operator/internal/audit"
)

// line writes one record and returns the line as decoded JSON.
func line(t *testing.T, r audit.Record) map[string]string {
	t.Helper()
	var lines []string
	logger := funcr.NewJSON(func(line string) { lines = append(lines, line) }, funcr.Options{})
	audit.LogSink{Logger: logger}.Write(r)
	if len(lines) != 1 {
		t.Fatalf("%d lines, want 1: %q", len(lines), lines)
	}
	var decoded map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &decoded); err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for key, value := range decoded {
		if text, ok := value.(string); ok && key != "logger" {
			texts[key] = text
		}
	}
	return texts
}

func TestLogSinkWritesEveryField(t *testing.T) {
	got := line(t, audit.Record{
		ID: "1", Time: time.Date(2026, 3, 1, 13, 0, 0, 5000, time.FixedZone("", 3600)), Type: audit.Use, Decision: audit.Refused, Reason: "because",
		Owner: "alice", Namespace: "alice-flows", Name: "openai", UID: "2", KeyID: "v1-3f9a2c1b", Actor: "bob",
		Workflow: "nightly", Node: "train", Pod: "nightly-1", PodUID: "3",
	})
	want := map[string]string{
		"msg": "access", "id": "1", "at": "2026-03-01T12:00:00.000005Z", "type": "use", "decision": "refused", "reason": "because",
		"owner": "alice", "namespace": "alice-flows", "name": "openai", "uid": "2", "keyID": "v1-3f9a2c1b", "actor": "bob",
		"workflow": "nightly", "node": "train", "pod": "nightly-1", "podUID": "3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

// Each text of a record, those of fields to come too, is bounded and prints.
func TestLogSinkWritesPlainText(t *testing.T) {
	const hostile = "step\n{\"msg\":\"access\"}\x1b[2K\u202e\u2028\xff"
	const want = "step\uFFFD{\"msg\":\"access\"}\uFFFD[2K\uFFFD\uFFFD\uFFFD"
	fields := 0
	for i := range reflect.TypeFor[audit.Record]().NumField() {
		for hostileText, wantText := range map[string]string{
			hostile:                   want,
			strings.Repeat("é", 1024): strings.Repeat("é", 1024),
			strings.Repeat("é", 1025): strings.Repeat("é", 1023) + "…",
		} {
			var r audit.Record
			field := reflect.ValueOf(&r).Elem().Field(i)
			if field.Type() != reflect.TypeFor[string]() {
				continue
			}
			field.SetString(hostileText)
			fields++
			found := false
			for _, text := range line(t, r) {
				found = found || text == wantText
			}
			if !found {
				t.Errorf("%s is not written as %q", reflect.TypeFor[audit.Record]().Field(i).Name, wantText)
			}
		}
	}
	if fields == 0 {
		t.Error("a record has no texts")
	}
}
