package verify

import (
	"strings"
	"testing"
	"time"
)

func TestRequests(t *testing.T) {
	noon := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		text string
		want time.Time // zero where it is refused
	}{
		"nothing":          {"", time.Time{}},
		"a word":           {"now", time.Time{}},
		"a day":            {"2026-06-01", time.Time{}},
		"a line":           {"2026-06-01T12:00:00Z\n", time.Time{}},
		"UTC":              {"2026-06-01T12:00:00Z", noon},
		"another zone":     {"2026-06-01T14:00:00+02:00", noon},
		"nanoseconds":      {"2026-06-01T12:00:00.1234567Z", noon.Add(123456 * time.Microsecond)},
		"as many digits":   {"2026-06-01T12:00:00." + strings.Repeat("0", 43) + "Z", noon},
		"one digit longer": {"2026-06-01T12:00:00." + strings.Repeat("0", 44) + "Z", time.Time{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseRequest(tt.text)
			if !got.Equal(tt.want) || (err != nil) != tt.want.IsZero() {
				t.Errorf("%q: %v, %v; want %v", tt.text, got, err, tt.want)
			}
			if err != nil {
				return
			}
			if again, err := ParseRequest(FormatRequest(got)); err != nil || !again.Equal(got) {
				t.Errorf("written and read again: %v, %v", again, err)
			}
		})
	}
}
