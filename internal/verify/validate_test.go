package verify

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"usersecrets.dev/operator/api/v1alpha1"
)

const broken = "spec.types[1].test.http"

// providerWith has a good type, and then one with the test.
func providerWith(change func(*v1alpha1.ProviderType, *v1alpha1.HTTPTest)) *v1alpha1.SecretProvider {
	good, test := bearer(), bearer()
	entry := v1alpha1.ProviderType{Type: "oauth_token", Key: "TOKEN", Test: &v1alpha1.ProviderTest{HTTP: &test}}
	change(&entry, &test)
	return &v1alpha1.SecretProvider{Spec: v1alpha1.SecretProviderSpec{Types: []v1alpha1.ProviderType{
		{Type: "api_key", Key: "KEY", Pattern: "sk-[0-9]{4}", Example: "sk-0123", Test: &v1alpha1.ProviderTest{HTTP: &good}}, entry,
	}}}
}

func TestValidateProvider(t *testing.T) {
	type entry = v1alpha1.ProviderType
	type test = v1alpha1.HTTPTest
	headers := func(kv ...string) func(*entry, *test) {
		return func(_ *entry, test *test) {
			for i := 0; i < len(kv); i += 2 {
				test.Headers = append(test.Headers, v1alpha1.HTTPHeader{Name: kv[i], Value: kv[i+1]})
			}
		}
	}
	url := func(text string) func(*entry, *test) { return func(_ *entry, test *test) { test.URL = text } }
	valid := func(text string) func(*entry, *test) { return func(_ *entry, test *test) { test.Valid = text } }
	const (
		host         = ": must name a fixed host, and no user"
		connection   = ": belongs to the connection: the request has it, or must not"
		nothing      = " stands for nothing: the placeholders are {{value}} and {{value.base64}}"
		sendsNothing = broken + ": Required value: the test sends the value nowhere, so it tests nothing: put {{value}} into url, headers or body"
	)
	tests := map[string]struct {
		change func(*entry, *test)
		want   []string
	}{
		"nothing wrong": {func(*entry, *test) {}, nil},
		"no test":       {func(e *entry, _ *test) { e.Test = nil }, nil},
		"a database":    {func(e *entry, _ *test) { e.Test = &v1alpha1.ProviderTest{Postgres: &v1alpha1.PostgresTest{}} }, nil},
		"value in the URL": {func(_ *entry, test *test) {
			test.URL, test.Headers = "https://example.com:8443/bot{{value}}/me?a={{value}}", nil
		}, nil},
		"value in base64":   {func(_ *entry, test *test) { test.Headers[0].Value = "Basic {{value.base64}}" }, nil},
		"value in the body": {func(_ *entry, test *test) { test.Headers, test.Method, test.Body = nil, "POST", `{"key":"{{value}}"}` }, nil},
		"header of its own": {headers("Accept", "application/json", "User-Agent", "x"), nil},

		"pattern":                 {func(e *entry, _ *test) { e.Pattern = "sk-(" }, []string{"spec.types[1].pattern: Invalid value: \"sk-(\": error parsing regexp: missing closing ): `sk-(`"}},
		"example":                 {func(e *entry, _ *test) { e.Pattern, e.Example = "sk-[0-9]{4}", "sk-01234" }, []string{`spec.types[1].example: Invalid value: "sk-01234": does not match the pattern sk-[0-9]{4} as a whole`}},
		"plain HTTP":              {url("http://example.com/"), []string{broken + `.url: Invalid value: "http://example.com/": must start with https://: a secret is never sent in the clear`}},
		"no host":                 {url("https:///"), []string{broken + `.url: Invalid value: "https:///"` + host}},
		"a user":                  {url("https://alice@example.com/"), []string{broken + `.url: Invalid value: "https://alice@example.com/"` + host}},
		"value in the host":       {url("https://{{value}}.example.com/"), []string{broken + `.url: Invalid value: "https://{{value}}.example.com/"` + host}},
		"no URL":                  {url("https://example.com/%zz"), []string{broken + `.url: Invalid value: "https://example.com/%zz": is no URL`}},
		"no port":                 {url("https://example.com:x/"), []string{broken + `.url: Invalid value: "https://example.com:x/": is no URL`}},
		"dots in the path":        {url("https://example.com/a/../b"), []string{broken + `.url: Invalid value: "https://example.com/a/../b": must not have "." or ".." in its path`}},
		"a fragment":              {url("https://example.com/#a"), []string{broken + `.url: Invalid value: "https://example.com/#a": a fragment is not sent: leave out what stands from # on`}},
		"placeholder in the URL":  {url("https://example.com/{{key}}"), []string{broken + `.url: Invalid value: "https://example.com/{{key}}": {{key}}` + nothing}},
		"header of a hop":         {headers("connection", "close"), []string{broken + `.headers[1].name: Invalid value: "connection"` + connection}},
		"host":                    {headers("HOST", "internal"), []string{broken + `.headers[1].name: Invalid value: "HOST"` + connection}},
		"encoded answer":          {headers("accept-encoding", "br"), []string{broken + `.headers[1].name: Invalid value: "accept-encoding"` + connection}},
		"header given twice":      {headers("authorization", "x"), []string{broken + `.headers[1].name: Duplicate value: "authorization"`}},
		"header of two lines":     {headers("X-A", "a\r\nb"), []string{broken + `.headers[1].value: Invalid value: "a\r\nb": must be printable ASCII on one line (RFC 9110, section 5.5)`}},
		"placeholder in a header": {headers("X-A", "{{ value }}"), []string{broken + `.headers[1].value: Invalid value: "{{ value }}": {{ value }}` + nothing}},
		"placeholder that is cut": {headers("X-A", "{{value}"), []string{broken + `.headers[1].value: Invalid value: "{{value}": {{value` + nothing}},
		"placeholder in the body": {func(_ *entry, test *test) { test.Method, test.Body = "POST", "{{VALUE}}" }, []string{broken + `.body: Invalid value: "{{VALUE}}": {{VALUE}}` + nothing}},
		"body of a GET":           {func(_ *entry, test *test) { test.Body = "a" }, []string{broken + `.body: Forbidden: is sent with method POST alone`}},
		"no value":                {func(_ *entry, test *test) { test.Headers = nil }, []string{sendsNothing}},
		"value in a body of GET":  {func(_ *entry, test *test) { test.Headers, test.Body = nil, "{{value}}" }, []string{broken + `.body: Forbidden: is sent with method POST alone`, sendsNothing}},

		"syntax": {valid("code =="), []string{broken + `.valid: Invalid value: "code ==": at line:column 1:8: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}
 | code ==
 | .......^`}},
		"unknown name, second line": {valid("code == 200 &&\n  status == 1"), []string{broken + `.valid: Invalid value: "code == 200 &&\n  status == 1": at line:column 2:3: undeclared reference to 'status' (in container '')
 |   status == 1
 | ..^`}},
		"no bool":  {valid("code + 1"), []string{broken + `.valid: Invalid value: "code + 1": the expression must be true or false, and is of type int`}},
		"constant": {valid("true"), []string{broken + `.valid: Invalid value: "true": says the same of every answer: it looks at neither code nor body`}},
		"invalid, too": {func(_ *entry, test *test) { test.Invalid = "code == '401'" }, []string{broken + `.invalid: Invalid value: "code == '401'": at line:column 1:6: found no matching overload for '_==_' applied to '(int, string)'
 | code == '401'
 | .....^`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, err := range ValidateProvider(providerWith(tt.change)) {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}
