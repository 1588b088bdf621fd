package envelope_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"usersecrets.dev/operator/internal/envelope"
)

func TestParseGivesBackTheText(t *testing.T) {
	key := deriveKey(t, "v1", material(0), "alice")
	for _, n := range []int{1, 2, 3, 100, envelope.MaxValueLength} {
		text := seal(t, key, place, bytes.Repeat([]byte("a"), n))
		sealed := parse(t, text)
		if sealed.String() != text {
			t.Errorf("value of %d bytes: String() is another text", n)
		}
		if got := sealed.ValueLength(); got != n {
			t.Errorf("value of %d bytes: ValueLength() = %d", n, got)
		}
		if got, want := sealed.KeyID(), key.PublicKey().KeyID(); got != want {
			t.Errorf("KeyID() = %q, want %q", got, want)
		}
	}
	if zero := (envelope.Sealed{}); zero.String() != "" || zero.ValueLength() != 0 {
		t.Errorf("the zero Sealed has the text %q and a value of %d bytes", zero, zero.ValueLength())
	}
}

// What Parse refuses and why is in the vectors; here is what it says.
func TestParseSaysWhatToDo(t *testing.T) {
	text := seal(t, deriveKey(t, "v1", material(0), "alice"), place, []byte("a value, and some more bytes"))
	head, body := text[:len("us1.v1-b85eb51d.")], text[len("us1.v1-b85eb51d."):]
	const copyAll = `; copy the whole output of "kubectl usersecret seal"`
	const keyID = `the key id is malformed: it is like "v1-3f9a2c1b", a name of at most 40 of a-z, 0-9 and "-" that neither starts nor ends with "-", then "-" and 8 of 0-9 and a-f`
	const encoding = `the sealed value is not one line of base64url (A-Z, a-z, 0-9, "-" and "_", without padding): `
	const tooLong = "the sealed value is longer than that of the largest value, 64 KiB: "
	tests := map[string]struct {
		text      string
		wantError string
	}{
		"plaintext":  {text: "canary-0123456789", wantError: `this is no sealed value: it does not start with "us1."; seal the value with "kubectl usersecret seal"`},
		"key id":     {text: "us1.canary." + body, wantError: keyID + copyAll},
		"no payload": {text: "us1.v1-b85eb51d", wantError: keyID + ": the sealed value ends before one does" + copyAll},
		"line break": {text: text + "\n", wantError: encoding + "its payload has a line break at position 1553" + copyAll},
		"CR":         {text: text + "\r\n", wantError: encoding + "its payload has a line break at position 1553" + copyAll},
		"space":      {text: head + body[:10] + " " + body[10:], wantError: encoding + "its payload has white space at position 11" + copyAll},
		"padding":    {text: text + "=", wantError: encoding + `its payload has padding ("=") at position 1553` + copyAll},
		"standard":   {text: head + "+" + body, wantError: encoding + `its payload has a character of standard base64 ("+" or "/") at position 1` + copyAll},
		"dot":        {text: head + "." + body, wantError: encoding + "its payload has one more dot at position 1" + copyAll},
		"other":      {text: head + "ü" + body, wantError: encoding + "its payload has a character that is none of base64url at position 1" + copyAll},
		"end":        {text: text + "A", wantError: encoding + "the end of its payload is cut off or altered" + copyAll},
		"short":      {text: head + body[:1515], wantError: "the sealed value is cut off: its payload has 1515 characters, at least 1516 are needed" + copyAll},
		"long":       {text: head + strings.Repeat("A", 88897), wantError: tooLong + "its payload has 88897 characters, at most 88896 are allowed" + copyAll},
		"very long":  {text: strings.Repeat("A", 88951), wantError: tooLong + "it has more than 88950 characters" + copyAll},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			sealed, err := envelope.Parse(tt.text)
			if err == nil || err.Error() != tt.wantError {
				t.Fatalf("error is %v,\nwant %s", err, tt.wantError)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error repeats the text")
			}
			if sealed.String() != "" {
				t.Errorf("a text came out: %q", sealed)
			}
		})
	}
}

func TestMaxTextLengthIsExact(t *testing.T) {
	key := deriveKey(t, strings.Repeat("k", 40), material(0), "alice")
	text := seal(t, key, place, bytes.Repeat([]byte("a"), envelope.MaxValueLength))
	if len(text) != envelope.MaxTextLength || envelope.MaxTextLength != 88950 {
		t.Errorf("the longest text has %d bytes, MaxTextLength is %d, want 88950", len(text), envelope.MaxTextLength)
	}
	// Longer than any, it is refused before it is looked at.
	if _, err := envelope.Parse(strings.Repeat("x", envelope.MaxTextLength+1)); !errors.Is(err, envelope.ErrTooLong) {
		t.Errorf("a text of one byte more: %v, want ErrTooLong", err)
	}
	if _, err := envelope.Parse(strings.Repeat("x", envelope.MaxTextLength)); !errors.Is(err, envelope.ErrVersion) {
		t.Errorf("a text of just that length: %v, want ErrVersion", err)
	}
}
