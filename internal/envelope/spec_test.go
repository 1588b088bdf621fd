package envelope_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usersecrets.dev/operator/internal/envelope"
)

// The specification is written by hand; its numbers must stay the code's.
func TestSpecificationSaysTheSame(t *testing.T) {
	content := readFile(t, "../../docs/spec/envelope.md")
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
	text := regexp.MustCompile(`([0-9a-f]{96})\n +`).ReplaceAllString(content, "$1")
	text = regexp.MustCompile(` +`).ReplaceAllString(text, " ")
	for what, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%s: the specification does not say %q", what, want)
		}
	}
}

// testedBy are the failure classes of section 9 that opening cannot show, each
// with the test that has it.
var testedBy = map[string]string{
	"value-empty":    "TestSealRefuses",
	"value-too-long": "TestSealRefuses",
	"public-key":     "TestNewPublicKey",
	"encryption-key": "TestDeriveUserKey",
}

// Section 9, the sentinels and the tests know the same failure classes: those of
// opening have vectors, and the page says where the others are tested.
func TestSpecificationListsEveryFailureClass(t *testing.T) {
	page, sentinels := readFile(t, "../../docs/spec/envelope.md"), readFile(t, "errors.go")
	specified, coded := map[string]string{}, map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| .* \\| `(Err[A-Za-z]+)` \\|$").FindAllStringSubmatch(page, -1) {
		specified[row[1]] = row[2]
	}
	for _, comment := range regexp.MustCompile(`(?m)^\t// (Err[A-Za-z]+) \(([a-z-]+)\):`).FindAllStringSubmatch(sentinels, -1) {
		coded[comment[2]] = comment[1]
	}
	if diff := cmp.Diff(coded, specified); diff != "" {
		t.Errorf("failure classes of the specification (-sentinels +specification):\n%s", diff)
	}
	for class := range specified {
		_, opening := classes[class]
		test, elsewhere := testedBy[class]
		switch {
		case opening == elsewhere:
			t.Errorf("%s: has vectors %t, has a test of its own %t; want one of them", class, opening, elsewhere)
		case elsewhere && !strings.Contains(page, "`"+class+"` by `"+test+"`"):
			t.Errorf("%s: the specification does not say that %s tests it", class, test)
		}
	}
	if len(specified) != len(classes)+len(testedBy) {
		t.Errorf("the specification has %d failure classes, the tests %d", len(specified), len(classes)+len(testedBy))
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("reading %s: %v", path, err)
	}
	return string(content)
}
