package keyring

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// refusalTexts are all that ParseRootKey may say. None has room for a key.
var refusalTexts = regexp.MustCompile(`^(the root key is empty: |the root key is neither hexadecimal nor base64: ` +
	`|the root key has the wrong size: [0-9]+ bytes instead of 32; ` +
	`|the root key is a well-known value \((the documentation's example|one byte repeated)\): )make one with 'openssl rand -hex 32'$`)

// FuzzParseRootKey: whatever the text, it is refused in fixed words, or the same
// key in every accepted encoding is the same root key.
func FuzzParseRootKey(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		root, err := ParseRootKey(text)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		key, err := decodeRootKey(strings.TrimSpace(text))
		if err != nil || len(key) != KeySize {
			t.Fatalf("accepted, but decodes to %d bytes, error %v", len(key), err)
		}
		for _, again := range []string{
			hex.EncodeToString(key),
			base64.StdEncoding.EncodeToString(key), base64.RawStdEncoding.EncodeToString(key),
			base64.URLEncoding.EncodeToString(key), base64.RawURLEncoding.EncodeToString(key),
		} {
			other, err := ParseRootKey(again)
			if err != nil || other.ID() != root.ID() {
				t.Fatalf("written as %q: %v, error %v; want id %s", again, other, err, root.ID())
			}
		}
	})
}

func checkRefusal(t *testing.T, err error) {
	t.Helper()
	known := false
	for _, want := range []error{ErrRootKeyEmpty, ErrRootKeyEncoding, ErrRootKeySize, ErrRootKeyKnown} {
		known = known || errors.Is(err, want)
	}
	if !known || !refusalTexts.MatchString(err.Error()) {
		t.Fatalf("refused with %q", err)
	}
}

// A fuzzer whose seeds are gone would pass without testing anything.
func TestSeedsAreThere(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join("testdata", "fuzz", "FuzzParseRootKey"))
	if err != nil || len(entries) < 10 {
		t.Errorf("%d seeds (%v), want at least 10", len(entries), err)
	}
}
