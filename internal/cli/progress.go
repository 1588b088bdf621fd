package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far something is: a bar with an estimate on a terminal, and
// elsewhere a line whenever another tenth is done.
type progress struct {
	out    io.Writer
	what   string
	bar    *progressbar.ProgressBar
	onTerm bool
	tenth  int
}

func newProgress(env *Environment, what string) *progress {
	p := &progress{out: env.ErrOut, what: what, tenth: -1}
	if file, ok := env.ErrOut.(*os.File); ok {
		p.onTerm = term.IsTerminal(int(file.Fd()))
	}
	return p
}

func (p *progress) show(done, total int) {
	if !p.onTerm {
		if tenth := 10 * done / max(total, 1); tenth > p.tenth {
			p.tenth = tenth
			_, _ = fmt.Fprintf(p.out, "%s: %d of %d\n", p.what, done, total)
		}
		return
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(p.what), progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	p.bar.ChangeMax(total)
	_ = p.bar.Set(done)
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
