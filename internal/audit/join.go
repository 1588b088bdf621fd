package audit

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// Chain is what was found of one chain.
type Chain struct {
	ID string
	// Replica, Version and Sink are empty where the start is not there.
	Replica, Version, Sink string
	// Records are accesses; Dropped those that the log itself says are missing.
	Records, Dropped uint64
	// First and Last are the times of the earliest and the latest access; zero
	// where there is none.
	First, Last time.Time
	// End is why the chain ends: shutdown, rotation, moved; empty where it has
	// no end.
	End string
	// Followed is the chain that names this one's last line, empty for none. A
	// chain without an End that is not Followed may be cut off at its end.
	Followed string
}

// Finish says what all files together hold, and what is wrong: the first bad line
// of each file, or, where each is whole, the first that does not fit the others.
func (v *Verifier) Finish() ([]Chain, []Problem) {
	if len(v.problems) > 0 {
		return nil, v.problems
	}
	slices.SortStableFunc(v.segments, func(a, b *segment) int {
		return cmp.Or(cmp.Compare(a.chain, b.chain), cmp.Compare(a.firstSeq, b.firstSeq))
	})
	followed := v.followed()
	v.checkTails(followed)
	ends := map[string]bool{}
	for _, s := range v.segments {
		ends[s.lastHash] = true
	}
	for _, t := range v.tails {
		ends[t.hash] = true
	}
	var chains []Chain
	for from := 0; from < len(v.segments); {
		to := from + 1
		for to < len(v.segments) && v.segments[to].chain == v.segments[from].chain {
			to++
		}
		segments := v.segments[from:to]
		v.checkJoins(segments)
		v.checkFollows(segments[0], ends)
		chains = append(chains, chainOf(segments, followed))
		from = to
	}
	for _, a := range v.Anchors {
		if !v.anchored[a] {
			v.problems = append(v.problems, Problem{What: "the record that the anchor " + a.String() + " names is not there"})
		}
	}
	slices.SortStableFunc(chains, func(a, b Chain) int { return a.First.Compare(b.First) })
	return chains, v.problems
}

// followed are the lines that a start names, and the chain that it starts.
func (v *Verifier) followed() map[string]string {
	named := map[string]string{}
	for _, s := range v.segments {
		if s.start == nil {
			continue
		}
		for _, hash := range []string{s.start.Prev, s.start.After} {
			if hash != "" {
				named[hash] = s.chain
			}
		}
	}
	return named
}

// checkTails excuses a file's end without an end of line where the start of
// another file follows it.
func (v *Verifier) checkTails(followed map[string]string) {
	for _, t := range v.tails {
		if followed[t.hash] == "" {
			v.problems = append(v.problems, Problem{File: t.file, Line: t.line, What: t.err.Error()})
		}
	}
}

// checkJoins compares the parts of one chain, in the order of their records.
func (v *Verifier) checkJoins(segments []*segment) {
	for i, s := range segments {
		p := Problem{File: s.file, Line: s.line}
		switch {
		case i == 0 && (s.firstSeq == 0 || v.Partial && s.atTop):
			continue
		case i == 0:
			p.What = "its chain has no beginning: it is record " + number(s.firstSeq) + ", and those before it are not there"
		case s.firstSeq <= segments[i-1].lastSeq:
			p.What = "it stands elsewhere too: record " + number(s.firstSeq) + " of its chain is in " + segments[i-1].file
		case segments[i-1].ended != "":
			p.What = "it stands after the end of its chain, which is in " + segments[i-1].file
		case s.firstSeq > segments[i-1].lastSeq+1:
			p.What = "records " + number(segments[i-1].lastSeq+1) + " to " + number(s.firstSeq-1) + " of its chain were removed before it"
		case s.firstPrev != segments[i-1].lastHash:
			p.What = "it does not follow the last record of its chain in " + segments[i-1].file + ": one of the two was changed"
		default:
			continue
		}
		v.problems = append(v.problems, p)
		return
	}
}

// checkFollows looks for the line that a chain follows in another file.
func (v *Verifier) checkFollows(s *segment, ends map[string]bool) {
	if s.start == nil || s.start.After == "" || ends[s.start.After] || v.Partial {
		return
	}
	v.problems = append(v.problems, Problem{File: s.file, Line: s.line, What: "it follows a line of another file that is not there: a file is missing, or was cut off"})
}

func chainOf(segments []*segment, followed map[string]string) Chain {
	last := segments[len(segments)-1]
	c := Chain{ID: last.chain, End: last.ended, Followed: followed[last.lastHash]}
	if start := segments[0].start; start != nil {
		c.Replica, c.Version, c.Sink = start.Replica, start.Version, start.Sink
	}
	for _, s := range segments {
		c.Records += s.records
		c.Dropped += s.dropped
		if !s.first.IsZero() && (c.First.IsZero() || s.first.Before(c.First)) {
			c.First = s.first
		}
		if s.last.After(c.Last) {
			c.Last = s.last
		}
	}
	return c
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }
