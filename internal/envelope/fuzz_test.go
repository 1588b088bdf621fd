package envelope_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"usersecrets.dev/operator/internal/envelope"
)

// FuzzParse: a text that is accepted is given back character by character, and
// anything else is refused for one of the reasons that Parse has.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		sealed, err := envelope.Parse(text)
		if err == nil {
			if sealed.String() != text {
				t.Fatalf("parsed from %q, given back as %q", text, sealed)
			}
			if _, err := envelope.ParseKeyID(string(sealed.KeyID())); err != nil {
				t.Fatalf("accepted with key id %q", sealed.KeyID())
			}
			return
		}
		if !isRefusal(err) || errors.Is(err, envelope.ErrBinding) || errors.Is(err, envelope.ErrNotOpened) || errors.Is(err, envelope.ErrWrongKey) {
			t.Fatalf("error %v is none that Parse has", err)
		}
	})
}

// FuzzOpen: nothing opens but what was sealed, where it was sealed for. The key
// is the vectors'.
func FuzzOpen(f *testing.F) {
	type sealing struct{ text, owner, namespace, name string }
	sealed := map[sealing][]byte{}
	for _, v := range openedVectors(f) {
		sealed[sealing{v.text, v.owner, v.namespace, v.objectName}] = v.value
	}
	f.Fuzz(func(t *testing.T, text, owner, namespace, name string) {
		parsed, err := envelope.Parse(text)
		if err != nil {
			return
		}
		key, err := envelope.DeriveUserKey(parsed.KeyID(), exampleVector().encryptionKey, owner)
		if err != nil {
			if !errors.Is(err, envelope.ErrBinding) {
				t.Fatalf("deriving a key for a parsed key id: %v", err)
			}
			return
		}
		value, err := key.Open(parsed, envelope.Binding{Owner: owner, Namespace: namespace, Name: name})
		if err != nil {
			if !isRefusal(err) || value.Len() != 0 {
				t.Fatalf("error %v, and %d bytes came out", err, value.Len())
			}
			return
		}
		if want, ok := sealed[sealing{text, owner, namespace, name}]; !ok || !bytes.Equal(want, value.Bytes()) {
			t.Fatalf("opened for %q, %q, %q, where nothing was sealed: %q", owner, namespace, name, text)
		}
	})
}

func openedVectors(tb testing.TB) []vector {
	tb.Helper()
	var opened []vector
	for _, file := range vectorFiles(tb) {
		if v := readVector(tb, file); v.expect == "opened" {
			opened = append(opened, v)
		}
	}
	return opened
}

// A fuzzer whose seed folder went away still passes, and tests nothing.
func TestFuzzSeedsAreThere(t *testing.T) {
	for _, fuzzer := range []string{"FuzzParse", "FuzzOpen"} {
		seeds, err := filepath.Glob(filepath.Join("testdata/fuzz", fuzzer, "*"))
		if err != nil || len(seeds) == 0 {
			t.Errorf("no seeds in testdata/fuzz/%s (error: %v): restore them from version control", fuzzer, err)
		}
	}
}
