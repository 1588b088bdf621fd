package verify

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"usersecrets.dev/operator/api/v1alpha1"
)

func judge(t *testing.T, valid, invalid string, code int, body string) Result {
	t.Helper()
	v, err := verdicts.of(&v1alpha1.HTTPTest{Valid: valid, Invalid: invalid})
	if err != nil {
		t.Fatal(err)
	}
	return v.on(t.Context(), "example.com", answer{code: code, body: parseJSON([]byte(body))})
}

func TestVerdict(t *testing.T) {
	const (
		slackValid   = "code == 200 && body.ok == true"
		slackInvalid = "code == 200 && body.ok == false && body.error in ['invalid_auth', 'token_revoked']"
	)
	tests := map[string]struct {
		valid, invalid string
		code           int
		body           string
		want           string
	}{
		"defaults, 200":              {"", "", 200, "", "Accepted"},
		"defaults, 204":              {"", "", 204, "", "Accepted"},
		"defaults, 299":              {"", "", 299, "", "Accepted"},
		"defaults, 300":              {"", "", 300, "", "Unreachable"},
		"defaults, 400":              {"", "", 400, "", "Unreachable"},
		"defaults, 401":              {"", "", 401, "", "Rejected"},
		"defaults, 403":              {"", "", 403, "", "Rejected"},
		"defaults, 429":              {"", "", 429, "", "Unreachable"},
		"defaults, 503":              {"", "", 503, "", "Unreachable"},
		"failure that is a yes":      {"code == 500", "", 500, "", "Accepted"},
		"429 that is a no":           {"", "code == 429", 429, "", "Rejected"},
		"both":                       {"code == 200", "code == 200", 200, "", "Unreachable"},
		"ok":                         {slackValid, slackInvalid, 200, `{"ok":true}`, "Accepted"},
		"not ok":                     {slackValid, slackInvalid, 200, `{"ok":false,"error":"invalid_auth"}`, "Rejected"},
		"not ok for another reason":  {slackValid, slackInvalid, 200, `{"ok":false,"error":"ratelimited"}`, "Unreachable"},
		"no member":                  {slackValid, slackInvalid, 200, `{}`, "Unreachable"},
		"no object":                  {slackValid, slackInvalid, 200, `[1]`, "Unreachable"},
		"member of another type":     {slackValid, slackInvalid, 200, `{"ok":"true"}`, "Unreachable"},
		"no JSON":                    {slackValid, slackInvalid, 200, `<html>`, "Unreachable"},
		"two JSON texts":             {slackValid, slackInvalid, 200, `{"ok":true}{"ok":true}`, "Unreachable"},
		"no body":                    {"body == null", "", 500, "", "Accepted"},
		"one error, other true":      {"body.ok", "code == 401", 401, "", "Rejected"},
		"error made up for":          {"", "body.error == 'x' || code == 400", 400, "", "Rejected"},
		"member that is a bool":      {"body.ok", "!body.ok", 200, `{"ok":true}`, "Accepted"},
		"member that is no bool":     {"body.ok", "", 200, `{"ok":1}`, "Unreachable"},
		"int":                        {"body.n == 7 && body.n + 1 == 8", "", 500, `{"n":7}`, "Accepted"},
		"double":                     {"body.n == 7.5", "", 500, `{"n":7.5}`, "Accepted"},
		"double compared with int":   {"body.n == 7", "", 500, `{"n":7.0}`, "Accepted"},
		"number beyond int":          {"body.n > 9223372036854775807", "", 500, `{"n":1e30}`, "Accepted"},
		"letters of another case":    {"body.ok", "", 500, `{"OK":true}`, "Unreachable"},
		"text matched":               {"body.m.matches('^Bad .*')", "", 500, `{"m":"Bad token"}`, "Accepted"},
		"member that may be missing": {"has(body.error) && body.error.code == 401", "", 400, `{}`, "Unreachable"},
		"member behind the error":    {"", "body.error.code == 401", 400, `{"error":{"code":401}}`, "Rejected"},
		"division by nothing":        {"code / 0 == 1", "", 200, "", "Unreachable"},
		"list":                       {"body.exists(m, m.id == 'b')", "", 500, `[{"id":"a"},{"id":"b"}]`, "Accepted"},
		"deeper than can be decoded": {"code == 200 && body != null", "", 200, strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), "Unreachable"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := judge(t, tt.valid, tt.invalid, tt.code, tt.body); got.Reason != tt.want {
				t.Errorf("got %+v, want %s", got, tt.want)
			}
		})
	}
}

func TestVerdictOfBoth(t *testing.T) {
	got := judge(t, "code > 0", "code > 0", 200, "")
	if want := "example.com answered 200, of which the catalogue's test says both that the value is accepted and that it is not: ask an administrator to correct the provider"; got.Message != want {
		t.Errorf("got %q, want %q", got.Message, want)
	}
}

// A hostile body does not make an expression take long.
func TestVerdictCost(t *testing.T) {
	body := "[" + strings.Repeat("1,", 100_000) + "1]"
	start := time.Now()
	if got := judge(t, "body.all(a, body.all(b, body.all(c, a == b && b == c)))", "", 500, body); got.Reason != v1alpha1.ReasonUnreachable {
		t.Errorf("got %+v, want Unreachable", got)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestVerdictStopsWithItsTime(t *testing.T) {
	e, err := verdicts.compile("body.all(a, a == 1)")
	if err != nil {
		t.Fatal(err)
	}
	a := answer{code: 200, body: parseJSON([]byte("[" + strings.Repeat("1,", 5_000) + "1]"))}
	if !e.holds(t.Context(), a) {
		t.Fatal("the expression does not hold")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if e.holds(ctx, a) {
		t.Error("evaluated though the time was over")
	}
}

func TestCompileReadsBody(t *testing.T) {
	for text, want := range map[string]bool{
		"code == 200": false, "code == 200 && body.ok": true, "has(body.ok)": true, "[1].exists(x, x == code)": false, "'body' == 'x'": false,
	} {
		e, err := verdicts.compile(text)
		if err != nil || e.readsBody != want {
			t.Errorf("compile(%q): readsBody %t, %v, want %t", text, e.readsBody, err, want)
		}
	}
}

func TestProgramsAreBounded(t *testing.T) {
	c := newCompiler()
	for i := range maxPrograms + 10 {
		if _, err := c.compile(fmt.Sprintf("code == %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.programs.Len(); n != maxPrograms {
		t.Errorf("%d programs are kept, want %d", n, maxPrograms)
	}
}
