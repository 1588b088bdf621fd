package envelope_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usersecrets.dev/operator/internal/envelope"
)

var update = flag.Bool("update", false, "write testdata/vectors anew")

const vectorFolder = "testdata/vectors"

// vector is one file of testdata/vectors; the README there says what its fields
// mean.
type vector struct {
	name, comment, expect string
	encryptionKey         []byte
	keyID                 string
	owner, namespace      string
	objectName            string
	seed                  []byte
	fingerprint           string
	randomness, value     []byte
	text                  string
}

// classes are the failure classes of section 9 that opening can show.
var classes = map[string]error{
	"version":    envelope.ErrVersion,
	"key-id":     envelope.ErrKeyID,
	"encoding":   envelope.ErrEncoding,
	"too-short":  envelope.ErrTooShort,
	"too-long":   envelope.ErrTooLong,
	"binding":    envelope.ErrBinding,
	"wrong-key":  envelope.ErrWrongKey,
	"not-opened": envelope.ErrNotOpened,
}

func (v vector) marshal() []byte {
	var b strings.Builder
	line := func(key, value string) { b.WriteString(strings.TrimRight(key+": "+value, " ") + "\n") }
	line("comment", v.comment)
	line("expect", v.expect)
	line("encryption-key", hex.EncodeToString(v.encryptionKey))
	line("key-id", v.keyID)
	line("owner", v.owner)
	line("namespace", v.namespace)
	line("name", v.objectName)
	if v.expect == "opened" {
		line("user-key-seed", hex.EncodeToString(v.seed))
		line("fingerprint", v.fingerprint)
		line("randomness", hex.EncodeToString(v.randomness))
		line("value", formatValue(v.value))
	}
	return []byte(b.String() + "\n" + v.text)
}

// formatValue writes a long run of one byte as that byte, "*" and its length.
func formatValue(value []byte) string {
	if run := bytes.Repeat(value[:1], len(value)); len(value) > 1024 && bytes.Equal(run, value) {
		return fmt.Sprintf("%x*%d", value[:1], len(value))
	}
	return hex.EncodeToString(value)
}

func readVector(t testing.TB, file string) vector {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("reading a vector: %v", err)
	}
	header, text, ok := strings.Cut(string(content), "\n\n")
	if !ok {
		t.Fatalf("%s: no empty line after the header", file)
	}
	v := vector{name: strings.TrimSuffix(filepath.Base(file), ".vector"), text: text}
	for line := range strings.SplitSeq(header, "\n") {
		key, value, _ := strings.Cut(line, ":")
		v.set(t, key, strings.TrimPrefix(value, " "))
	}
	return v
}

func (v *vector) set(t testing.TB, key, value string) {
	t.Helper()
	fields := map[string]*string{
		"comment": &v.comment, "expect": &v.expect, "key-id": &v.keyID, "owner": &v.owner,
		"namespace": &v.namespace, "name": &v.objectName, "fingerprint": &v.fingerprint,
	}
	bytesFields := map[string]*[]byte{
		"encryption-key": &v.encryptionKey, "user-key-seed": &v.seed, "randomness": &v.randomness, "value": &v.value,
	}
	if field, ok := fields[key]; ok {
		*field = value
		return
	}
	field, ok := bytesFields[key]
	if !ok {
		t.Fatalf("%s: unknown header %q", v.name, key)
	}
	digits, count, repeated := strings.Cut(value, "*")
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatalf("%s: header %s: %v", v.name, key, err)
	}
	if repeated {
		n, err := strconv.Atoi(count)
		if err != nil {
			t.Fatalf("%s: header %s: %v", v.name, key, err)
		}
		b = bytes.Repeat(b, n)
	}
	*field = b
}

// open does what section 7 says, and nothing else.
func (v vector) open() (*envelope.UserKey, []byte, error) {
	sealed, err := envelope.Parse(v.text)
	if err != nil {
		return nil, nil, err
	}
	key, err := envelope.DeriveUserKey(envelope.KeyID(v.keyID), v.encryptionKey, v.owner)
	if err != nil {
		return nil, nil, err
	}
	value, err := key.Open(sealed, envelope.Binding{Owner: v.owner, Namespace: v.namespace, Name: v.objectName})
	return key, value.Bytes(), err
}

func vectorFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vectorFolder, "*.vector"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors in %s (error: %v): restore them from version control, or write them with -update", vectorFolder, err)
	}
	return files
}

func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	seen := map[string]int{}
	for _, file := range vectorFiles(t) {
		v := readVector(t, file)
		seen[v.expect]++
		t.Run(v.name, func(t *testing.T) {
			key, value, err := v.open()
			if v.expect != "opened" {
				checkRefused(t, v, value, err)
				return
			}
			if err != nil {
				t.Fatalf("not opened: %v", err)
			}
			if diff := cmp.Diff(v.value, value); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
			if got := key.PublicKey().Fingerprint(); got != v.fingerprint {
				t.Errorf("public key has fingerprint %s, want %s", got, v.fingerprint)
			}
		})
	}
	for class := range classes {
		if seen[class] == 0 {
			t.Errorf("no vector expects %s", class)
		}
	}
	if seen["opened"] == 0 {
		t.Error("no vector expects opened")
	}
}

func checkRefused(t *testing.T, v vector, value []byte, err error) {
	t.Helper()
	want, ok := classes[v.expect]
	if !ok {
		t.Fatalf("unknown failure class %q", v.expect)
	}
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want class %s", err, v.expect)
	}
	if value != nil {
		t.Errorf("%d bytes came out", len(value))
	}
	for class, other := range classes {
		if class != v.expect && errors.Is(err, other) {
			t.Errorf("error %v is of class %s, too", err, class)
		}
	}
}

// The vectors hold for two implementations, or they would only say that this
// package agrees with itself.
func TestVectorsHoldForTheReference(t *testing.T) {
	r := reference{t}
	for _, file := range vectorFiles(t) {
		v := readVector(t, file)
		info := bindingInfo(v.owner, v.namespace, v.objectName, v.keyID)
		switch v.expect {
		case "opened":
			payload := payloadOf(t, v.text)
			value, err := r.openPayload(userSeed(v.encryptionKey, v.owner), info, payload)
			if err != nil || !bytes.Equal(value, v.value) {
				t.Errorf("%s: the reference opens it to %d bytes, error %v", v.name, len(value), err)
			}
		case "not-opened":
			if _, err := r.openPayload(userSeed(v.encryptionKey, v.owner), info, payloadOf(t, v.text)); err == nil {
				t.Errorf("%s: the reference opens it", v.name)
			}
		}
	}
}

// Whoever changes a vector by hand, or what makes them, sees it here.
func TestVectorsAreAsGenerated(t *testing.T) {
	want := map[string]string{}
	for _, v := range generateVectors(t) {
		want[v.name] = string(v.marshal())
	}
	got := map[string]string{}
	for _, file := range vectorFiles(t) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("reading a vector: %v", err)
		}
		got[strings.TrimSuffix(filepath.Base(file), ".vector")] = string(content)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("vectors differ from what -update would write (-want +got):\n%s", diff)
	}
}

func writeVectors(t *testing.T) {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(vectorFolder, "*.vector"))
	if err != nil {
		t.Fatalf("listing vectors: %v", err)
	}
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			t.Fatalf("removing a vector: %v", err)
		}
	}
	for _, v := range generateVectors(t) {
		if err := os.WriteFile(filepath.Join(vectorFolder, v.name+".vector"), v.marshal(), 0o644); err != nil {
			t.Fatalf("writing a vector: %v", err)
		}
	}
}
