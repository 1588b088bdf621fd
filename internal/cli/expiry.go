package cli

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

var (
	errExpiryFormat = errors.New("--expires-at is a time such as 2030-01-31T12:00:00Z (RFC 3339), or a span from now such as 720h or 90d")
	errExpiryPast   = errors.New("--expires-at lies in the past: give a time or span to come")
)

// maxExpiryDays is 100 years: what a duration holds, and more than any key lasts.
const maxExpiryDays = 36525

// parseExpiry reads a point in time (RFC 3339, section 5.6), a Go duration or a
// number of days, and returns it in UTC, to the second.
func parseExpiry(text string, now time.Time) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		span, err := parseSpan(text)
		if err != nil {
			return time.Time{}, err
		}
		at = now.Add(span)
	}
	at = at.UTC().Truncate(time.Second)
	if !at.After(now) {
		return time.Time{}, errExpiryPast
	}
	return at, nil
}

func parseSpan(text string) (time.Duration, error) {
	if number, isDays := strings.CutSuffix(text, "d"); isDays {
		days, err := strconv.Atoi(number)
		if err != nil || days > maxExpiryDays || days < -maxExpiryDays {
			return 0, errExpiryFormat
		}
		return time.Duration(days) * 24 * time.Hour, nil
	}
	span, err := time.ParseDuration(text)
	if err != nil {
		return 0, errExpiryFormat
	}
	return span, nil
}
