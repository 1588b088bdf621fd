package audit

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	someChain = "00112233445566778899aabbccddeeff"
	someHash  = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
)

func TestLineHasEveryField(t *testing.T) {
	r := full()
	r.Time = r.Time.In(time.FixedZone("", 3600))
	e := &entry{Chain: someChain, Seq: 7, Prev: someHash, Record: r}
	got := string(e.appendTo(nil))
	want := `{"chain":"` + someChain + `","seq":7,"prev":"` + someHash + `","time":"2026-03-01T12:00:00.000005Z","type":"use",` +
		`"id":"1","decision":"deny","owner":"alice","namespace":"alice-flows","name":"openai","uid":"2","keyID":"v1-3f9a2c1b","actor":"bob",` +
		`"workflow":"nightly","node":"train","pod":"nightly-1","podUID":"3","sourceIPs":["192.0.2.7","2001:db8::1"],"userAgent":"kubectl/v1.37","reason":"because"}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
	back, err := parse([]byte(got))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full(), back.Record); diff != "" {
		t.Errorf("record (-written +read):\n%s", diff)
	}
}

// Each text of a record, those of fields to come too, is bounded and escaped, and
// reads back as it was.
func TestTextsAreEscaped(t *testing.T) {
	const hostile = "step\n{\"chain\":\"\\\"}\x00\x1b[2K\x7f\u0085\u202e\u2028é😀"
	texts := map[string]string{
		hostile:                    hostile,
		"\xff":                     "\uFFFD",
		strings.Repeat("😀", 1024):  strings.Repeat("😀", 1024),
		strings.Repeat("é", 1025):  strings.Repeat("é", 1023) + "…",
		strings.Repeat("\n", 9999): strings.Repeat("\n", 1023) + "…",
	}
	fields := 0
	for i := range reflect.TypeFor[Record]().NumField() {
		field := reflect.TypeFor[Record]().Field(i)
		if field.Type != reflect.TypeFor[string]() {
			continue
		}
		fields++
		for text, want := range texts {
			e := &entry{Chain: someChain, Seq: 1, Prev: someHash, Record: Record{Type: Use, Time: noon}}
			reflect.ValueOf(&e.Record).Elem().Field(i).SetString(text)
			line := e.appendTo(nil)
			if at := strings.IndexFunc(string(line), func(r rune) bool { return r < 0x20 || r > 0x7e }); at >= 0 {
				t.Errorf("%s of %.20q: %q in the line", field.Name, text, line[at])
			}
			back, err := parse(line)
			if err != nil {
				t.Fatalf("%s of %.20q: %v", field.Name, text, err)
			}
			if got := reflect.ValueOf(back.Record).Field(i).String(); got != want {
				t.Errorf("%s of %.20q reads %q", field.Name, text, got)
			}
		}
	}
	if fields == 0 {
		t.Error("a record has no texts")
	}
}

// The longest record fits a line, and what is queued of it is no more than that.
func TestLongestLineFits(t *testing.T) {
	r := full()
	for i := range reflect.TypeFor[Record]().NumField() {
		if field := reflect.ValueOf(&r).Elem().Field(i); field.Type() == reflect.TypeFor[string]() {
			field.SetString(strings.Repeat("😀", 4096))
		}
	}
	r.SourceIPs = make([]string, 17)
	for i := range r.SourceIPs {
		r.SourceIPs[i] = strings.Repeat("1", maxAddressLength+1)
	}
	line := (&entry{Chain: someChain, Seq: 1 << 63, Prev: someHash, Record: r.bounded()}).appendTo(nil)
	if _, err := parse(line); err != nil {
		t.Fatal(err)
	}
	if size := func() int { b := r.bounded(); return b.size() }(); size > MaxLineLength {
		t.Errorf("queued as %d bytes, want no more than a line's %d", size, MaxLineLength)
	}
}

// A line is read in the one way that it is written.
func TestParseTakesOnlyWhatIsWritten(t *testing.T) {
	good := string((&entry{Chain: someChain, Seq: 7, Prev: someHash, Record: full()}).appendTo(nil))
	begin := string((&entry{Chain: someChain, Record: Record{Type: chainStart, Time: noon}, Format: 1, Sink: sinkFile, Replica: "r", Version: "v"}).appendTo(nil))
	ends := string((&entry{Chain: someChain, Seq: 7, Prev: someHash, Record: Record{Type: chainEnd, Time: noon, Reason: endShutdown}}).appendTo(nil))
	for _, line := range []string{good, begin, ends} {
		if _, err := parse([]byte(line)); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
	}
	tests := map[string]struct{ line, old, new, want string }{
		"nothing":               {"", "", "", "it is no record of the access log"},
		"another program's":     {`{"level":"info"}`, "", "", "it is no record of the access log"},
		"half":                  {good[:100], "", "", "it is no record of the access log: unexpected end of JSON input"},
		"two":                   {good + good, "", "", "it is no record of the access log: invalid character '{' after top-level value"},
		"a space":               {good, `,"seq"`, `, "seq"`, errNotCanonical.Error()},
		"a carriage return":     {good + "\r", "", "", errNotCanonical.Error()},
		"a name twice":          {good, `"owner":"alice"`, `"owner":"bob","owner":"alice"`, errNotCanonical.Error()},
		"a name in capitals":    {good, `"owner"`, `"Owner"`, errNotCanonical.Error()},
		"another order":         {good, `"id":"1","decision":"deny"`, `"decision":"deny","id":"1"`, errNotCanonical.Error()},
		"another escape":        {good, `"alice"`, `"\u0061lice"`, errNotCanonical.Error()},
		"nothing, written":      {good, `"uid":"2"`, `"uid":""`, errNotCanonical.Error()},
		"null":                  {good, `"uid":"2"`, `"uid":null`, errNotCanonical.Error()},
		"an unknown field":      {good, `"uid"`, `"uit"`, errNotCanonical.Error()},
		"another time zone":     {good, `00.000005Z`, `00.000005+00:00`, errNotCanonical.Error()},
		"no time":               {good, `2026-03-01T12:00:00.000005Z`, `0001-01-01T00:00:00.000000Z`, "it is no record of the access log: it has no time"},
		"a decision":            {good, `"deny"`, `"maybe"`, "it is no record of the access log: its decision is neither allow nor deny"},
		"a type":                {good, `"use"`, `"chain-stop"`, "it is no record of the access log: it has no type"},
		"a chain":               {good, someChain, "0" + someChain, "it is no record of the access log: its chain is not 32 hexadecimal digits"},
		"a hash":                {good, someHash, someHash[1:], "it is no record of the access log: prev is not 64 hexadecimal digits"},
		"record 0":              {good, `"seq":7`, `"seq":0`, "it is no record of the access log: a chain starts with record 0, of type chain-start"},
		"a start that is not 0": {begin, `"seq":0`, `"seq":1`, "it is no record of the access log: a chain starts with record 0, of type chain-start"},
		"a later format":        {begin, `"format":1`, `"format":2`, "it is no record of the access log: format 2, and this program knows 1"},
		"a sink":                {begin, `"file"`, `"tape"`, "it is no record of the access log: a start names its sink, stdout or file"},
		"a start with an owner": {begin, `}`, `,"owner":"alice"}`, "it is no record of the access log: a chain-start has no fields of an access"},
		"an end with an owner":  {ends, `,"reason"`, `,"owner":"alice","reason"`, "it is no record of the access log: a chain-end has no fields of an access"},
		"an end without reason": {ends, `,"reason":"shutdown"`, ``, "it is no record of the access log: an end without a known reason"},
		"a use with a replica":  {good, `"type":"use"`, `"type":"use","replica":"r"`, "it is no record of the access log: it has fields of a chain-start"},
		"a use with a count":    {good, `"type":"use"`, `"type":"use","count":3`, "it is no record of the access log: a count belongs to type dropped"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.old != "" && !strings.Contains(tt.line, tt.old) {
				t.Fatalf("no %q in %s", tt.old, tt.line)
			}
			_, err := parse([]byte(strings.Replace(tt.line, tt.old, tt.new, 1)))
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// FuzzParse: whatever is taken is written the same way again, and is JSON in
// printable ASCII.
func FuzzParse(f *testing.F) {
	hostile := full()
	hostile.Workflow = "step\n{\"chain\":\"\x1b[2K\u202e\xff😀"
	for _, e := range []*entry{
		{Chain: someChain, Seq: 7, Prev: someHash, Record: full()},
		{Chain: someChain, Seq: 7, Prev: someHash, Record: hostile},
		{Chain: someChain, Record: Record{Type: chainStart, Time: noon}, Format: 1, Sink: sinkFile, Replica: "r", Version: "v", After: someHash, Torn: true},
		{Chain: someChain, Seq: 8, Prev: someHash, Record: Record{Type: dropped, Time: noon}, Count: 3},
		{Chain: someChain, Seq: 9, Prev: someHash, Record: Record{Type: chainEnd, Time: noon, Reason: endMoved}},
	} {
		f.Add(e.appendTo(nil))
	}
	f.Add([]byte(linePrefix))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := parse(line)
		if err != nil {
			if text := err.Error(); strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
				t.Errorf("error %q does not print", text)
			}
			return
		}
		if again := e.appendTo(nil); string(again) != string(line) {
			t.Errorf("%q is written as %q", line, again)
		}
		if !json.Valid(line) || strings.ContainsFunc(string(line), func(r rune) bool { return r < 0x20 || r > 0x7e }) {
			t.Errorf("%q was taken", line)
		}
	})
}
