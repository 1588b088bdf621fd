package inject

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"usersecrets.dev/operator/api/v1alpha1"
)

// MinTTL is the shortest TTL. Below it, values would be gone before a kubelet
// could mount them.
const MinTTL = time.Second

// duration is what time.ParseDuration reads, where it is not too long.
var duration = regexp.MustCompile(`^\+?((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$`)

// parseTTL gives the TTL that holds for the pod: its own, or the operator's.
func parseTTL(annotations map[string]string, limits Limits) (time.Duration, error) {
	text, ok := annotations[v1alpha1.TTLAnnotation]
	if !ok {
		return limits.unasked(), nil
	}
	ttl, err := time.ParseDuration(strings.TrimSpace(text))
	switch {
	case err != nil && duration.MatchString(strings.TrimSpace(text)):
		// More than a time.Duration holds, which is 292 years.
		return 0, fmt.Errorf("%w: it is over %s", ErrTTL, limits.longest())
	case err != nil:
		// The error of ParseDuration repeats the text, so it is not wrapped.
		return 0, fmt.Errorf(`%w: no duration: write it as "30m", "90s" or "2h30m"`, ErrTTL)
	case ttl == 0:
		return 0, fmt.Errorf("%w: zero: give at least %v, or leave the annotation out", ErrTTL, MinTTL)
	case ttl < 0:
		return 0, fmt.Errorf("%w: %v is negative: give at least %v", ErrTTL, ttl, MinTTL)
	case ttl < MinTTL:
		return 0, fmt.Errorf("%w: %v is too short: give at least %v", ErrTTL, ttl, MinTTL)
	case limits.MaxTTL > 0 && ttl > limits.MaxTTL:
		return 0, fmt.Errorf("%w: %v is over this cluster's limit: give at most %v", ErrTTL, ttl, limits.MaxTTL)
	}
	return ttl, nil
}

// longest is the bound in words.
func (l Limits) longest() string {
	if l.MaxTTL > 0 {
		return fmt.Sprintf("this cluster's limit: give at most %v", l.MaxTTL)
	}
	return "200 years: leave the annotation out"
}

// unasked is the TTL of a pod that gives none.
func (l Limits) unasked() time.Duration {
	if l.MaxTTL > 0 && (l.DefaultTTL == 0 || l.DefaultTTL > l.MaxTTL) {
		return l.MaxTTL
	}
	return l.DefaultTTL
}

// Clamp is the TTL that holds for a pod that was admitted under other limits:
// zero stands for none given.
func (l Limits) Clamp(ttl time.Duration) time.Duration {
	if ttl == 0 {
		return l.unasked()
	}
	if l.MaxTTL > 0 {
		return min(ttl, l.MaxTTL)
	}
	return ttl
}
