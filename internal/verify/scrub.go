package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"usersecrets.dev/operator/internal/secretvalue"
)

const (
	// maxMessage is the length of a message, in bytes.
	maxMessage = 512
	// minScrubbed is the shortest value that is scrubbed, in bytes. Of anything
	// shorter the dots would tell where it stands in words that it is not in.
	minScrubbed = 4
)

// present makes a message fit to be shown: one line, bounded, without the value.
func present(message string, value secretvalue.Value) string {
	message = scrub(message, value)
	message = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(message, " "))
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage], "")
}

// scrub replaces a value by dots wherever a message repeats it, as it is or in an
// encoding that requests, and the errors about them, use. Messages are built
// without the value; this is the second line.
func scrub(message string, value secretvalue.Value) string {
	if value.Len() < minScrubbed {
		return message
	}
	for _, form := range forms(value) {
		message = strings.ReplaceAll(message, form, secretvalue.Dots)
	}
	return message
}

// forms are a value's encodings, the longest first: the plain value may be a part
// of another.
func forms(value secretvalue.Value) []string {
	b := value.Bytes()
	text := string(b)
	all := []string{
		text,
		url.PathEscape(text), url.QueryEscape(text), queryEscape(text),
		base64.StdEncoding.EncodeToString(b), base64.RawStdEncoding.EncodeToString(b),
		base64.URLEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b),
		jsonEscape(text), strings.Trim(strconv.Quote(text), `"`), strings.TrimSpace(text),
	}
	all = slices.DeleteFunc(all, func(form string) bool { return len(form) < minScrubbed })
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(all)
}

// jsonEscape is text as it stands between the quotes of a JSON string (RFC 8259,
// section 7).
func jsonEscape(text string) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil { // a string always encodes
		return ""
	}
	quoted := strings.TrimSuffix(out.String(), "\n")
	return quoted[1 : len(quoted)-1]
}

// queryEscape escapes text for a query, with %20 for a space, which is a space
// both to who reads it as a URI (RFC 3986) and to who reads it as a form.
func queryEscape(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}
