package inject_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usersecrets.dev/operator/internal/inject"
)

func TestParseList(t *testing.T) {
	tests := map[string]struct {
		text      string
		wantItems []inject.Item
	}{
		"provider":           {text: "openai", wantItems: []inject.Item{{Provider: "openai"}}},
		"provider and type":  {text: "slack/oauth_token", wantItems: []inject.Item{{Provider: "slack", Type: "oauth_token"}}},
		"name":               {text: "name:prod-db.eu", wantItems: []inject.Item{{Name: "prod-db.eu"}}},
		"key":                {text: "openai=KEY", wantItems: []inject.Item{{Provider: "openai", Key: "KEY"}}},
		"key of a type":      {text: "slack/api_key=_k1", wantItems: []inject.Item{{Provider: "slack", Type: "api_key", Key: "_k1"}}},
		"key of a name":      {text: "name:db=URL", wantItems: []inject.Item{{Name: "db", Key: "URL"}}},
		"provider name":      {text: "name", wantItems: []inject.Item{{Provider: "name"}}},
		"commas":             {text: " a ,b,\tc ", wantItems: []inject.Item{{Provider: "a"}, {Provider: "b"}, {Provider: "c"}}},
		"lines":              {text: "a\nb\r\nc\n", wantItems: []inject.Item{{Provider: "a"}, {Provider: "b"}, {Provider: "c"}}},
		"comma at line ends": {text: "\n  a,\n  b, \r\n  c\n", wantItems: []inject.Item{{Provider: "a"}, {Provider: "b"}, {Provider: "c"}}},
		"one secret, two keys": {text: "a=X, a=Y", wantItems: []inject.Item{
			{Provider: "a", Key: "X"}, {Provider: "a", Key: "Y"},
		}},
		"longest names": {
			text: strings.Repeat("p", 63) + "/" + strings.Repeat("t", 63) + "=" + strings.Repeat("K", 253) + ",name:" + strings.Repeat("n", 253),
			wantItems: []inject.Item{
				{Provider: strings.Repeat("p", 63), Type: strings.Repeat("t", 63), Key: strings.Repeat("K", 253)},
				{Name: strings.Repeat("n", 253)},
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			items, err := inject.ParseList(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.wantItems, items); diff != "" {
				t.Errorf("items (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseListRefuses(t *testing.T) {
	const (
		noProvider = `not a provider's name (lower case letters, digits and "-", at most 63): 'kubectl get secretproviders' lists them`
		noName     = `"name:" must be followed by the name of a UserSecret: 'kubectl get usersecrets' lists them`
		noKey      = `malformed key: a key is the name of an environment variable, such as "OPENAI_API_KEY": letters, digits and "_", no digit first, and never the value itself`
		empty      = `the list is empty: name at least one secret, as in "openai", "slack/oauth_token" or "name:prod-db=DATABASE_URL"`
		canary     = "sk-CANARY-1234"
	)
	tests := map[string]struct {
		text        string
		wantError   error
		wantMessage string
	}{
		"nothing":               {text: "", wantMessage: empty},
		"white space":           {text: " \n\t", wantMessage: empty},
		"empty element":         {text: "openai,,slack", wantMessage: "element 2 is empty: remove the extra comma"},
		"first element empty":   {text: ",openai", wantMessage: "element 1 is empty: remove the extra comma"},
		"trailing comma":        {text: "openai,", wantMessage: "element 2 is empty: remove the extra comma"},
		"trailing comma, line":  {text: "openai,\n", wantMessage: "element 2 is empty: remove the extra comma"},
		"empty line":            {text: "openai\n\nslack", wantMessage: "element 2 is empty: remove the extra comma"},
		"comma starts line":     {text: "openai\n,slack", wantMessage: "element 2 is empty: remove the extra comma"},
		"200 elements":          {text: manyProviders(200), wantMessage: "200 elements, and at most 64 are allowed: ask for fewer, or share the work between pods"},
		"65 elements":           {text: manyProviders(65), wantMessage: "65 elements, and at most 64 are allowed: ask for fewer, or share the work between pods"},
		"provider upper case":   {text: "a, OpenAI", wantMessage: "element 2: " + noProvider},
		"provider too long":     {text: strings.Repeat("p", 64), wantMessage: "element 1: " + noProvider},
		"provider with dot":     {text: "open.ai", wantMessage: "element 1: " + noProvider},
		"provider with space":   {text: "open ai", wantMessage: "element 1: " + noProvider},
		"no provider":           {text: "=KEY", wantMessage: "element 1: " + noProvider},
		"only a type":           {text: "/api_key", wantMessage: "element 1: " + noProvider},
		"a value":               {text: canary, wantMessage: "element 1: " + noProvider},
		"empty type":            {text: "openai/", wantMessage: `element 1: after "openai/": not a type of secret, such as "api_key" or "oauth_token"`},
		"type with dash":        {text: "openai/api-key", wantMessage: `element 1: after "openai/": not a type of secret, such as "api_key" or "oauth_token"`},
		"two types":             {text: "openai/a/b", wantMessage: `element 1: after "openai/": not a type of secret, such as "api_key" or "oauth_token"`},
		"empty name":            {text: "name:", wantMessage: "element 1: " + noName},
		"name upper case":       {text: "name:Prod", wantMessage: "element 1: " + noName},
		"name after a space":    {text: "name: prod", wantMessage: "element 1: " + noName},
		"name too long":         {text: "name:" + strings.Repeat("n", 254), wantMessage: "element 1: " + noName},
		"empty key":             {text: "openai=", wantError: inject.ErrKey, wantMessage: `element 1: after "openai=": ` + noKey},
		"key after a space":     {text: "openai= KEY", wantError: inject.ErrKey, wantMessage: `element 1: after "openai=": ` + noKey},
		"key starts with digit": {text: "openai=1KEY", wantError: inject.ErrKey, wantMessage: `element 1: after "openai=": ` + noKey},
		"key with dot":          {text: "openai=A.B", wantError: inject.ErrKey, wantMessage: `element 1: after "openai=": ` + noKey},
		"key with equals":       {text: "openai=A=B", wantError: inject.ErrKey, wantMessage: `element 1: after "openai=": ` + noKey},
		"key is a value":        {text: "x, slack/api_key=" + canary, wantError: inject.ErrKey, wantMessage: `element 2: after "slack/api_key=": ` + noKey},
		"key too long":          {text: "name:db=" + strings.Repeat("K", 254), wantError: inject.ErrKey, wantMessage: `element 1: after "name:db=": malformed key: 254 characters, at most 253 are allowed`},
		"same element twice":    {text: "openai, slack, openai", wantMessage: "elements 1 and 3 are the same: remove one"},
		"same with key twice":   {text: "a=K, a=K", wantMessage: "elements 1 and 2 are the same: remove one"},
		"same key twice":        {text: "a, b=K, name:c=K", wantError: inject.ErrDuplicateKey, wantMessage: `the same key twice: elements 2 and 3 ask for it: give one of them another "=KEY"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			items, err := inject.ParseList(tt.text)
			if items != nil {
				t.Errorf("items = %v, want none", items)
			}
			assertRefusal(t, err, "malformed annotation usersecrets.dev/inject: "+tt.wantMessage, inject.ErrInject)
			if tt.wantError != nil && !errors.Is(err, tt.wantError) {
				t.Errorf("error %v is not %v", err, tt.wantError)
			}
			if strings.Contains(err.Error(), "CANARY") {
				t.Errorf("the refusal repeats the text: %v", err)
			}
		})
	}
}

// The limit itself is allowed.
func TestParseListOfMaxItems(t *testing.T) {
	items, err := inject.ParseList(manyProviders(inject.MaxItems))
	if err != nil || len(items) != 64 {
		t.Errorf("%d items, %v; want 64", len(items), err)
	}
}

func TestItemSource(t *testing.T) {
	for text, wantSource := range map[string]string{
		"openai=KEY":        "openai",
		"slack/api_key=KEY": "slack/api_key",
		"name:db=KEY":       "name:db",
	} {
		items, err := inject.ParseList(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := items[0].Source(); got != wantSource {
			t.Errorf("source of %q = %q, want %q", text, got, wantSource)
		}
		if got := formatList(items); got != text {
			t.Errorf("%q is written as %q", text, got)
		}
	}
}

// formatList is the list as ParseList reads it.
func formatList(items []inject.Item) string {
	elements := make([]string, len(items))
	for i, item := range items {
		elements[i] = item.String()
	}
	return strings.Join(elements, ", ")
}

func manyProviders(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("provider-%d", i)
	}
	return strings.Join(names, ",")
}

// assertRefusal checks the whole message and each class of an error.
func assertRefusal(t *testing.T, err error, wantMessage string, wantErrors ...error) {
	t.Helper()
	if err == nil {
		t.Fatalf("accepted, want: %s", wantMessage)
	}
	if diff := cmp.Diff(wantMessage, err.Error()); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	for _, want := range wantErrors {
		if !errors.Is(err, want) {
			t.Errorf("error %v is not %v", err, want)
		}
	}
}
