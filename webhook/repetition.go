package webhook

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"usersecrets.dev/operator/internal/secretvalue"
)

// minContained is the length in bytes from which a value is looked for inside
// longer texts. Shorter ones stand in ordinary words by chance, so only a text
// that is nothing else counts.
const minContained = 8

// repetition returns the path of a text in the object that repeats the value in
// the clear, in base64 or JSON-escaped, or "". The sealed value itself and what
// the API server keeps about field managers are passed over: managedFields hold
// the names of fields, and the elements of tags, which are looked at themselves.
func repetition(object map[string]any, value secretvalue.Value) string {
	if value.Len() == 0 {
		return ""
	}
	return forms(value).find("", object)
}

type needles []string

func forms(value secretvalue.Value) needles {
	clear := string(value.Bytes())
	out := needles{
		clear,
		strings.TrimRight(base64.StdEncoding.EncodeToString(value.Bytes()), "="),
		strings.TrimRight(base64.URLEncoding.EncodeToString(value.Bytes()), "="),
	}
	if quoted, err := json.Marshal(clear); err == nil {
		out = append(out, string(quoted[1:len(quoted)-1]))
	}
	return out
}

func (n needles) in(text string) bool {
	for _, needle := range n {
		if text == needle || (len(needle) >= minContained && strings.Contains(text, needle)) {
			return true
		}
	}
	return false
}

// passedOver are paths that cannot repeat the value, or are chosen from fixed
// sets of words that a short value may equal.
var passedOver = map[string]bool{
	"apiVersion": true, "kind": true, "status": true,
	"metadata.managedFields": true, "metadata.uid": true, "metadata.namespace": true,
	"metadata.creationTimestamp": true, "metadata.ownerReferences": true,
	"spec.value": true, "spec.encryptedValue": true, "spec.provider": true, "spec.type": true,
	"spec.verification": true, "spec.expiresAt": true,
}

func (n needles) find(path string, node any) string {
	if passedOver[path] {
		return ""
	}
	switch node := node.(type) {
	case string:
		if n.in(node) {
			return path
		}
	case []any:
		for _, element := range node {
			if found := n.find(path, element); found != "" {
				return found
			}
		}
	case map[string]any:
		return n.findInObject(path, node)
	}
	return ""
}

func (n needles) findInObject(path string, node map[string]any) string {
	for _, key := range slices.Sorted(maps.Keys(node)) {
		if n.in(key) && strings.HasPrefix(path, "metadata.") {
			return path + " (a key)"
		}
		child := key
		if path != "" {
			child = path + "." + key
		}
		if found := n.find(child, node[key]); found != "" {
			return found
		}
	}
	return ""
}
