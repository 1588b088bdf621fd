package envelope_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"usersecrets.dev/operator/internal/envelope"
)

func TestParseKeyID(t *testing.T) {
	long := strings.Repeat("k", 40)
	tests := map[string]struct {
		text     string
		wantName string // empty where it is refused
	}{
		"usual":                       {text: "v1-3f9a2c1b", wantName: "v1"},
		"one letter":                  {text: "k-00000000", wantName: "k"},
		"one digit":                   {text: "7-ffffffff", wantName: "7"},
		"40 characters":               {text: long + "-3f9a2c1b", wantName: long},
		"hyphens":                     {text: "a--b-3f9a2c1b", wantName: "a--b"},
		"name like a fingerprint":     {text: "deadbeef-deadbeef", wantName: "deadbeef"},
		"name that has a fingerprint": {text: "v1-deadbeef-deadbeef", wantName: "v1-deadbeef"},

		"empty":                  {text: ""},
		"41 characters":          {text: long + "k-3f9a2c1b"},
		"no name":                {text: "-3f9a2c1b"},
		"name of one hyphen":     {text: "--3f9a2c1b"},
		"fingerprint alone":      {text: "3f9a2c1b"},
		"name alone":             {text: "version-one"},
		"7 characters":           {text: "v1-3f9a2c1"},
		"9 characters":           {text: "v1-3f9a2c1b0"},
		"upper case name":        {text: "V1-3f9a2c1b"},
		"upper case fingerprint": {text: "v1-3F9A2C1B"},
		"no hexadecimal":         {text: "v1-3f9a2c1g"},
		"hyphen first":           {text: "-v1-3f9a2c1b"},
		"hyphen last":            {text: "v1--3f9a2c1b"},
		"dot":                    {text: "v1.2-3f9a2c1b"},
		"underscore":             {text: "v_1-3f9a2c1b"},
		"space":                  {text: "v1 -3f9a2c1b"},
		"line break at the end":  {text: "v1-3f9a2c1b\n"},
		"beyond ASCII":           {text: "vé-3f9a2c1b"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			id, err := envelope.ParseKeyID(tt.text)
			if tt.wantName == "" {
				if !errors.Is(err, envelope.ErrKeyID) || id != "" {
					t.Fatalf("ParseKeyID = %q, error %v, want ErrKeyID", id, err)
				}
				if got := envelope.KeyID(tt.text).Name(); got != "" {
					t.Errorf("Name of what is no key id = %q", got)
				}
				return
			}
			if err != nil || string(id) != tt.text {
				t.Fatalf("ParseKeyID = %q, error %v", id, err)
			}
			if got := id.Name(); got != tt.wantName {
				t.Errorf("Name() = %q, want %q", got, tt.wantName)
			}
		})
	}
}

// The grammar is in the specification as a regular expression, too.
func TestParseKeyIDAgreesWithTheSpecification(t *testing.T) {
	grammar := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?-[0-9a-f]{8}$`)
	for c := range 256 {
		for _, text := range []string{
			string([]byte{byte(c)}) + "1-3f9a2c1b", "v" + string([]byte{byte(c)}) + "v-3f9a2c1b",
			"v" + string([]byte{byte(c)}) + "-3f9a2c1b", "v1" + string([]byte{byte(c)}) + "3f9a2c1b",
			"v1-" + string([]byte{byte(c)}) + "f9a2c1b", "v1-3f9a2c1" + string([]byte{byte(c)}),
		} {
			_, err := envelope.ParseKeyID(text)
			if want := grammar.MatchString(text); (err == nil) != want {
				t.Errorf("ParseKeyID(%q) = %v, the specification says %t", text, err, want)
			}
		}
	}
}

func TestNewKeyID(t *testing.T) {
	tests := map[string]struct {
		name     string
		material []byte
		wantID   envelope.KeyID
		wantErr  error
	}{
		"as the specification's example": {name: "v1", material: material(0), wantID: "v1-b85eb51d"},
		"another name, the same print":   {name: "2026-q1", material: material(0), wantID: "2026-q1-b85eb51d"},
		"name with a dot":                {name: "v1.2", material: material(0), wantErr: envelope.ErrKeyID},
		"no name":                        {name: "", material: material(0), wantErr: envelope.ErrKeyID},
		"long name":                      {name: strings.Repeat("k", 41), material: material(0), wantErr: envelope.ErrKeyID},
		"short material":                 {name: "v1", material: material(0)[:31], wantErr: envelope.ErrEncryptionKey},
		"long material":                  {name: "v1", material: make([]byte, 33), wantErr: envelope.ErrEncryptionKey},
		"no material":                    {name: "v1", wantErr: envelope.ErrEncryptionKey},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			id, err := envelope.NewKeyID(tt.name, tt.material)
			if id != tt.wantID || !errors.Is(err, tt.wantErr) {
				t.Errorf("NewKeyID = %q, error %v, want %q, error %v", id, err, tt.wantID, tt.wantErr)
			}
		})
	}
	if got, want := referenceKeyID("v1", material(0)), "v1-b85eb51d"; got != want {
		t.Errorf("the reference makes %q, want %q", got, want)
	}
	one, err := envelope.NewKeyID("v1", material(1))
	if err != nil || one == "v1-b85eb51d" {
		t.Errorf("another key under the same name has the id %q, error %v", one, err)
	}
}
