package audit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Anchor is a record of a chain, told elsewhere: who changes it or anything before
// it in its chain, or cuts it off, is found out.
type Anchor struct {
	Chain string
	Seq   uint64
	Hash  string
}

// String is CHAIN:SEQ:HASH, as [ParseAnchor] reads it.
func (a Anchor) String() string {
	return a.Chain + ":" + strconv.FormatUint(a.Seq, 10) + ":" + a.Hash
}

var errAnchor = errors.New("an anchor is CHAIN:RECORD:HASH, as the operator's log has it")

// ParseAnchor reads an anchor.
func ParseAnchor(text string) (Anchor, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 || !chainPattern.MatchString(parts[0]) || !hashPattern.MatchString(parts[2]) {
		return Anchor{}, fmt.Errorf("%w, not %q", errAnchor, text)
	}
	seq, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return Anchor{}, fmt.Errorf("%w, not %q", errAnchor, text)
	}
	return Anchor{Chain: parts[0], Seq: seq, Hash: parts[2]}, nil
}
