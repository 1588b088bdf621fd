package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxSegments bounds the memory of a [Verifier].
const maxSegments = 1 << 20

// Problem is a line that is not as it was written, or not where.
type Problem struct {
	File string
	// Line counts from 1; 0 is for a problem of no line.
	Line int
	What string
}

// String is file:line: what.
func (p Problem) String() string {
	switch {
	case p.File == "":
		return p.What
	case p.Line == 0:
		return p.File + ": " + p.What
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.What)
}

// Verifier looks for what was changed, removed, added or moved in the files of
// access logs. It reads each once and keeps a line of it and a little for each
// chain.
type Verifier struct {
	// Partial: files that are older are not given. A chain may begin in its
	// middle at the top of a file, and follow one that is not there.
	Partial bool
	// SkipOther: lines that do not begin as records do are not looked at.
	SkipOther bool
	// Anchors are records that must be there.
	Anchors []Anchor

	segments []*segment
	// tails are files' last lines that have no end.
	tails    []tail
	anchored map[Anchor]bool
	problems []Problem
}

// segment is what one file has of one chain, without a gap.
type segment struct {
	chain, file      string
	line             int // of its first record
	atTop            bool
	firstSeq         uint64
	firstPrev        string
	start            *entry // nil where it begins with another record
	lastSeq          uint64
	lastHash         string
	lastLine         int
	ended            string // why, of the chain's end
	records, dropped uint64
	first, last      time.Time // of accesses

	doubt *doubt
}

// doubt is about two lines that do not fit. The next line of the chain names one
// of them, and the other is bad.
type doubt struct {
	earlier, later int // lines
	laterHash      string
	what           string
}

// tail is a line that was not written to its end, or is no record.
type tail struct {
	line int
	hash string
	err  error
	file string
}

// reading is the state of one file.
type reading struct {
	*Verifier
	file string
	line int
	here map[string]*segment // the file's, by chain
	// prev is the line before, if it was of the log: of a skipped line skipped.
	prev, skipped string
	prevLine      int
	torn          *tail
}

// Read looks through a file, named in what is found. The rest of a file is not
// looked at after its first bad line.
func (v *Verifier) Read(name string, from io.Reader) {
	r := &reading{Verifier: v, file: name, here: map[string]*segment{}}
	if p := r.read(from); p != nil {
		v.problems = append(v.problems, *p)
	}
}

func (r *reading) problem(line int, what string, args ...any) *Problem {
	return &Problem{File: r.file, Line: line, What: fmt.Sprintf(what, args...)}
}

func (r *reading) read(from io.Reader) *Problem {
	lines := bufio.NewReaderSize(from, MaxLineLength+1)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) == 0 && errors.Is(err, io.EOF) {
			return r.end()
		}
		r.line++
		ours := !r.SkipOther || bytes.HasPrefix(line, []byte(linePrefix))
		switch {
		case err == nil && ours:
			if p := r.take(line[:len(line)-1]); p != nil {
				return p
			}
		case errors.Is(err, bufio.ErrBufferFull) && ours:
			return r.problem(r.line, "%v", errTooLong)
		case errors.Is(err, bufio.ErrBufferFull):
			err = skipLine(lines)
		case errors.Is(err, io.EOF) && ours:
			if r.torn != nil {
				return r.problem(r.torn.line, "%v", r.torn.err)
			}
			r.tails = append(r.tails, tail{line: r.line, hash: hashOf(line), err: errCutOff, file: r.file})
			return r.end()
		case err == nil:
			r.skipped = hashOf(line[:len(line)-1])
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return r.problem(r.line, "reading it: %v", err)
		}
	}
}

func skipLine(lines *bufio.Reader) error {
	for {
		_, err := lines.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// end is that of the file.
func (r *reading) end() *Problem {
	if r.torn != nil {
		return r.problem(r.torn.line, "%v", r.torn.err)
	}
	var first *Problem
	for _, s := range r.here {
		if s.doubt != nil && (first == nil || s.doubt.earlier < first.Line) {
			first = r.problem(s.doubt.earlier, "it does not fit line %d: one of the two was changed or added", s.doubt.later)
		}
	}
	return first
}

// take takes one line.
func (r *reading) take(line []byte) *Problem {
	hash := hashOf(line)
	e, err := parse(line)
	if err != nil {
		if r.torn != nil {
			return r.problem(r.torn.line, "%v", r.torn.err)
		}
		r.torn = &tail{line: r.line, hash: hash, err: err}
		return nil
	}
	if p := r.settleTorn(e); p != nil {
		return p
	}
	if p := r.checkAnchors(e, hash); p != nil {
		return p
	}
	var p *Problem
	s := r.here[e.Chain]
	switch {
	case s != nil:
		p = r.follow(s, e, hash)
	case len(r.segments) == maxSegments:
		return r.problem(r.line, "there are more than %d chains", maxSegments)
	case e.Type == chainStart:
		s = r.open(e, hash)
		p = r.checkStart(s, e)
	default:
		s = r.open(e, hash)
	}
	if p != nil {
		return p
	}
	s.take(e, hash, r.line)
	r.prev, r.prevLine = hash, r.line
	return nil
}

// settleTorn excuses a line that is no record where the start that follows it
// says so.
func (r *reading) settleTorn(e *entry) *Problem {
	torn := r.torn
	if torn == nil {
		switch {
		case !e.Torn, r.prevLine > 0 && (e.Prev == r.prev || e.After == r.prev):
			return nil // a whole line may have lost its end of line alone
		case r.SkipOther && r.skipped != "":
			r.prev, r.prevLine = r.skipped, r.line-1
			return nil
		}
		return r.problem(r.line, "it follows a line that was not written to its end, and there is none")
	}
	if !e.Torn || e.Prev != torn.hash && e.After != torn.hash {
		return r.problem(torn.line, "%v", torn.err)
	}
	r.prev, r.prevLine, r.torn = torn.hash, torn.line, nil
	if e.Prev == "" {
		e.After = "" // it was that line's
	}
	return nil
}

func (r *reading) checkAnchors(e *entry, hash string) *Problem {
	for _, a := range r.Anchors {
		if a.Chain != e.Chain || a.Seq != e.Seq {
			continue
		}
		if a.Hash != hash {
			return r.problem(r.line, "it is not the record that the anchor %s names", a)
		}
		if r.anchored == nil {
			r.anchored = map[Anchor]bool{}
		}
		r.anchored[a] = true
	}
	return nil
}

// open begins a segment.
func (r *reading) open(e *entry, hash string) *segment {
	s := &segment{chain: e.Chain, file: r.file, line: r.line, atTop: r.prevLine == 0, firstSeq: e.Seq, firstPrev: e.Prev, lastHash: hash}
	if e.Type == chainStart {
		s.start = e
	}
	r.here[e.Chain] = s
	r.segments = append(r.segments, s)
	return s
}

// checkStart compares a start with the line before it.
func (r *reading) checkStart(s *segment, e *entry) *Problem {
	switch {
	case e.Sink == sinkStdout && e.Prev == "", e.Sink == sinkFile && e.Prev == r.prev:
		return nil
	case r.prevLine == 0:
		return r.problem(r.line, "it follows a line that is not there: what stood before it was removed")
	case e.Prev == "":
		return r.problem(r.line, "it begins a file, and other lines stand before it")
	}
	s.doubt = &doubt{earlier: r.prevLine, later: r.line, laterHash: s.lastHash, what: "it is not what the chain that starts at line %d follows: it was changed, or lines between the two were removed"}
	return nil
}

// follow compares a record with the one before it in its chain.
func (r *reading) follow(s *segment, e *entry, hash string) *Problem {
	if d := s.doubt; d != nil {
		if e.Prev == d.laterHash {
			return r.problem(d.earlier, d.what, d.later)
		}
		return r.problem(d.later, "it was changed or added: it does not fit line %d, nor does line %d follow it", d.earlier, r.line)
	}
	switch {
	case e.Type == chainStart, hash == s.lastHash:
		return r.problem(r.line, "it repeats a record of its chain that stands before it")
	case s.ended != "":
		return r.problem(r.line, "it stands after the end of its chain, which is line %d", s.lastLine)
	case e.Seq < s.lastSeq:
		return r.problem(r.line, "it is record %d of its chain and stands after record %d: repeated, or moved", e.Seq, s.lastSeq)
	case e.Seq == s.lastSeq:
		s.doubt = &doubt{earlier: s.lastLine, later: r.line, laterHash: hash, what: "it was added: line %d is that record of its chain"}
	case e.Seq > s.lastSeq+1:
		return r.problem(r.line, "it is record %d of its chain, and the one before it is %d: records %d to %d were removed or moved", e.Seq, s.lastSeq, s.lastSeq+1, e.Seq-1)
	case e.Prev != s.lastHash:
		s.doubt = &doubt{earlier: s.lastLine, later: r.line, laterHash: hash, what: "it was changed: line %d follows another"}
	}
	return nil
}

// take notes a record that fits.
func (s *segment) take(e *entry, hash string, line int) {
	s.lastSeq, s.lastHash, s.lastLine = e.Seq, hash, line
	switch e.Type {
	case chainStart:
	case chainEnd:
		s.ended = e.Reason
	case dropped:
		s.dropped += e.Count
	default:
		s.records++
		if s.first.IsZero() || e.Time.Before(s.first) {
			s.first = e.Time
		}
		if e.Time.After(s.last) {
			s.last = e.Time
		}
	}
}
