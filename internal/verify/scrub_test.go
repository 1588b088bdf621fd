package verify

import (
	"net/http"
	"strings"
	"testing"

	"usersecrets.dev/operator/internal/secretvalue"
)

func TestScrub(t *testing.T) {
	const dots = secretvalue.Dots
	tests := map[string]struct {
		value, message, want string
	}{
		"nothing to hide":          {"s3cret-value", "all is well", "all is well"},
		"as it is":                 {"s3cret-value", "key s3cret-value, again s3cret-value", "key " + dots + ", again " + dots},
		"base64":                   {"s3cret-value", "Basic czNjcmV0LXZhbHVl", "Basic " + dots},
		"base64 with padding":      {"s3cret-value1", "Basic czNjcmV0LXZhbHVlMQ==", "Basic " + dots},
		"base64 without padding":   {"s3cret-value1", "czNjcmV0LXZhbHVlMQ.", dots + "."},
		"base64 for URLs":          {"s3cr\xff\xfe\xff", "czNjcv_-_w==", dots},
		"path":                     {"a/b c?d", "GET /bota%2Fb%20c%3Fd/me", "GET /bot" + dots + "/me"},
		"query":                    {"a&b c=d", "?k=a%26b%20c%3Dd", "?k=" + dots},
		"form":                     {"a&b c=d", "k=a%26b+c%3Dd", "k=" + dots},
		"JSON":                     {"a\"b\nc", `{"k":"a\"b\nc"}`, `{"k":"` + dots + `"}`},
		"quoted":                   {"ab\x00cd", `"ab\x00cd"`, `"` + dots + `"`},
		"without its line break":   {"s3cret\n", "key s3cret.", "key " + dots + "."},
		"shorter than is scrubbed": {"abc", "abc", "abc"},
		"shortest":                 {"abcd", "abcd", dots},
		"empty":                    {"", "text", "text"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := scrub(tt.message, valueOf(tt.value)); got != tt.want {
				t.Errorf("scrub(%q) = %q, want %q", tt.message, got, tt.want)
			}
		})
	}
}

func TestPresent(t *testing.T) {
	tests := map[string]struct{ message, want string }{
		"one line":          {"a\r\nb\tc\x00d", "a  b c d"},
		"no UTF-8":          {"a\xffb", "a b"},
		"long":              {strings.Repeat("x", 600), strings.Repeat("x", 512)},
		"cut in a letter":   {"x" + strings.Repeat("é", 300), "x" + strings.Repeat("é", 255)},
		"nothing to change": {"example.com accepted the value (200)", "example.com accepted the value (200)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := present(tt.message, secretvalue.Value{}); got != tt.want {
				t.Errorf("present(%q) = %q, want %q", tt.message, got, tt.want)
			}
		})
	}
}

// Messages are built without the value, so nothing but a value that is a word of
// theirs shows that they are scrubbed.
func TestResultsAreScrubbed(t *testing.T) {
	p := serve(t, func(http.ResponseWriter, *http.Request) {})
	result := p.test(t, bearer(), "example.com")
	if want := "........ accepted the value (200)"; result.Message != want {
		t.Errorf("message %q, want %q", result.Message, want)
	}
}
