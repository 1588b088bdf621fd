package cli

import (
	"strings"
	"testing"
	"testing/iotest"
)

// On a terminal the bar is drawn over itself, without colours, and is gone in the end.
func TestProgressBar(t *testing.T) {
	for kind, want := range map[string]bool{"xterm-256color": true, "dumb": false} {
		t.Run(kind, func(t *testing.T) {
			p := newPseudoTerminal(t)
			f := newFixture(t)
			f.env.ErrOut = p.device
			f.variables["TERM"] = kind
			bar := newProgress(f.env, "sealing again")
			go func() {
				bar.show(0, 0)
				bar.show(5, 10)
				bar.end()
				_, _ = p.device.WriteString("end\n")
			}()
			shown, err := p.screen.ReadString('e')
			for err == nil && !strings.HasSuffix(shown, "\re") && !strings.HasSuffix(shown, "\ne") {
				var more string
				more, err = p.screen.ReadString('e')
				shown += more
			}
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(shown, "\x1b") {
				t.Errorf("the screen was sent control sequences: %q", shown)
			}
			if got := strings.Contains(shown, "50%"); got != want || !strings.Contains(shown, "sealing again") {
				t.Errorf("the screen: got %q, want a bar: %t", shown, want)
			}
			if lines := strings.Count(shown, "\n"); want == (lines > 0) {
				t.Errorf("the screen: got %q, of %d lines", shown, lines)
			}
		})
	}
}

// A screen that is gone stops nothing.
func TestProgressWithoutAScreen(t *testing.T) {
	f := newFixture(t)
	f.env.ErrOut = iotest.TruncateWriter(nil, 0)
	bar := newProgress(f.env, "x")
	bar.show(1, 2)
	bar.end()
}
