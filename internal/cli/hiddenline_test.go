package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
)

func TestHiddenLine(t *testing.T) {
	longest := strings.Repeat("x", envelope.MaxValueLength)
	tests := map[string]struct {
		typed   []string // as the terminal hands it over
		want    string
		wantErr error
	}{
		"a line":                      {typed: []string{canary + "\r"}, want: canary},
		"key by key":                  {typed: strings.Split(canary+"\n", ""), want: canary},
		"spaces are part of it":       {typed: []string{"  a b \r"}, want: "  a b "},
		"a line break of two":         {typed: []string{canary + "\r\n"}, want: canary},
		"Enter pressed twice":         {typed: []string{canary + "\r", "\r"}, want: canary},
		"Ctrl-D after a line":         {typed: []string{canary + "\x04"}, want: canary},
		"Ctrl-D alone":                {typed: []string{"\x04"}, wantErr: errInputEnded},
		"Enter alone":                 {typed: []string{"\r"}, want: ""},
		"backspace":                   {typed: []string{"ab\x7fc\x08d\r"}, want: "ad"},
		"backspace over a whole rune": {typed: []string{"aä\x7fb\r"}, want: "ab"},
		"backspace with nothing left": {typed: []string{"\x7f\x7fa\r"}, want: "a"},
		"Ctrl-U":                      {typed: []string{"wrong\x15right\r"}, want: "right"},
		"Ctrl-C":                      {typed: []string{"ab\x03"}, wantErr: errInterrupted},
		"an arrow":                    {typed: []string{"ab\x1b[Dc\r"}, wantErr: errControl},
		"Tab":                         {typed: []string{"a\tb\r"}, wantErr: errControl},
		"several lines at once":       {typed: []string{"a\rb\rc\r"}, wantErr: errSeveralLines},
		"several lines in parts":      {typed: []string{"a\r", "b"}, wantErr: errSeveralLines},
		"the longest":                 {typed: []string{longest, "\r"}, want: longest},
		"one byte too long":           {typed: []string{longest, "x\r"}, wantErr: envelope.ErrValueTooLong},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			line := newHiddenLine()
			for _, typed := range tt.typed {
				line.feed([]byte(typed))
			}
			if !line.ended {
				t.Error("the line did not end")
			}
			got, err := line.take()
			if !errors.Is(err, tt.wantErr) || !got.Equal(secretvalue.FromString(tt.want)) {
				t.Errorf("the line: got %d bytes, error %v; want %d bytes, error %v", got.Len(), err, len(tt.want), tt.wantErr)
			}
		})
	}
}

func TestHiddenLineForgets(t *testing.T) {
	for name, typed := range map[string]string{"taken": canary + "\r", "refused": canary + "\t\r", "deleted": canary + "\x15\r"} {
		t.Run(name, func(t *testing.T) {
			line := newHiddenLine()
			memory := line.typed[:cap(line.typed)]
			line.feed([]byte(typed))
			if _, err := line.take(); err != nil && !errors.Is(err, errControl) {
				t.Fatal(err)
			}
			if bytes.ContainsFunc(memory, func(r rune) bool { return r != 0 }) {
				t.Error("what was typed is still in memory")
			}
		})
	}
}
