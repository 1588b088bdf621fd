package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/secretvalue"
)

// minContained is the length in bytes from which a value is looked for inside
// longer texts. Shorter ones stand in ordinary words by chance, so only a text
// that is nothing else counts.
const minContained = 8

// repetition returns the path of a text in the object that repeats the value in
// the clear, in base64 or JSON-escaped, or "". White space around either does
// not count. The path never shows the value.
func repetition(object map[string]any, value secretvalue.Value) string {
	needles := forms(value)
	// kubectl's annotation repeats what a manifest says elsewhere, and that is
	// where its author can mend it: so the annotation comes last.
	if path := (search{needles: needles, passedOver: ofRest}).find("", object); path != "" {
		return path
	}
	return search{needles: needles, passedOver: ofObject}.find("", object)
}

// needles are the forms of a value that count as a repetition.
type needles []string

func forms(value secretvalue.Value) needles {
	var out needles
	clear := string(value.Bytes())
	for _, text := range []string{clear, strings.TrimSpace(clear)} {
		if text == "" {
			continue
		}
		out = append(out, text, quoted(text, true), quoted(text, false))
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
			// With a newline too, as 'echo value | base64' has it.
			out = append(out, encoding.EncodeToString([]byte(text)), encoding.EncodeToString([]byte(text+"\n")))
		}
	}
	return out
}

// quoted is a text as it stands between the quotes of a JSON string. Encoders
// differ in whether they escape what has a meaning in HTML.
func quoted(text string, escapeHTML bool) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(escapeHTML)
	// A buffer takes everything, and a string is always encodable.
	_ = encoder.Encode(text)
	return strings.TrimSuffix(strings.TrimPrefix(out.String(), `"`), "\"\n")
}

func (n needles) in(text string) bool {
	for _, needle := range n {
		if text == needle || strings.TrimSpace(text) == needle || (len(needle) >= minContained && strings.Contains(text, needle)) {
			return true
		}
	}
	return false
}

// within says whether a text shows the value, however short that is.
func (n needles) within(text string) bool {
	return slices.ContainsFunc(n, func(needle string) bool { return strings.Contains(text, needle) })
}

// ofObject are the paths of an object that are passed over: the sealed value,
// what the API server or the operator writes, and words from fixed sets, which a
// short value may equal. managedFields hold the names of fields, and elements of
// tags, which are looked at themselves.
var ofObject = paths(ofApplied, "status", "spec.value", "spec.expiresAt",
	"metadata.managedFields", "metadata.uid", "metadata.resourceVersion", "metadata.creationTimestamp",
	"metadata.deletionTimestamp", "metadata.ownerReferences", "metadata.annotations."+v1alpha1.CreatedByAnnotation)

// ofApplied are those of an object inside the last-applied annotation, where the
// API server checks and writes nothing.
var ofApplied = paths(nil, "apiVersion", "kind", "metadata.namespace",
	"spec.encryptedValue", "spec.provider", "spec.type", "spec.verification")

// knownKeys are annotations that have a name of their own: a value may be
// "kubernetes".
var knownKeys = []string{
	corev1.LastAppliedConfigAnnotation, v1alpha1.CreatedByAnnotation, v1alpha1.VerifyRequestedAtAnnotation,
}

// ofRest is all of an object but the last-applied annotation.
var ofRest = paths(ofObject, lastAppliedPath)

const lastAppliedPath = "metadata.annotations." + corev1.LastAppliedConfigAnnotation

func paths(others map[string]bool, more ...string) map[string]bool {
	set := maps.Clone(others)
	if set == nil {
		set = map[string]bool{}
	}
	for _, path := range more {
		set[path] = true
	}
	return set
}

type search struct {
	needles    needles
	passedOver map[string]bool
}

func (s search) find(path string, node any) string {
	if s.passedOver[path] {
		return ""
	}
	switch node := node.(type) {
	case string:
		if s.repeats(path, node) {
			return path
		}
	case []any:
		for _, element := range node {
			if found := s.find(path, element); found != "" {
				return found
			}
		}
	case map[string]any:
		return s.findInObject(path, node)
	}
	return ""
}

// repeats looks at a text. kubectl's annotation is looked at field by field,
// since as one text it holds the name of every field and of the provider.
func (s search) repeats(path, text string) bool {
	if path != lastAppliedPath {
		return s.needles.in(text)
	}
	var applied map[string]any
	if err := json.Unmarshal([]byte(text), &applied); err != nil {
		return s.needles.in(text)
	}
	return search{needles: s.needles, passedOver: ofApplied}.find("", applied) != ""
}

func (s search) findInObject(path string, node map[string]any) string {
	for _, key := range slices.Sorted(maps.Keys(node)) {
		// Of labels and annotations the keys, too, are chosen by who writes them.
		chosen := strings.HasPrefix(path, "metadata.") && !slices.Contains(knownKeys, key)
		if chosen && s.needles.in(key) {
			return path + " (a key)"
		}
		child := key
		if path != "" {
			child = path + "." + key
		}
		found := s.find(child, node[key])
		switch {
		case found == "":
		case chosen && s.needles.within(key):
			return path
		default:
			return found
		}
	}
	return ""
}
