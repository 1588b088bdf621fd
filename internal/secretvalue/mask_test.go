package secretvalue_test

import (
	"slices"
	"strings"
	"testing"

	"usersecrets.dev/operator/internal/secretvalue"
)

func TestMask(t *testing.T) {
	const dots = "........"
	tests := map[string]struct {
		value            string
		connectionString bool
		wantMask         string
	}{
		"empty":                        {value: "", wantMask: dots},
		"15 characters":                {value: "0123456789abcde", wantMask: dots},
		"16 characters":                {value: "0123456789abcdef", wantMask: dots + "cdef"},
		"long":                         {value: strings.Repeat("a", 65532) + "wxyz", wantMask: dots + "wxyz"},
		"first and last printable":     {value: "0123456789ab ~ ~", wantMask: dots + " ~ ~"},
		"line break at the end":        {value: "0123456789abcdef\n", wantMask: dots},
		"tab in it":                    {value: "0123456789\tabcdef", wantMask: dots},
		"delete character":             {value: "0123456789abcdef\x7f", wantMask: dots},
		"NUL at the start":             {value: "\x000123456789abcdef", wantMask: dots},
		"letters beyond ASCII":         {value: "0123456789abcdefé", wantMask: dots},
		"no UTF-8":                     {value: "0123456789abcdef\xff", wantMask: dots},
		"16 bytes, fewer characters":   {value: "éééééééé", wantMask: dots},
		"connection string":            {value: "postgres://alice:password@db:5432/orders", connectionString: true, wantMask: dots},
		"connection string, DSN order": {value: "host=db user=alice password=0123456789", connectionString: true, wantMask: dots},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := secretvalue.Mask(secretvalue.FromString(tt.value), tt.connectionString); got != tt.wantMask {
				t.Errorf("Mask = %q, want %q", got, tt.wantMask)
			}
		})
	}
	if got := secretvalue.Mask(secretvalue.Value{}, false); got != dots {
		t.Errorf("Mask of the zero value = %q, want %q", got, dots)
	}
}

// FuzzMask: a mask is dots, or dots and the last four characters, of a value that is
// printable ASCII and of which they are no more than a quarter.
func FuzzMask(f *testing.F) {
	f.Fuzz(func(t *testing.T, value []byte, connectionString bool) {
		v := secretvalue.New(value)
		mask := secretvalue.Mask(v, connectionString)
		shown, ok := strings.CutPrefix(mask, secretvalue.Dots)
		if !ok {
			t.Fatalf("mask %q does not start with dots", mask)
		}
		switch {
		case shown == "":
		case connectionString:
			t.Fatalf("mask of a connection string shows %q", shown)
		case len(shown) != 4 || len(value) < 16 || !strings.HasSuffix(string(value), shown):
			t.Fatalf("mask of %d bytes shows %q", len(value), shown)
		case slices.ContainsFunc(value, func(b byte) bool { return b < 0x20 || b > 0x7e }):
			t.Fatalf("mask of a value that is not printable ASCII shows %q", shown)
		}
		if v.String() != secretvalue.Redacted {
			t.Fatalf("prints as %q", v.String())
		}
	})
}
