package audit

import "unicode"

// MaxTextLength is the longest text of a record as sinks write it, in characters
// (Unicode code points). Whatever Kubernetes bounds is shorter; refusals may not be.
const MaxTextLength = 1024

// plain is a text as a line of a log can hold it: characters that do not print
// (control characters, line and paragraph separators, marks that turn the
// direction of writing) and bytes that are not UTF-8 become U+FFFD, and a text
// that is too long ends in an ellipsis.
func plain(text string) string {
	runes := make([]rune, 0, min(len(text), MaxTextLength))
	for _, r := range text {
		if len(runes) == MaxTextLength {
			runes[MaxTextLength-1] = '…'
			break
		}
		if !unicode.IsPrint(r) {
			r = unicode.ReplacementChar
		}
		runes = append(runes, r)
	}
	return string(runes)
}
