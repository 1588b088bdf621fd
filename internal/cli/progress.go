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
// elsewhere a line whenever another tenth is done. It goes to standard error, and
// has no colours.
type progress struct {
	out      io.Writer
	what     string
	terminal bool
	bar      *progressbar.ProgressBar
	tenth    int
}

// redrawn is how often the bar is drawn at most.
const redrawn = 100 * time.Millisecond

func newProgress(env *Environment, what string) *progress {
	return &progress{out: env.ErrOut, what: what, tenth: -1, terminal: drawsBars(env)}
}

// drawsBars says whether standard error is a terminal that can go back to the
// start of a line; TERM=dumb is one that cannot.
func drawsBars(env *Environment) bool {
	file, ok := env.ErrOut.(*os.File)
	kind, _ := env.LookupEnv("TERM")
	return ok && kind != "dumb" && term.IsTerminal(int(file.Fd()))
}

// show tells how far it is. It may be called as often as one likes.
func (p *progress) show(done, total int) {
	switch {
	case total == 0:
	case p.terminal:
		p.draw(done, total)
	case 10*done/total > p.tenth:
		p.tenth = 10 * done / total
		// There is nobody to tell where standard error cannot be written.
		_, _ = fmt.Fprintf(p.out, "%s: %d of %d\n", p.what, done, total)
	}
}

func (p *progress) draw(done, total int) {
	if p.bar == nil {
		p.bar = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(p.what), progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(redrawn))
	}
	if p.bar.GetMax() != total {
		p.bar.ChangeMax(total)
	}
	_ = p.bar.Set(done) // fails where standard error cannot be written
}

// end takes the bar away, so that what is printed next starts on a line of its own.
func (p *progress) end() {
	if p.bar == nil {
		return
	}
	_ = p.bar.Clear()
	_ = p.bar.Exit()
}
