package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// MaxLineLength is the longest line that is written, in bytes, without its end:
// more than a record's texts can take.
const MaxLineLength = 256 << 10

const (
	// format is the version of the format.
	format = 1
	// maxSourceIPs are the addresses of a record that are written.
	maxSourceIPs = 16
	// timeLayout is RFC 3339 in UTC, to the microsecond.
	timeLayout = "2006-01-02T15:04:05.000000Z"
	// linePrefix is how a line begins.
	linePrefix = `{"chain":"`
)

// The types of lines that are about the chain and not an access.
const (
	chainStart Type = "chain-start"
	chainEnd   Type = "chain-end"
	dropped    Type = "dropped"
)

// Why a chain ends, in its end's reason.
const (
	endShutdown = "shutdown"
	endRotation = "rotation"
	endMoved    = "moved"
)

// The sinks that a start names.
const (
	sinkStdout = "stdout"
	sinkFile   = "file"
)

// entry is one line.
type entry struct {
	Chain string `json:"chain"`
	Seq   uint64 `json:"seq"`
	// Prev is the hash of the line before: of the same chain, or at a start of
	// the same file.
	Prev string `json:"prev"`
	Record

	// Of a start.
	Format  uint64 `json:"format"`
	Sink    string `json:"sink"`
	Replica string `json:"replica"`
	Version string `json:"version"`
	// After is the hash of the last line of the chain before, where that is not
	// the line before in the same file.
	After string `json:"after"`
	// Torn says that the line before is the beginning of one that was not
	// written to its end.
	Torn bool `json:"torn"`

	// Count is, of dropped, how many records.
	Count uint64 `json:"count"`
}

// hashOf is the hash of a line without its end, as the next one names it.
func hashOf(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// appendTo appends the line, without its end. Fields are in one order, without
// spaces, and those that are empty are left out, but for seq.
func (e *entry) appendTo(dst []byte) []byte {
	dst = append(dst, linePrefix...)
	dst = append(dst, e.Chain...)
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendUint(dst, e.Seq, 10)
	dst = appendField(dst, "prev", e.Prev)
	dst = append(dst, `,"time":"`...)
	dst = e.Time.UTC().AppendFormat(dst, timeLayout)
	dst = append(dst, '"')
	dst = appendField(dst, "type", string(e.Type))
	dst = appendNumber(dst, "format", e.Format)
	for _, f := range [...]struct{ name, value string }{
		{"sink", e.Sink}, {"replica", e.Replica}, {"version", e.Version}, {"after", e.After},
	} {
		dst = appendField(dst, f.name, f.value)
	}
	if e.Torn {
		dst = append(dst, `,"torn":true`...)
	}
	dst = appendNumber(dst, "count", e.Count)
	for _, f := range [...]struct{ name, value string }{
		{"id", e.ID}, {"decision", string(e.Decision)}, {"owner", e.Owner}, {"namespace", e.Namespace}, {"name", e.Name}, {"uid", e.UID},
		{"keyID", e.KeyID}, {"actor", e.Actor}, {"workflow", e.Workflow}, {"node", e.Node}, {"pod", e.Pod}, {"podUID", e.PodUID},
	} {
		dst = appendField(dst, f.name, f.value)
	}
	dst = appendAddresses(dst, e.SourceIPs)
	dst = appendField(dst, "userAgent", e.UserAgent)
	dst = appendField(dst, "reason", e.Reason)
	return append(dst, '}')
}

func appendField(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return appendText(appendName(dst, name), value, MaxTextLength)
}

func appendNumber(dst []byte, name string, value uint64) []byte {
	if value == 0 {
		return dst
	}
	return strconv.AppendUint(appendName(dst, name), value, 10)
}

func appendName(dst []byte, name string) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

func appendAddresses(dst []byte, addresses []string) []byte {
	if len(addresses) == 0 {
		return dst
	}
	dst = append(appendName(dst, "sourceIPs"), '[')
	for i, address := range addresses[:min(len(addresses), maxSourceIPs)] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, address, maxAddressLength)
	}
	return append(dst, ']')
}

var (
	chainPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)
	hashPattern  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	typePattern  = regexp.MustCompile(`^[a-z]{1,32}$`)
)

var (
	errNotRecord    = errors.New("it is no record of the access log")
	errNotCanonical = errors.New("it is not written as the operator writes")
	errTooLong      = fmt.Errorf("it is longer than %d bytes", MaxLineLength)
	errCutOff       = errors.New("it is cut off: it has no end of line")
)

// parse reads a line, given without its end. It takes only what appendTo writes,
// byte for byte: an unknown name, one that stands twice, or a space, is an error.
func parse(line []byte) (*entry, error) {
	switch {
	case len(line) > MaxLineLength:
		return nil, errTooLong
	case !bytes.HasPrefix(line, []byte(linePrefix)):
		return nil, errNotRecord
	}
	e := &entry{}
	if err := json.Unmarshal(line, e); err != nil {
		return nil, fmt.Errorf("%w: %s", errNotRecord, printable(err))
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	if !bytes.Equal(e.appendTo(make([]byte, 0, len(line))), line) {
		return nil, errNotCanonical
	}
	return e, nil
}

// printable is an error of the decoder, in printable characters: it may repeat
// parts of the line.
func printable(err error) string {
	quoted := appendText(nil, err.Error(), MaxTextLength)
	return string(quoted[1 : len(quoted)-1])
}

// check says what is wrong with an entry's fields.
func (e *entry) check() error {
	isStart, isMeta := e.Type == chainStart, e.Type == chainStart || e.Type == chainEnd || e.Type == dropped
	switch {
	case !chainPattern.MatchString(e.Chain):
		return fmt.Errorf("%w: its chain is not 32 hexadecimal digits", errNotRecord)
	case (e.Seq == 0) != isStart:
		return fmt.Errorf("%w: a chain starts with record 0, of type %s", errNotRecord, chainStart)
	case !hashPattern.MatchString(e.Prev) && (e.Prev != "" || !isStart):
		return fmt.Errorf("%w: prev is not 64 hexadecimal digits", errNotRecord)
	case e.After != "" && !hashPattern.MatchString(e.After):
		return fmt.Errorf("%w: after is not 64 hexadecimal digits", errNotRecord)
	case e.Time.IsZero() || e.Time.Year() < 1 || e.Time.Year() > 9999:
		return fmt.Errorf("%w: it has no time", errNotRecord)
	case !isMeta && !typePattern.MatchString(string(e.Type)):
		return fmt.Errorf("%w: it has no type", errNotRecord)
	case e.Decision != "" && e.Decision != Allow && e.Decision != Deny:
		return fmt.Errorf("%w: its decision is neither %s nor %s", errNotRecord, Allow, Deny)
	case isStart:
		return e.checkStart()
	case e.Format != 0 || e.Sink != "" || e.Replica != "" || e.Version != "" || e.After != "" || e.Torn:
		return fmt.Errorf("%w: it has fields of a %s", errNotRecord, chainStart)
	case (e.Count != 0) != (e.Type == dropped):
		return fmt.Errorf("%w: a count belongs to type %s", errNotRecord, dropped)
	case e.Type == chainEnd && e.Reason != endShutdown && e.Reason != endRotation && e.Reason != endMoved:
		return fmt.Errorf("%w: an end without a known reason", errNotRecord)
	case isMeta && e.carriesAccess():
		return fmt.Errorf("%w: a %s has no fields of an access", errNotRecord, e.Type)
	}
	return nil
}

func (e *entry) checkStart() error {
	switch {
	case e.Format != format:
		return fmt.Errorf("%w: format %d, and this program knows %d", errNotRecord, e.Format, format)
	case e.Sink != sinkStdout && e.Sink != sinkFile:
		return fmt.Errorf("%w: a start names its sink, %s or %s", errNotRecord, sinkStdout, sinkFile)
	case e.Count != 0 || e.Reason != "" || e.carriesAccess():
		return fmt.Errorf("%w: a %s has no fields of an access", errNotRecord, chainStart)
	}
	return nil
}

// carriesAccess says whether fields are set that only an access has.
func (e *entry) carriesAccess() bool {
	for _, text := range []string{
		e.ID, string(e.Decision), e.Owner, e.Namespace, e.Name, e.UID, e.KeyID, e.Actor, e.Workflow, e.Node, e.Pod, e.PodUID, e.UserAgent,
	} {
		if text != "" {
			return true
		}
	}
	return len(e.SourceIPs) > 0
}

// chain hands out the lines of one chain, in order.
type chain struct {
	id   string
	next uint64
	// last is the hash of the last line.
	last string
}

// append appends one line with its end and moves the chain on.
func (c *chain) append(dst []byte, e *entry) []byte {
	e.Chain, e.Seq = c.id, c.next
	if c.next > 0 {
		e.Prev = c.last
	}
	from := len(dst)
	dst = e.appendTo(dst)
	c.last = hashOf(dst[from:])
	c.next++
	return append(dst, '\n')
}

// writable is a time that a line can hold: the format has years of four digits.
func writable(t time.Time) time.Time {
	if year := t.UTC().Year(); year < 1 || year > 9999 || t.IsZero() {
		return time.Unix(0, 0)
	}
	return t
}
