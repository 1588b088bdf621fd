package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"usersecrets.dev/operator/internal/audit"
)

func TestAccessLogFlags(t *testing.T) {
	tests := map[string]struct {
		args []string
		size int64
		want string // the error; empty for none
	}{
		"by default":    {nil, 0, ""},
		"a file":        {[]string{"--access-log=/var/log/access.log", "--access-log-max-size=100Mi"}, 100 << 20, ""},
		"never":         {[]string{"--access-log-max-size=0"}, 0, ""},
		"nowhere":       {[]string{"--access-log="}, 0, errAccessLog.Error()},
		"too small":     {[]string{"--access-log-max-size=1023Ki"}, 0, errAccessLogMax.Error()},
		"less than 0":   {[]string{"--access-log-max-size=-1"}, 0, errAccessLogMax.Error()},
		"not a size":    {[]string{"--access-log-max-size=large"}, 0, errAccessLogMax.Error()},
		"an empty size": {[]string{"--access-log-max-size="}, 0, errAccessLogMax.Error()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o, got := withFlags(t, tt.args...)
			if got != tt.want {
				t.Errorf("error %q, want %q", got, tt.want)
			}
			if size, _ := o.accessLog.bytes(); size != tt.size {
				t.Errorf("%d bytes, want %d", size, tt.size)
			}
		})
	}
}

// writtenLog is an access log with two records.
func writtenLog(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "access.log")
	log, err := audit.Open(audit.Options{Path: path, Replica: "operator-1", Version: "v1", Logger: logr.Discard(), Clock: clock.RealClock{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, second := range []int{1, 2} {
		log.Write(audit.Record{ID: "1", Type: audit.Use, Decision: audit.Allow, Time: time.Date(2026, 3, 1, 12, 0, second, 0, time.UTC), Owner: "alice"})
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// auditVerify runs the command and says what it printed, with the log's path and
// the chain's id replaced.
func auditVerify(t *testing.T, path, stdin string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := command()
	cmd.SetArgs(append([]string{"audit", "verify"}, args...))
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.Execute()
	text := regexp.MustCompile(`[0-9a-f]{32}`).ReplaceAllString(out.String(), "ID")
	return strings.ReplaceAll(text, path, "FILE"), err
}

func TestAuditVerify(t *testing.T) {
	const whole = `chain ID, replica "operator-1": 2 records, 2026-03-01T12:00:01Z to 2026-03-01T12:00:02Z, ended: shutdown` + "\n"
	path := writtenLog(t)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(content), "\n")
	tests := map[string]struct {
		text    string
		args    []string
		want    string
		wantErr error
	}{
		"whole":           {text: string(content), want: whole},
		"among others":    {text: `{"level":"info"}` + "\n" + string(content), args: []string{"--skip-other-lines"}, want: whole},
		"empty":           {want: "No records.\n"},
		"without its end": {text: lines[0], want: `chain ID, replica "operator-1": 0 records, without an end: it is being written, or its end is lost` + "\n"},
		"changed":         {text: strings.Replace(string(content), "alice", "bob", 1), want: "FILE:2: it was changed: line 3 follows another\n", wantErr: errLog},
		"in the middle":   {text: lines[1] + lines[2], args: []string{"--partial"}, want: `chain ID, replica "": 2 records, 2026-03-01T12:00:01Z to 2026-03-01T12:00:02Z, without an end: it is being written, or its end is lost` + "\n"},
		"not in part":     {text: lines[1] + lines[2], want: "FILE:1: its chain has no beginning: it is record 1, and those before it are not there\n", wantErr: errLog},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			for file, stdin := range map[string]string{path: "", "-": tt.text} {
				got, err := auditVerify(t, path, stdin, append(tt.args, file)...)
				got = strings.ReplaceAll(got, "(standard input)", "FILE")
				if got != tt.want || !errors.Is(err, tt.wantErr) {
					t.Errorf("printed %q, error %v\nwant    %q, error %v", got, err, tt.want, tt.wantErr)
				}
			}
		})
	}
}

func TestAuditVerifyMisused(t *testing.T) {
	path := writtenLog(t)
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no file":         {nil, "requires at least 1 arg(s), only received 0"},
		"a missing file":  {[]string{path + "x"}, "opening an access log: open " + path + "x: " + "no such file or directory"},
		"a bad anchor":    {[]string{path, "--anchor=1:2:3"}, `an anchor is CHAIN:RECORD:HASH, as the operator's log has it, not "1:2:3"`},
		"a folder":        {[]string{filepath.Dir(path)}, errLog.Error()},
		"an anchor amiss": {[]string{path, "--anchor=" + strings.Repeat("0", 32) + ":1:" + strings.Repeat("0", 64)}, errLog.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := auditVerify(t, path, "", tt.args...)
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := os.Stat(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("looking for a log made one: error %v, want %v", err, fs.ErrNotExist)
	}
}
