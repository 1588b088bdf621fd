package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"golang.org/x/term"
)

// printer writes steps for people: coloured on a terminal, plain elsewhere and
// where NO_COLOR is set.
type printer struct {
	out   io.Writer
	color bool
	step  int
}

func newPrinter(out *os.File) *printer {
	_, plain := os.LookupEnv("NO_COLOR")
	return &printer{out: out, color: !plain && term.IsTerminal(int(out.Fd()))}
}

const (
	bold  = "1"
	green = "32"
	cyan  = "36"
	dim   = "2"
)

func (p *printer) paint(code, text string) string {
	if !p.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p *printer) title(text string) {
	p.step++
	_, _ = fmt.Fprintf(p.out, "\n%s\n", p.paint(bold, fmt.Sprintf("%d. %s", p.step, text)))
}

func (p *printer) note(format string, args ...any) {
	_, _ = fmt.Fprintf(p.out, "   %s\n", p.paint(dim, fmt.Sprintf(format, args...)))
}

// command shows what a person types.
func (p *printer) command(who, line string) {
	_, _ = fmt.Fprintf(p.out, "   %s\n", p.paint(cyan, who+"$ "+line))
}

// output shows what came back, with long ciphertext cut.
func (p *printer) output(text string) {
	for line := range strings.Lines(cutCiphertext(text)) {
		_, _ = fmt.Fprintf(p.out, "     %s\n", strings.TrimRight(line, "\n"))
	}
}

func (p *printer) proves(text string) {
	_, _ = fmt.Fprintf(p.out, "   %s\n", p.paint(green, "✔ "+text))
}

func (p *printer) done(format string, args ...any) {
	_, _ = fmt.Fprintf(p.out, "\n%s\n", p.paint(bold, fmt.Sprintf(format, args...)))
}

var ciphertext = regexp.MustCompile(`(us1\.[a-z0-9-]+\.[A-Za-z0-9_-]{12})[A-Za-z0-9_-]+`)

func cutCiphertext(text string) string { return ciphertext.ReplaceAllString(text, "$1…") }
