package verify

import (
	"context"
	"encoding/base64"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/secretvalue"
)

// userAgent names the operator to those whom it asks (RFC 9110, section 10.1.5).
const userAgent = "usersecret-operator"

// Errors of requests that cannot be made. None repeats the value.
var (
	errNotHTTPS   = errors.New("the catalogue's URL does not start with https://, and a secret is never sent in the clear: ask an administrator to correct the provider")
	errURL        = errors.New("the catalogue's URL is none with a fixed host: ask an administrator to correct the provider")
	errInURL      = errors.New("the value cannot stand in a URL: \".\" and \"..\" mean another place there")
	errInHeader   = errors.New("the value cannot stand in an HTTP header: it holds a line break or something else that is not printable ASCII; check that it was pasted without one")
	errHeaderEnds = errors.New("the value cannot stand in an HTTP header: it starts or ends with a space; check that it was pasted without one")
	errInJSON     = errors.New("the value cannot stand in JSON: it is not UTF-8")
)

// newRequest is the request of a test with the value in it.
func newRequest(ctx context.Context, test *v1alpha1.HTTPTest, value secretvalue.Value) (*http.Request, error) {
	target, err := targetURL(test.URL, value)
	if err != nil {
		return nil, err
	}
	body, err := requestBody(test, value)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method(test), target.String(), body) //nolint:gosec // G704: the host is the catalogue's, checked above
	if err != nil {
		return nil, errURL // err repeats the URL
	}
	// As catalogued, not as printed and parsed again.
	request.URL = target
	request.Header.Set("User-Agent", userAgent)
	for _, header := range test.Headers {
		text, err := headerValue(header.Value, value)
		if err != nil {
			return nil, err
		}
		request.Header.Set(header.Name, text)
	}
	return request, nil
}

func method(test *v1alpha1.HTTPTest) string {
	if test.Method == "" {
		return http.MethodGet
	}
	return string(test.Method)
}

// targetURL puts the value into the path and the query of a catalogue's URL,
// escaped for its place (RFC 3986, section 2). The host stays the catalogue's.
func targetURL(template string, value secretvalue.Value) (*url.URL, error) {
	if !strings.HasPrefix(template, "https://") {
		return nil, errNotHTTPS
	}
	fixed, err := url.Parse(fill(template, value, func(string) string { return "x" }))
	if err != nil || fixed.Host == "" || fixed.User != nil {
		return nil, errURL
	}
	path, query, asks := strings.Cut(template, "?")
	text := fill(path, value, url.PathEscape)
	if asks {
		text += "?" + fill(query, value, queryEscape)
	}
	target, err := url.Parse(text)
	if err != nil || target.Scheme != "https" || target.Host != fixed.Host || target.User != nil {
		return nil, errURL // err repeats the URL
	}
	for segment := range strings.SplitSeq(target.EscapedPath(), "/") {
		if segment == "." || segment == ".." {
			return nil, errInURL
		}
	}
	return target, nil
}

// headerValue is a header's value (RFC 9110, section 5.5). White space around it
// would be lost on the way, and another value be tested than the one that is kept.
func headerValue(template string, value secretvalue.Value) (string, error) {
	text := fill(template, value, func(s string) string { return s })
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", errInHeader
	}
	if raw := string(value.Bytes()); strings.Contains(template, v1alpha1.ValuePlaceholder) && strings.Trim(raw, " ") != raw {
		return "", errHeaderEnds
	}
	return text, nil
}

// requestBody is the body of a POST, empty for other methods. How the value is
// escaped goes by the Content-Type.
func requestBody(test *v1alpha1.HTTPTest, value secretvalue.Value) (*strings.Reader, error) {
	if method(test) != http.MethodPost {
		return strings.NewReader(""), nil
	}
	escape := func(s string) string { return s }
	switch media := mediaType(test.Headers); {
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		if !utf8.Valid(value.Bytes()) {
			return nil, errInJSON
		}
		escape = jsonEscape
	case media == "application/x-www-form-urlencoded":
		escape = url.QueryEscape
	}
	return strings.NewReader(fill(test.Body, value, escape)), nil
}

func mediaType(headers []v1alpha1.HTTPHeader) string {
	for _, header := range headers {
		if strings.EqualFold(header.Name, "Content-Type") {
			media, _, _ := mime.ParseMediaType(header.Value)
			return media
		}
	}
	return ""
}

// fill replaces the placeholders of a template; what escape makes of a value is
// not looked at again.
func fill(template string, value secretvalue.Value, escape func(string) string) string {
	return strings.NewReplacer(
		v1alpha1.ValuePlaceholder, escape(string(value.Bytes())),
		v1alpha1.ValueBase64Placeholder, escape(base64.StdEncoding.EncodeToString(value.Bytes())),
	).Replace(template)
}
