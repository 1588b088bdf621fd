package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"usersecrets.dev/operator/internal/secretvalue"
)

// pasteGap is how long the parts of one paste may be apart. What a paste has
// beyond its first line is waited for and thrown away: left in the terminal, the
// rest of a private key would be the shell's next commands.
const pasteGap = 100 * time.Millisecond

// Terminal is the Prompter of a real terminal.
type Terminal struct {
	in  *os.File
	out io.Writer

	start  sync.Once
	inputs chan input
}

// input is what one read of the terminal gave.
type input struct {
	bytes []byte
	err   error
}

// NewTerminal returns a Prompter that reads from in and asks on out.
func NewTerminal(in *os.File, out io.Writer) *Terminal {
	return &Terminal{in: in, out: out, inputs: make(chan input)}
}

// Interactive implements Prompter.
func (t *Terminal) Interactive() bool { return term.IsTerminal(int(t.in.Fd())) }

// Ask implements Prompter.
func (t *Terminal) Ask(ctx context.Context, question string) (string, error) {
	if _, err := fmt.Fprint(t.out, question); err != nil {
		return "", fmt.Errorf("asking: %w", err)
	}
	// A terminal in its usual mode hands over whole lines.
	line, err := t.read(ctx)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// AskSecret implements Prompter.
func (t *Terminal) AskSecret(ctx context.Context, question string) (value secretvalue.Value, err error) {
	// Before the question, so that nothing that answers it is shown.
	state, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return secretvalue.Value{}, fmt.Errorf("hiding what is typed: %w", err)
	}
	defer func() {
		err = errors.Join(err, term.Restore(int(t.in.Fd()), state))
		_, _ = fmt.Fprintln(t.out) // the Enter that was not shown
	}()
	if _, err := fmt.Fprint(t.out, question); err != nil {
		return secretvalue.Value{}, fmt.Errorf("asking: %w", err)
	}
	line := newHiddenLine()
	if err := t.readLine(ctx, line); err != nil {
		line.fail(err)
	}
	return line.take()
}

func (t *Terminal) readLine(ctx context.Context, line *hiddenLine) error {
	for !line.ended {
		typed, err := t.read(ctx)
		if err != nil {
			return err
		}
		line.feed(typed)
		clear(typed)
	}
	for {
		gap, cancel := context.WithTimeout(ctx, pasteGap)
		rest, err := t.read(gap)
		cancel()
		if err != nil {
			return nil // nothing more came
		}
		line.feed(rest)
		clear(rest)
	}
}

// read returns the next input. It is read in the background, for a read of a
// terminal cannot be called off when ctx ends.
func (t *Terminal) read(ctx context.Context) ([]byte, error) {
	t.start.Do(func() { go t.readAll() })
	select {
	case in, open := <-t.inputs:
		if !open || errors.Is(in.err, io.EOF) {
			return nil, errInputEnded
		}
		return in.bytes, in.err
	case <-ctx.Done():
		return nil, errInterrupted
	}
}

func (t *Terminal) readAll() {
	defer close(t.inputs)
	for {
		buffer := make([]byte, 4096)
		n, err := t.in.Read(buffer)
		if err != nil {
			t.inputs <- input{err: fmt.Errorf("reading the terminal: %w", err)}
			return
		}
		t.inputs <- input{bytes: buffer[:n]}
	}
}
