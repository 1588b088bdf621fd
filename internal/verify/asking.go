package verify

import (
	"errors"
	"time"
)

// maxRequestLength is the longest text that is read as a request for a test, in
// bytes: RFC 3339 sets no bound on the digits of a second.
const maxRequestLength = 64

var errRequest = errors.New("no time in the form of RFC 3339")

// ParseRequest reads a request for a test, as annotation
// usersecrets.dev/verify-requested-at holds it: the time at which it was made (RFC 3339), to
// the microsecond.
func ParseRequest(text string) (time.Time, error) {
	if len(text) > maxRequestLength {
		return time.Time{}, errRequest
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errRequest // err repeats the text, which may be a value in the wrong place
	}
	return at.UTC().Truncate(time.Microsecond), nil
}

// FormatRequest is the text of a request made at this time.
func FormatRequest(at time.Time) string {
	return at.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
}
