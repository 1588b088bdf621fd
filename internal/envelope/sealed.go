package envelope

import (
	"fmt"
	"strings"
)

// Sealed is a parsed sealed value: well formed, and nothing known yet about
// whether it opens. The zero Sealed holds nothing and opens nowhere.
type Sealed struct {
	keyID   KeyID
	payload []byte // enc || ct
}

// Parse reads a sealed value's text by the grammar of section 6, in the order
// of section 7. It needs no key. Errors: ErrTooLong, ErrVersion, ErrKeyID,
// ErrEncoding, ErrTooShort; they repeat nothing of the text, which may be a
// plaintext in the wrong place.
func Parse(text string) (Sealed, error) {
	if len(text) > MaxTextLength {
		return Sealed{}, refuse(ErrTooLong, fmt.Sprintf("it has more than %d characters", MaxTextLength), copyAll)
	}
	rest, ok := strings.CutPrefix(text, version)
	if !ok {
		return Sealed{}, refuse(ErrVersion, `it does not start with "us1."`, sealIt)
	}
	id, encoded, ok := strings.Cut(rest, ".")
	if !ok {
		return Sealed{}, refuse(ErrKeyID, "the sealed value ends before one does", copyAll)
	}
	keyID, err := ParseKeyID(id)
	if err != nil {
		return Sealed{}, fmt.Errorf("%w; %s", err, copyAll)
	}
	payload, err := parsePayload(encoded)
	if err != nil {
		return Sealed{}, err
	}
	return Sealed{keyID: keyID, payload: payload}, nil
}

func parsePayload(encoded string) ([]byte, error) {
	if i := indexNotBase64URL(encoded); i >= 0 {
		return nil, refuse(ErrEncoding, fmt.Sprintf("its payload has %s at position %d", describe(encoded[i]), i+1), copyAll)
	}
	switch n := len(encoded); {
	case n < minPayloadCharacters:
		return nil, refuse(ErrTooShort, fmt.Sprintf("its payload has %d characters, at least %d are needed", n, minPayloadCharacters), copyAll)
	case n > maxPayloadCharacters:
		return nil, refuse(ErrTooLong, fmt.Sprintf("its payload has %d characters, at most %d are allowed", n, maxPayloadCharacters), copyAll)
	}
	payload, err := payloadEncoding.DecodeString(encoded)
	if err != nil {
		// All that is left to be wrong is the last character, or a number of
		// characters that no number of bytes has.
		return nil, refuse(ErrEncoding, "the end of its payload is cut off or altered", copyAll)
	}
	return payload, nil
}

// KeyID returns the id of the key that the value was sealed with.
func (s Sealed) KeyID() KeyID { return s.keyID }

// String returns the text, encoded anew: character by character what Parse was
// given. It is ciphertext, which anyone may see. The zero Sealed has no text.
func (s Sealed) String() string {
	if s.keyID == "" {
		return ""
	}
	return version + string(s.keyID) + "." + payloadEncoding.EncodeToString(s.payload)
}

// base64URL has true for each character of base64url (RFC 4648, section 5).
var base64URL = func() (in [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		in[c] = true
	}
	return in
}()

// indexNotBase64URL is the index of the first character that is none of base64url,
// or -1. By a table, since looking at 87 KiB character by character otherwise
// takes longer than opening them.
func indexNotBase64URL(text string) int {
	for i := range len(text) {
		if !base64URL[text[i]] {
			return i
		}
	}
	return -1
}

// describe names the kind of a character that does not belong, not the
// character itself.
func describe(c byte) string {
	switch c {
	case '\n', '\r':
		return "a line break"
	case ' ', '\t', '\v', '\f':
		return "white space"
	case '=':
		return `padding ("=")`
	case '+', '/':
		return `a character of standard base64 ("+" or "/")`
	case '.':
		return "one more dot"
	}
	return "a character that is none of base64url"
}

// ValueLength returns the size of the sealed value in bytes, which sealing does
// not hide.
func (s Sealed) ValueLength() int {
	return max(0, len(s.payload)-encapsulatedKeySize-tagSize)
}
