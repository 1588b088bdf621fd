package audit

import (
	"unicode/utf16"
	"unicode/utf8"
)

// MaxTextLength is the longest text of a record as it is written, in characters
// (Unicode code points). Whatever Kubernetes bounds is shorter; refusals may not be.
const MaxTextLength = 1024

// maxAddressLength is that of an address: room for IPv6 with a zone.
const maxAddressLength = 64

// bounded is a text of at most so many characters: one that is longer ends in an
// ellipsis. Each byte that is not UTF-8 counts as a character.
func bounded(text string, most int) string {
	if len(text) <= most {
		return text
	}
	characters, kept := 0, 0
	for at := range text {
		if characters == most-1 {
			kept = at
		}
		if characters == most {
			return text[:kept] + "…"
		}
		characters++
	}
	return text
}

// appendText appends a text as a JSON string of printable ASCII: '"' and '\'
// have a '\' before them, and any other character outside 0x20 to 0x7e is \u and
// four lower-case hexadecimal digits, twice where UTF-16 needs a pair. A byte that
// is not UTF-8 becomes U+FFFD. So there is one way to write a text, and nothing in
// it ends a line, moves a cursor or turns the direction of writing. A text of more
// than most characters is cut.
func appendText(dst []byte, text string, most int) []byte {
	dst = append(dst, '"')
	for _, r := range bounded(text, most) {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r >= 0x20 && r <= 0x7e:
			dst = append(dst, byte(r))
		case r > 0xffff && r <= utf8.MaxRune:
			high, low := utf16.EncodeRune(r)
			dst = appendUnit(appendUnit(dst, high), low)
		default:
			dst = appendUnit(dst, r)
		}
	}
	return append(dst, '"')
}

// appendUnit escapes one unit of UTF-16.
func appendUnit(dst []byte, unit rune) []byte {
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[unit>>12&0xf], digits[unit>>8&0xf], digits[unit>>4&0xf], digits[unit&0xf])
}
