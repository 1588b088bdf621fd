package keyring

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRootKeyRefuses(t *testing.T) {
	const remedy = "make one with 'openssl rand -hex 32'"
	example, err := hex.DecodeString(exampleRootKey)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		text      string
		wantErr   error
		wantError string
	}{
		"nothing":              {text: "", wantErr: ErrRootKeyEmpty, wantError: "the root key is empty: " + remedy},
		"white space":          {text: " \t\r\n", wantErr: ErrRootKeyEmpty, wantError: "the root key is empty: " + remedy},
		"words":                {text: "correct horse battery staple", wantErr: ErrRootKeyEncoding, wantError: "the root key is neither hexadecimal nor base64: " + remedy},
		"base64 of two sorts":  {text: strings.Repeat("+", 22) + strings.Repeat("_", 21), wantErr: ErrRootKeyEncoding, wantError: "the root key is neither hexadecimal nor base64: " + remedy},
		"not ASCII":            {text: strings.Repeat("é", 43), wantErr: ErrRootKeyEncoding, wantError: "the root key is neither hexadecimal nor base64: " + remedy},
		"31 bytes, hex":        {text: hex.EncodeToString(key32(32)[:31]), wantErr: ErrRootKeySize, wantError: "the root key has the wrong size: 31 bytes instead of 32; " + remedy},
		"33 bytes, hex":        {text: hex.EncodeToString(append(key32(32), 1)), wantErr: ErrRootKeySize, wantError: "the root key has the wrong size: 33 bytes instead of 32; " + remedy},
		"16 bytes, base64":     {text: base64.StdEncoding.EncodeToString(key32(32)[:16]), wantErr: ErrRootKeySize, wantError: "the root key has the wrong size: 16 bytes instead of 32; " + remedy},
		"33 bytes, base64":     {text: base64.StdEncoding.EncodeToString(append(key32(32), 1)), wantErr: ErrRootKeySize, wantError: "the root key has the wrong size: 33 bytes instead of 32; " + remedy},
		"hex of two keys":      {text: hex.EncodeToString(append(key32(32), key32(64)...)), wantErr: ErrRootKeySize, wantError: "the root key has the wrong size: 64 bytes instead of 32; " + remedy},
		"the example":          {text: exampleRootKey, wantErr: ErrRootKeyKnown, wantError: "the root key is a well-known value (the documentation's example): " + remedy},
		"the example, shouted": {text: " " + strings.ToUpper(exampleRootKey) + "\n", wantErr: ErrRootKeyKnown, wantError: "the root key is a well-known value (the documentation's example): " + remedy},
		"the example, base64":  {text: base64.StdEncoding.EncodeToString(example), wantErr: ErrRootKeyKnown, wantError: "the root key is a well-known value (the documentation's example): " + remedy},
		"zeros":                {text: strings.Repeat("00", 32), wantErr: ErrRootKeyKnown, wantError: "the root key is a well-known value (one byte repeated): " + remedy},
		"one byte repeated":    {text: strings.Repeat("a7", 32), wantErr: ErrRootKeyKnown, wantError: "the root key is a well-known value (one byte repeated): " + remedy},
		"repeated, base64":     {text: base64.URLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 32)), wantErr: ErrRootKeyKnown, wantError: "the root key is a well-known value (one byte repeated): " + remedy},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			root, err := ParseRootKey(tt.text)
			if !errors.Is(err, tt.wantErr) || err.Error() != tt.wantError || root != nil {
				t.Errorf("ParseRootKey = %v, error %v,\nwant %s", root, err, tt.wantError)
			}
		})
	}
}

// The id was computed apart from this program: HKDF-SHA256 (RFC 5869) of the
// key. It is stored beside wrapped material, so it may never change.
func TestParseRootKeyAccepts(t *testing.T) {
	const wantID = "local-fcf39dab6db5858f"
	key := key32(32)
	high := bytes.Repeat([]byte{0xfb, 0xef, 0xff, 0xfe}, 8) // in base64, mostly the two characters that differ
	encodings := map[string]string{
		"hex":                    hex.EncodeToString(key),
		"hex, upper case":        strings.ToUpper(hex.EncodeToString(key)),
		"hex, in white space":    "\t" + hex.EncodeToString(key) + "\r\n",
		"base64":                 base64.StdEncoding.EncodeToString(key),
		"base64 with a newline":  base64.StdEncoding.EncodeToString(key) + "\n",
		"base64 without padding": base64.RawStdEncoding.EncodeToString(key),
		"base64url":              base64.URLEncoding.EncodeToString(key),
		"base64url, no padding":  base64.RawURLEncoding.EncodeToString(key),
	}
	for name, text := range encodings {
		t.Run(name, func(t *testing.T) {
			root, err := ParseRootKey(text)
			if err != nil || root.ID() != wantID {
				t.Errorf("ParseRootKey = %v, error %v; want id %s", root, err, wantID)
			}
		})
	}
	std, err := ParseRootKey(base64.StdEncoding.EncodeToString(high))
	if err != nil {
		t.Fatalf("standard alphabet: %v", err)
	}
	url, err := ParseRootKey(base64.RawURLEncoding.EncodeToString(high))
	if err != nil || url.ID() != std.ID() {
		t.Errorf("URL alphabet: %v, error %v; want id %s", url, err, std.ID())
	}
}

func TestRootIDTellsKeysApart(t *testing.T) {
	seen := map[string]bool{}
	for first := range byte(100) {
		seen[makeRoot(t, first+1).ID()] = true
	}
	if len(seen) != 100 {
		t.Errorf("100 keys have %d ids", len(seen))
	}
}

func TestLocalRootWrapsAnewEveryTime(t *testing.T) {
	root, ctx := makeRoot(t, 32), context.Background()
	first, err := root.Wrap(ctx, []byte("plaintext"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := root.Wrap(ctx, []byte("plaintext"))
	if err != nil || bytes.Equal(first, second) {
		t.Errorf("wrapped to the same bytes twice: the nonce is not random (error %v)", err)
	}
	if got, err := root.Unwrap(ctx, first); err != nil || string(got) != "plaintext" {
		t.Errorf("Unwrap = %q, %v", got, err)
	}
	for _, short := range [][]byte{nil, first[:11], first[:27]} {
		if got, err := root.Unwrap(ctx, short); err == nil {
			t.Errorf("%d bytes unwrap to %q", len(short), got)
		}
	}
}

func TestParseRootKeys(t *testing.T) {
	const remedy = "make one with 'openssl rand -hex 32'"
	one, two := hex.EncodeToString(key32(32)), base64.StdEncoding.EncodeToString(key32(33))
	ids := []string{makeRoot(t, 32).ID(), makeRoot(t, 33).ID()}
	accepted := map[string]struct {
		text    string
		wantIDs []string
	}{
		"one":               {text: one, wantIDs: ids[:1]},
		"one and a newline": {text: one + "\n", wantIDs: ids[:1]},
		"two":               {text: one + "\n" + two, wantIDs: ids},
		"two, ends of DOS":  {text: one + "\r\n" + two + "\r\n", wantIDs: ids},
		"with empty lines":  {text: "\n\n" + one + "\n\n \t\n" + two + "\n\n", wantIDs: ids},
		"the other first":   {text: two + "\n" + one, wantIDs: []string{ids[1], ids[0]}},
	}
	for name, tt := range accepted {
		t.Run(name, func(t *testing.T) {
			roots, err := ParseRootKeys(tt.text)
			var got []string
			for _, root := range roots {
				got = append(got, root.ID())
			}
			if diff := cmp.Diff(tt.wantIDs, got); diff != "" || err != nil {
				t.Errorf("error %v, ids (-want +got):\n%s", err, diff)
			}
		})
	}
	refused := map[string]struct {
		text      string
		wantErr   error
		wantError string
	}{
		"nothing":           {text: "", wantErr: ErrRootKeyEmpty, wantError: "the root key is empty: " + remedy},
		"white space":       {text: " \n\r\n\t", wantErr: ErrRootKeyEmpty, wantError: "the root key is empty: " + remedy},
		"one, a word":       {text: "canary!\n", wantErr: ErrRootKeyEncoding, wantError: "the root key is neither hexadecimal nor base64: " + remedy},
		"the first, a word": {text: "canary!\n" + one, wantErr: ErrRootKeyEncoding, wantError: "line 1: the root key is neither hexadecimal nor base64: " + remedy},
		"the third, short":  {text: one + "\n" + two + "\nabcd\n", wantErr: ErrRootKeySize, wantError: "line 3: the root key has the wrong size: 2 bytes instead of 32; " + remedy},
		"after empty lines": {text: "\n\n" + one + "\n\n" + exampleRootKey, wantErr: ErrRootKeyKnown, wantError: "line 5: the root key is a well-known value (the documentation's example): " + remedy},
		"two in one line":   {text: one + " " + two, wantErr: ErrRootKeyEncoding, wantError: "the root key is neither hexadecimal nor base64: " + remedy},
	}
	for name, tt := range refused {
		t.Run(name, func(t *testing.T) {
			roots, err := ParseRootKeys(tt.text)
			if checkError(t, err, tt.wantErr, tt.wantError); roots != nil {
				t.Errorf("parsed %d root keys", len(roots))
			}
		})
	}
}
