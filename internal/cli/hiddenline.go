package cli

import (
	"errors"
	"unicode/utf8"

	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
)

var (
	errSeveralLines = errors.New("more than one line was pasted, and nothing of it is used: put a value of several lines into a file and give --from-file")
	errControl      = errors.New("a key was pressed that types no character, such as Tab or an arrow: start again, or give --from-file for a value with such characters")
	errInputEnded   = errors.New("the input ended before a value was given: start again, or give --from-file")
)

// Keys that do something, as a terminal in raw mode sends them (ASCII).
const (
	keyInterrupt = 0x03 // Ctrl-C
	keyEnd       = 0x04 // Ctrl-D
	keyBackspace = 0x08
	keyKill      = 0x15 // Ctrl-U
	keyDelete    = 0x7f
	firstPrinted = 0x20
)

// hiddenLine is a line as it is typed or pasted, unseen, at a terminal in raw
// mode. In the usual mode the terminal itself would keep the line, and cut it
// off at 4095 bytes without a word.
type hiddenLine struct {
	typed   []byte
	ended   bool
	failure error // the first thing that was wrong
}

func newHiddenLine() *hiddenLine {
	// Never grown, or the old array would stay in memory with what was typed.
	return &hiddenLine{typed: make([]byte, 0, envelope.MaxValueLength)}
}

// feed takes what the terminal sent, whole or in part.
func (l *hiddenLine) feed(input []byte) {
	for _, c := range input {
		switch {
		case l.ended:
			// An end of line of two characters, or Enter pressed twice, is no second line.
			if c != '\r' && c != '\n' {
				l.fail(errSeveralLines)
			}
		case c == '\r', c == '\n', c == keyEnd:
			l.ended = true
			if c == keyEnd && len(l.typed) == 0 {
				l.fail(errInputEnded)
			}
		case c == keyInterrupt:
			l.ended = true
			l.fail(errInterrupted)
		default:
			l.edit(c)
		}
	}
}

func (l *hiddenLine) edit(c byte) {
	switch {
	case c == keyBackspace, c == keyDelete:
		_, size := utf8.DecodeLastRune(l.typed)
		l.typed = l.typed[:len(l.typed)-size]
	case c == keyKill:
		l.typed = l.typed[:0]
	case c < firstPrinted:
		l.fail(errControl)
	case len(l.typed) == cap(l.typed):
		l.fail(envelope.ErrValueTooLong)
	default:
		l.typed = append(l.typed, c)
	}
}

func (l *hiddenLine) fail(err error) {
	if l.failure == nil {
		l.failure = err
	}
}

// take returns what was typed and forgets it.
func (l *hiddenLine) take() (secretvalue.Value, error) {
	defer clear(l.typed[:cap(l.typed)])
	if l.failure != nil {
		return secretvalue.Value{}, l.failure
	}
	return secretvalue.New(l.typed), nil
}
