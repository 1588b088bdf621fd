package envelope_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"usersecrets.dev/operator/internal/envelope"
)

// The specification is written by hand; its numbers must stay the code's.
func TestSpecificationSaysTheSame(t *testing.T) {
	content, err := os.ReadFile("../../docs/spec/envelope.md")
	if err != nil {
		t.Fatalf("reading the specification: %v", err)
	}
	v := readVector(t, filepath.Join(vectorFolder, "opened-example.vector"))
	info := hex.EncodeToString(bindingInfo(v.owner, v.namespace, v.objectName, v.keyID))
	wants := map[string]string{
		"largest value":   fmt.Sprintf("| value | 1 to %d |", envelope.MaxValueLength),
		"longest text":    fmt.Sprintf("| whole text | 1531 to %d characters |", envelope.MaxTextLength),
		"longest key id":  fmt.Sprintf("| key id | 10 to %d characters |", envelope.MaxKeyIDLength),
		"public key":      fmt.Sprintf("| public key | %d ", envelope.PublicKeySize),
		"longest owner":   fmt.Sprintf("belongs to | 1 to %d bytes |", envelope.MaxOwnerLength),
		"key":             "encryption key " + hex.EncodeToString(v.encryptionKey),
		"key id":          "key id " + v.keyID,
		"owner":           "owner " + v.owner,
		"namespace":       "namespace " + v.namespace,
		"name":            "name " + v.objectName,
		"seed":            "seed " + hex.EncodeToString(v.seed),
		"fingerprint":     "fingerprint " + v.fingerprint,
		"info":            "info " + info,
		"value":           "value " + string(v.value),
		"start of text":   "text " + v.text[:56] + " ",
		"end of the text": " " + v.text[len(v.text)-24:],
		"length of text":  fmt.Sprintf("text length %d", len(v.text)),
	}
	// Wrapped hexadecimal counts as one word, columns as one space.
	text := regexp.MustCompile(`([0-9a-f]{96})\n +`).ReplaceAllString(string(content), "$1")
	text = regexp.MustCompile(` +`).ReplaceAllString(text, " ")
	for what, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%s: the specification does not say %q", what, want)
		}
	}
	for class := range classes {
		if !strings.Contains(text, "| `"+class+"` |") {
			t.Errorf("the specification has no failure class %s", class)
		}
	}
}
