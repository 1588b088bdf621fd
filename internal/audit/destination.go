package audit

import "io"

// destination is where lines go.
type destination interface {
	// name is what a start calls it.
	name() string
	// probe says whether it can be opened at all.
	probe() error
	// open readies it for a new chain. last is the hash of the last whole line
	// that this process wrote, empty for none.
	open(last string) (standing, error)
	// Write appends whole lines. Of an error, n says how much stands there.
	io.Writer
	// stays says whether what is open is still what its name means.
	stays() bool
	// full says whether it should be moved away.
	full() bool
	// moveAway gives what is open another name; it stays open.
	moveAway() error
	sync() error
	close() error
}

// standing is what a new chain follows.
type standing struct {
	// prev is the hash of the line before in the same file, and after of the
	// last line of the chain before where that is another.
	prev, after string
	// midLine: what was written last has no end of line.
	midLine bool
}

// stream is a destination that cannot be read back, such as stdout.
type stream struct {
	to io.Writer
	// torn is what stands after the last end of line.
	torn []byte
}

func (*stream) name() string { return sinkStdout }

func (*stream) probe() error { return nil }

func (s *stream) open(last string) (standing, error) {
	if len(s.torn) > 0 {
		return standing{after: hashOf(s.torn), midLine: true}, nil
	}
	return standing{after: last}, nil
}

func (s *stream) Write(lines []byte) (int, error) {
	n, err := s.to.Write(lines)
	s.torn = append(s.torn, lines[:n]...)
	s.torn = s.torn[wholeLines(s.torn):]
	return n, err
}

func (*stream) stays() bool { return true }

func (*stream) full() bool { return false }

func (*stream) moveAway() error { return nil }

func (*stream) sync() error { return nil }

func (*stream) close() error { return nil }
