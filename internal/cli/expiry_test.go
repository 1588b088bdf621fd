package cli

import (
	"errors"
	"testing"
	"time"
)

func TestParseExpiry(t *testing.T) {
	tests := map[string]struct {
		text    string
		want    string
		wantErr error
	}{
		"time":               {text: "2030-01-31T12:00:00Z", want: "2030-01-31T12:00:00Z"},
		"time of a zone":     {text: "2030-01-31T12:00:00+02:00", want: "2030-01-31T10:00:00Z"},
		"fractions are cut":  {text: "2030-01-31T12:00:00.9Z", want: "2030-01-31T12:00:00Z"},
		"hours":              {text: "720h", want: "2026-07-01T12:00:00Z"},
		"mixed":              {text: "1h30m", want: "2026-06-01T13:30:00Z"},
		"days":               {text: "90d", want: "2026-08-30T12:00:00Z"},
		"most days":          {text: "36525d", want: "2126-06-02T12:00:00Z"},
		"too many days":      {text: "36526d", wantErr: errExpiryFormat},
		"days that overrun":  {text: "9223372036854775807d", wantErr: errExpiryFormat},
		"no unit":            {text: "90", wantErr: errExpiryFormat},
		"half a day":         {text: "1.5d", wantErr: errExpiryFormat},
		"a date alone":       {text: "2030-01-31", wantErr: errExpiryFormat},
		"nothing":            {text: "", wantErr: errExpiryFormat},
		"days in the past":   {text: "-1d", wantErr: errExpiryPast},
		"span of the past":   {text: "-1h", wantErr: errExpiryPast},
		"no span":            {text: "0d", wantErr: errExpiryPast},
		"now":                {text: "2026-06-01T12:00:00Z", wantErr: errExpiryPast},
		"less than a second": {text: "900ms", wantErr: errExpiryPast},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseExpiry(tt.text, now)
			if !errors.Is(err, tt.wantErr) {
				t.Fatalf("parseExpiry(%q): got error %v, want %v", tt.text, err, tt.wantErr)
			}
			if err == nil && got.Format(time.RFC3339Nano) != tt.want {
				t.Errorf("parseExpiry(%q): got %s, want %s", tt.text, got.Format(time.RFC3339Nano), tt.want)
			}
		})
	}
}
