package verify

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/secretvalue"
)

func valueOf(text string) secretvalue.Value { return secretvalue.FromString(text) }

// received is what a server saw of a request.
type received struct{ uri, header, body string }

// What a provider's server decodes is the value, whatever is in it, and nothing
// else of the request moves.
func TestPlaceholders(t *testing.T) {
	const odd = `a/b?c=d&e%2F#f "g"\h+i;j`
	headers := func(kv ...string) (list []v1alpha1.HTTPHeader) {
		for i := 0; i < len(kv); i += 2 {
			list = append(list, v1alpha1.HTTPHeader{Name: kv[i], Value: kv[i+1]})
		}
		return list
	}
	tests := map[string]struct {
		test  v1alpha1.HTTPTest
		value string
		want  received
	}{
		"header":           {v1alpha1.HTTPTest{URL: "https://example.com/me", Headers: headers("X-Key", "Bearer {{value}}")}, odd, received{uri: "/me", header: "Bearer " + odd}},
		"header in base64": {v1alpha1.HTTPTest{URL: "https://example.com/me", Headers: headers("X-Key", "Basic {{value.base64}}")}, "AC12:t\nken", received{uri: "/me", header: "Basic " + base64Of("AC12:t\nken")}},
		"path":             {v1alpha1.HTTPTest{URL: "https://example.com/bot{{value}}/getMe"}, odd, received{uri: `/bota%2Fb%3Fc=d&e%252F%23f%20%22g%22%5Ch+i%3Bj/getMe`}},
		"path of dots":     {v1alpha1.HTTPTest{URL: "https://example.com/bot{{value}}/getMe"}, "../..", received{uri: `/bot..%2F../getMe`}},
		"query":            {v1alpha1.HTTPTest{URL: "https://example.com/me?key={{value}}&v=1"}, odd, received{uri: `/me?key=a%2Fb%3Fc%3Dd%26e%252F%23f%20%22g%22%5Ch%2Bi%3Bj&v=1`}},
		"line break in a query": {
			v1alpha1.HTTPTest{URL: "https://example.com/me?key={{value}}"}, "a\r\nHost: evil\x00é", received{uri: `/me?key=a%0D%0AHost%3A%20evil%00%C3%A9`},
		},
		"JSON": {
			v1alpha1.HTTPTest{Method: "POST", URL: "https://example.com/me", Headers: headers("content-type", "application/json; charset=utf-8"), Body: `{"key":"{{value}}"}`},
			"a\"b\\c\n<é>", received{uri: "/me", body: `{"key":"a\"b\\c\n<é>"}`},
		},
		"form": {
			v1alpha1.HTTPTest{Method: "POST", URL: "https://example.com/me", Headers: headers("Content-Type", "application/x-www-form-urlencoded"), Body: "token={{value}}&b={{value.base64}}"},
			"a b&c=d+\xff", received{uri: "/me", body: "token=a+b%26c%3Dd%2B%FF&b=YSBiJmM9ZCv%2F"},
		},
		"other body": {
			v1alpha1.HTTPTest{Method: "POST", URL: "https://example.com/me", Headers: headers("Content-Type", "text/plain"), Body: "{{value}}"},
			"a b&\"\n\xff", received{uri: "/me", body: "a b&\"\n\xff"},
		},
		"body of GET": {v1alpha1.HTTPTest{URL: "https://example.com/me", Body: "{{value}}"}, "abcdef", received{uri: "/me"}},
		"placeholder as value": {
			v1alpha1.HTTPTest{URL: "https://example.com/me", Headers: headers("X-Key", "{{value}}")},
			"{{value.base64}}{{value}}", received{uri: "/me", header: "{{value.base64}}{{value}}"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got received
			p := serve(t, func(_ http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got = received{uri: r.RequestURI, header: r.Header.Get("X-Key"), body: string(body)}
			})
			if result := p.test(t, tt.test, tt.value); result.Reason != v1alpha1.ReasonAccepted {
				t.Fatalf("got %+v", result)
			}
			if got != tt.want {
				t.Errorf("the server saw %q, want %q", got, tt.want)
			}
		})
	}
}

// Nothing is sent where the value cannot stand, or the catalogue's URL is no good.
func TestRequestsThatAreNotMade(t *testing.T) {
	in := func(url string) v1alpha1.HTTPTest { return v1alpha1.HTTPTest{URL: url} }
	jsonBody := v1alpha1.HTTPTest{
		Method: "POST", URL: "https://example.com/", Body: `"{{value}}"`,
		Headers: []v1alpha1.HTTPHeader{{Name: "Content-Type", Value: "application/vnd.api+json"}},
	}
	uncompiled := bearer()
	uncompiled.Valid = "code =="
	tests := map[string]struct {
		test  v1alpha1.HTTPTest
		value string
		want  string
	}{
		"plain HTTP":             {in("http://example.com/?key={{value}}"), goodKey, errNotHTTPS.Error()},
		"HTTPS in capitals":      {in("HTTPS://example.com/?key={{value}}"), goodKey, errNotHTTPS.Error()},
		"a file":                 {in("file:///etc/passwd?{{value}}"), goodKey, errNotHTTPS.Error()},
		"value as host":          {in("https://{{value}}/"), "evil.example", errURL.Error()},
		"value in the host":      {in("https://example.com{{value}}/"), ".evil.example", errURL.Error()},
		"value as user":          {in("https://{{value}}@example.com/"), goodKey, errURL.Error()},
		"no host":                {in("https:///{{value}}"), goodKey, errURL.Error()},
		"no port":                {in("https://example.com:x/{{value}}"), goodKey, errURL.Error()},
		"directory above":        {in("https://example.com/v1/{{value}}/me"), "..", errInURL.Error()},
		"this directory":         {in("https://example.com/v1/{{value}}"), ".", errInURL.Error()},
		"line break in header":   {bearer(), "good-key\n", errInHeader.Error()},
		"smuggled header":        {bearer(), "good-key\r\nHost: evil.example", errInHeader.Error()},
		"NUL in header":          {bearer(), "good\x00key", errInHeader.Error()},
		"tab in header":          {bearer(), "good\tkey", errInHeader.Error()},
		"letters beyond ASCII":   {bearer(), "gööd-key", errInHeader.Error()},
		"no UTF-8 in header":     {bearer(), "good\xffkey", errInHeader.Error()},
		"space behind in header": {bearer(), "good-key ", errHeaderEnds.Error()},
		"space before in header": {bearer(), " good-key", errHeaderEnds.Error()},
		"no UTF-8 in JSON":       {jsonBody, "good\xffkey", errInJSON.Error()},
		"CEL":                    {uncompiled, goodKey, "the catalogue's test does not compile: ask an administrator to correct the provider"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			asked := 0
			p := serve(t, func(http.ResponseWriter, *http.Request) { asked++ })
			if got, want := p.test(t, tt.test, tt.value), (Result{Reason: "NotTestable", Message: tt.want}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if asked != 0 {
				t.Error("a request was made")
			}
		})
	}
}

func TestNoTest(t *testing.T) {
	tester := New(Options{})
	for name, entry := range map[string]*v1alpha1.ProviderType{
		"no entry": nil, "no test": {Type: "api_key"}, "unknown test": {Test: &v1alpha1.ProviderTest{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := tester.Test(t.Context(), entry, valueOf(goodKey))
			if got.Reason != v1alpha1.ReasonNotTestable || !strings.HasPrefix(got.Message, "the catalogue") {
				t.Errorf("got %+v", got)
			}
		})
	}
}
