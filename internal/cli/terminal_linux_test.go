package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"usersecrets.dev/operator/internal/secretvalue"
)

// pseudoTerminal is a terminal with a test at its keyboard and screen.
type pseudoTerminal struct {
	t        *testing.T
	keyboard *os.File // the master's side
	device   *os.File
	screen   *bufio.Reader
}

func newPseudoTerminal(t *testing.T) *pseudoTerminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo terminal here: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	device, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = device.Close() })
	return &pseudoTerminal{t: t, keyboard: master, device: device, screen: bufio.NewReader(master)}
}

// typeAt types once the screen shows the question's end.
func (p *pseudoTerminal) typeAt(end byte, keys string) (shown string) {
	p.t.Helper()
	shown, err := p.screen.ReadString(end)
	if err != nil {
		p.t.Errorf("reading the screen: %v", err)
	}
	if _, err := p.keyboard.WriteString(keys); err != nil {
		p.t.Errorf("typing: %v", err)
	}
	return shown
}

func TestTerminalHidesWhatIsTyped(t *testing.T) {
	p := newPseudoTerminal(t)
	terminal := NewTerminal(p.device, p.device)
	before, err := term.GetState(int(p.device.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	type answer struct {
		value secretvalue.Value
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		value, err := terminal.AskSecret(context.Background(), "Value?")
		answered <- answer{value, err}
	}()
	// More than the 4095 bytes at which a terminal cuts a line off by itself.
	long := strings.Repeat(canary, 300)
	p.typeAt('?', long+"\r")
	got := <-answered
	if got.err != nil || !got.value.Equal(secretvalue.FromString(long)) {
		t.Errorf("the value: got %d bytes, error %v; want %d bytes", got.value.Len(), got.err, len(long))
	}
	if shown, err := p.screen.ReadString('\n'); err != nil || shown != "\r\n" {
		t.Errorf("the screen after the question: got %q, error %v; want the end of the line alone", shown, err)
	}
	after, err := term.GetState(int(p.device.Fd()))
	if err != nil || *after != *before {
		t.Errorf("the terminal was not put back as it was (error %v)", err)
	}
}

// The rest of a paste must not be left for the shell to run.
func TestTerminalSwallowsTheRestOfAPaste(t *testing.T) {
	p := newPseudoTerminal(t)
	terminal := NewTerminal(p.device, p.device)
	failed := make(chan error, 1)
	go func() {
		_, err := terminal.AskSecret(context.Background(), "Value?")
		failed <- err
	}()
	// In the background, for a terminal takes no more than somebody reads.
	pasted := make(chan struct{})
	go func() {
		p.typeAt('?', "-----BEGIN-----\r"+strings.Repeat("line of a key\r", 3000)+"-----END-----\r")
		close(pasted)
	}()
	if err := <-failed; !errors.Is(err, errSeveralLines) {
		t.Errorf("a paste of several lines: got %v, want errSeveralLines", err)
	}
	select {
	case <-pasted:
	case <-time.After(5 * time.Second):
		t.Error("the rest of the paste is still to be read")
	}
}

func TestTerminalAsks(t *testing.T) {
	p := newPseudoTerminal(t)
	terminal := NewTerminal(p.device, p.device)
	if !terminal.Interactive() {
		t.Error("a terminal is not taken for one")
	}
	go p.typeAt('?', "openai\r")
	answer, err := terminal.Ask(context.Background(), "Provider?")
	if err != nil || answer != "openai" {
		t.Errorf("the answer: got %q, error %v; want openai", answer, err)
	}
	// The same terminal may ask again, for something else.
	go p.typeAt('?', canary+"\r")
	value, err := terminal.AskSecret(context.Background(), "Value?")
	if err != nil || !value.Equal(secretvalue.FromString(canary)) {
		t.Errorf("the value: got %d bytes, error %v; want %d", value.Len(), err, len(canary))
	}
}

// SIGTERM and Ctrl-C come as the end of the context.
func TestTerminalStopsAskingWithItsContext(t *testing.T) {
	for name, ask := range map[string]func(*Terminal, context.Context) error{
		"line":   func(t *Terminal, ctx context.Context) error { _, err := t.Ask(ctx, "?"); return err },
		"secret": func(t *Terminal, ctx context.Context) error { _, err := t.AskSecret(ctx, "?"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPseudoTerminal(t)
			before, err := term.GetState(int(p.device.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			defer cancel()
			if err := ask(NewTerminal(p.device, p.device), ctx); !errors.Is(err, errInterrupted) {
				t.Errorf("asking: got %v, want errInterrupted", err)
			}
			after, err := term.GetState(int(p.device.Fd()))
			if err != nil || *after != *before {
				t.Errorf("the terminal was not put back as it was (error %v)", err)
			}
		})
	}
}

func TestNoTerminal(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if NewTerminal(file, file).Interactive() {
		t.Error("a file is taken for a terminal")
	}
}
