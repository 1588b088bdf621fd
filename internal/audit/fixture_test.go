package audit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 5000, time.UTC)

// full is a record with every field.
func full() Record {
	return Record{
		ID: "1", Time: noon, Type: Use, Decision: Deny, Owner: "alice", Namespace: "alice-flows", Name: "openai", UID: "2", KeyID: "v1-3f9a2c1b",
		Actor: "bob", Workflow: "nightly", Node: "train", Pod: "nightly-1", PodUID: "3", SourceIPs: []string{"192.0.2.7", "2001:db8::1"},
		UserAgent: "kubectl/v1.37", Reason: "because",
	}
}

// use is the nth record of a test.
func use(n int) Record {
	return Record{ID: fmt.Sprintf("pod-%d/secret/use", n), Time: noon.Add(time.Duration(n) * time.Second), Type: Use, Decision: Allow, Owner: "alice", Namespace: "alice", Name: "openai"}
}

func options(path string) Options {
	return Options{Path: path, Replica: "operator-1", Version: "v1", Logger: logr.Discard(), Clock: clock.RealClock{}}
}

// pipe is a stdout that tells what it got.
type pipe struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *pipe) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(text)
}

func (p *pipe) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// open opens a log, on stdout where path is empty.
func open(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func shut(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// logged is a file's log with uses from, up to and without to, from start to shutdown.
func logged(t testing.TB, path string, from, to int) {
	t.Helper()
	l := open(t, options(path))
	for n := range to - from {
		l.Write(use(from + n))
	}
	shut(t, l)
}

func read(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func lines(text string) []string {
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// entries are the lines as they are read.
func entries(t testing.TB, text string) []*entry {
	t.Helper()
	var all []*entry
	for n, line := range lines(text) {
		e, err := parse([]byte(line))
		if err != nil {
			t.Fatalf("line %d: %v: %s", n+1, err, line)
		}
		all = append(all, e)
	}
	return all
}

// ids are the ids of accesses, and for the others their type.
func ids(t testing.TB, text string) []string {
	t.Helper()
	var all []string
	for _, e := range entries(t, text) {
		switch {
		case e.ID != "":
			all = append(all, strings.TrimSuffix(e.ID, "/secret/use"))
		case e.Reason != "":
			all = append(all, string(e.Type)+" "+e.Reason)
		case e.Count > 0:
			all = append(all, fmt.Sprint(e.Type, " ", e.Count))
		default:
			all = append(all, string(e.Type))
		}
	}
	return all
}

// verify is what is wrong with files, by base names.
func verify(t testing.TB, v *Verifier, paths ...string) []string {
	t.Helper()
	for _, path := range paths {
		v.Read(filepath.Base(path), strings.NewReader(read(t, path)))
	}
	_, problems := v.Finish()
	var all []string
	for _, p := range problems {
		all = append(all, p.String())
	}
	return all
}

func checkWhole(t testing.TB, paths ...string) {
	t.Helper()
	if problems := verify(t, &Verifier{}, paths...); problems != nil {
		t.Errorf("verify: %q", problems)
	}
}

// count is how many whole records have an id.
func count(text, id string) int {
	n := 0
	for _, line := range lines(text) {
		if e, err := parse([]byte(line)); err == nil && e.ID == id {
			n++
		}
	}
	return n
}
