package acceptance_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// scanner finds secrets that were told to it, in any of the forms that programs
// give to bytes, whole or in part: it looks for every fragment of 16 bytes, in
// each form.
type scanner struct {
	// needles by their first bytes: texts are read once, however many needles.
	needles map[head][]needle
}

const (
	fragmentLength = 16
	headLength     = 8
)

type head [headLength]byte

type needle struct {
	label string // of the secret: what finding it is reported as
	text  []byte
}

// newScanner takes secrets of at least 16 bytes by their labels.
func newScanner(secrets map[string]string) *scanner {
	s := &scanner{needles: map[head][]needle{}}
	for label, secret := range secrets {
		for _, fragment := range fragments(secret) {
			for _, form := range formsOf(fragment) {
				at := head([]byte(form)[:headLength])
				s.needles[at] = append(s.needles[at], needle{label: label, text: []byte(form)})
			}
		}
	}
	return s
}

// find returns the labels of the secrets that a text holds.
func (s *scanner) find(text []byte) map[string]bool {
	found := map[string]bool{}
	for i := 0; i+headLength <= len(text); i++ {
		for _, n := range s.needles[head(text[i:i+headLength])] {
			if bytes.HasPrefix(text[i:], n.text) {
				found[n.label] = true
			}
		}
	}
	return found
}

// fragments are the pieces of a secret that begin every 8 bytes, 16 bytes long or
// a little more: they are cut between characters, so that each can be encoded by
// itself.
func fragments(secret string) []string {
	var all []string
	for start := 0; start < len(secret); start += fragmentLength / 2 {
		first := start
		for first > 0 && !utf8.RuneStart(secret[first]) {
			first--
		}
		last := min(start+fragmentLength, len(secret))
		for last < len(secret) && !utf8.RuneStart(secret[last]) {
			last++
		}
		all = append(all, secret[first:last])
		if last == len(secret) {
			break
		}
	}
	return all
}

// formsOf are the ways in which a text may stand in another.
func formsOf(text string) []string {
	raw := []byte(text)
	forms := []string{
		text, hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)),
		url.QueryEscape(text), url.PathEscape(text), inQuotes(strconv.Quote(text)), inQuotes(strconv.QuoteToASCII(text)),
		strings.Trim(fmt.Sprint(raw), "[]"), strings.ReplaceAll(strings.Trim(fmt.Sprint(raw), "[]"), " ", ","),
		strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", raw), "[]byte{"), "}"),
	}
	for _, escapeHTML := range []bool{true, false} {
		once := inJSON(text, escapeHTML)
		// JSON in JSON is what kubectl's last-applied annotation is.
		forms = append(forms, once, inJSON(once, true), inJSON(once, false))
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 {
			forms = append(forms, inBase64(encoding, text, shift))
		}
	}
	return forms
}

func inQuotes(text string) string { return text[1 : len(text)-1] }

func inJSON(text string, escapeHTML bool) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(escapeHTML)
	_ = encoder.Encode(text) // a buffer takes everything
	return inQuotes(strings.TrimSpace(out.String()))
}

// inBase64 is what of a text shows in the base64 of a longer one, in which it
// begins so many bytes after a multiple of 3: the characters that hold nothing
// of its neighbours.
func inBase64(encoding *base64.Encoding, text string, shift int) string {
	encoded := encoding.EncodeToString(append(make([]byte, shift), text...))
	first := (shift*8 + 5) / 6
	last := (shift + len(text)) * 8 / 6
	return encoded[first:last]
}

var _ = Describe("The scanner for canaries", func() {
	secrets := map[string]string{"text": `sk-"<&>\é` + rand.Text() + rand.Text(), "bytes": string(binary(32))}
	quoted := func(text string) string {
		out, err := json.Marshal(map[string]string{"key": text})
		Expect(err).NotTo(HaveOccurred())
		return string(out)
	}
	unescaped := func(text string) string { return `{"key":"` + inJSON(text, false) + `"}` }
	ways := map[string]func(string) string{
		"in the clear":              func(secret string) string { return secret },
		"in hexadecimal":            func(secret string) string { return hex.EncodeToString([]byte(secret)) },
		"in capital hexadecimal":    func(secret string) string { return fmt.Sprintf("%X", secret) },
		"in base64":                 func(secret string) string { return base64.StdEncoding.EncodeToString([]byte(secret)) },
		"in base64, one off":        func(secret string) string { return base64.StdEncoding.EncodeToString([]byte("p" + secret + "s")) },
		"in base64, two off":        func(secret string) string { return base64.StdEncoding.EncodeToString([]byte("pp" + secret + "s")) },
		"in base64url":              func(secret string) string { return base64.URLEncoding.EncodeToString([]byte(secret)) },
		"in base64url, one off":     func(secret string) string { return base64.RawURLEncoding.EncodeToString([]byte("p" + secret + "ss")) },
		"in a URL":                  url.QueryEscape,
		"in a path":                 url.PathEscape,
		"quoted by Go":              strconv.Quote,
		"quoted in ASCII":           strconv.QuoteToASCII,
		"as numbers":                func(secret string) string { return fmt.Sprint([]byte(secret)) },
		"as Go's bytes":             func(secret string) string { return fmt.Sprintf("%#v", []byte(secret)) },
		"in JSON":                   quoted,
		"in JSON, unescaped":        unescaped,
		"in JSON in JSON":           func(secret string) string { return quoted(quoted(secret)) },
		"in JSON in JSON, mixed":    func(secret string) string { return quoted(unescaped(secret)) },
		"in JSON in JSON, unescape": func(secret string) string { return unescaped(unescaped(secret)) },
	}

	It("finds a secret in every form, and nothing else", func() {
		s := newScanner(secrets)
		for way, encode := range ways {
			for label, secret := range secrets {
				if label == "bytes" && strings.Contains(way, "JSON") {
					continue // JSON holds text alone
				}
				surrounded := []byte("before" + encode(secret) + "after")
				Expect(s.find(surrounded)).To(Equal(map[string]bool{label: true}), "%s, %s", label, way)
			}
			Expect(s.find([]byte(encode("sk-"+rand.Text()+rand.Text())))).To(BeEmpty(), "another secret, %s", way)
		}
	})

	It("finds a part of a secret, but not the end that masks show", func() {
		s := newScanner(secrets)
		secret := secrets["text"]
		const part = 2 * fragmentLength
		for start := 0; start+part <= len(secret); start++ {
			Expect(s.find([]byte(secret[start:start+part]))).To(HaveLen(1), "from byte %d", start)
		}
		Expect(s.find([]byte("........" + secret[len(secret)-4:]))).To(BeEmpty())
	})
})

func binary(n int) []byte {
	out := make([]byte, n)
	_, _ = rand.Read(out) // never fails
	return out
}
