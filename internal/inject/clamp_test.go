package inject

import (
	"testing"
	"time"
)

func TestClamp(t *testing.T) {
	for name, tc := range map[string]struct {
		limits    Limits
		ttl, want time.Duration
	}{
		"none given, no limits":       {Limits{}, 0, 0},
		"none given, default":         {Limits{MaxTTL: time.Hour, DefaultTTL: time.Minute}, 0, time.Minute},
		"none given, no default":      {Limits{MaxTTL: time.Hour}, 0, time.Hour},
		"within":                      {Limits{MaxTTL: time.Hour}, time.Minute, time.Minute},
		"over a limit lowered since":  {Limits{MaxTTL: time.Hour}, 2 * time.Hour, time.Hour},
		"given, no limit":             {Limits{}, 2 * time.Hour, 2 * time.Hour},
		"default over the limit":      {Limits{MaxTTL: time.Minute, DefaultTTL: time.Hour}, 0, time.Minute},
		"given, only a default bound": {Limits{DefaultTTL: time.Minute}, time.Hour, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.limits.Clamp(tc.ttl); got != tc.want {
				t.Errorf("Clamp(%v) = %v, want %v", tc.ttl, got, tc.want)
			}
		})
	}
}
