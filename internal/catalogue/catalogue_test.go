package catalogue_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/catalogue"
	"usersecrets.dev/operator/internal/secretvalue"
)

func makeProvider() *v1alpha1.SecretProvider {
	return &v1alpha1.SecretProvider{
		ObjectMeta: metav1.ObjectMeta{Name: "slack"},
		Spec: v1alpha1.SecretProviderSpec{Types: []v1alpha1.ProviderType{
			{Type: v1alpha1.TypeOAuthToken, Key: "SLACK_BOT_TOKEN"},
			{Type: v1alpha1.TypeWebhookSecret, Key: "SLACK_SIGNING_SECRET"},
		}},
	}
}

func TestType(t *testing.T) {
	tests := map[string]struct {
		provider  *v1alpha1.SecretProvider
		ask       v1alpha1.SecretType
		wantKey   string
		wantError string
	}{
		"first":            {provider: makeProvider(), ask: v1alpha1.TypeOAuthToken, wantKey: "SLACK_BOT_TOKEN"},
		"second":           {provider: makeProvider(), ask: v1alpha1.TypeWebhookSecret, wantKey: "SLACK_SIGNING_SECRET"},
		"none means first": {provider: makeProvider(), wantKey: "SLACK_BOT_TOKEN"},
		"not listed": {
			provider: makeProvider(), ask: v1alpha1.TypeAPIKey,
			wantError: `unknown type "api_key" for provider "slack": it has oauth_token, webhook_secret`,
		},
		"other case": {
			provider: makeProvider(), ask: "OAuth_Token",
			wantError: `unknown type "OAuth_Token" for provider "slack": it has oauth_token, webhook_secret`,
		},
		"no types at all": {
			provider:  &v1alpha1.SecretProvider{ObjectMeta: metav1.ObjectMeta{Name: "empty"}},
			wantError: `unknown type "" for provider "empty": it has `,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			entry, err := catalogue.Type(tt.provider, tt.ask)
			if tt.wantError != "" {
				if !errors.Is(err, catalogue.ErrUnknownType) || err.Error() != tt.wantError || entry != nil {
					t.Errorf("Type = %v, error %v,\nwant %s", entry, err, tt.wantError)
				}
				return
			}
			if err != nil || entry.Key != tt.wantKey {
				t.Errorf("Type = %v, error %v; want the entry of %s", entry, err, tt.wantKey)
			}
		})
	}
}

// The entry is the provider's own, not a copy of a loop's variable.
func TestTypePointsIntoTheProvider(t *testing.T) {
	p := makeProvider()
	if entry, err := catalogue.Type(p, v1alpha1.TypeWebhookSecret); err != nil || entry != &p.Spec.Types[1] {
		t.Errorf("Type = %p, error %v; want %p", entry, err, &p.Spec.Types[1])
	}
}

func TestTypes(t *testing.T) {
	if diff := cmp.Diff([]string{"oauth_token", "webhook_secret"}, catalogue.Types(makeProvider())); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
}

func TestUnknownProvider(t *testing.T) {
	const want = `unknown provider "opneai": 'kubectl get secretproviders' lists the catalogue, and 'custom' takes anything`
	if err := catalogue.UnknownProvider("opneai"); !errors.Is(err, catalogue.ErrUnknownProvider) || err.Error() != want {
		t.Errorf("error %v,\nwant %s", err, want)
	}
}

func TestCheckPattern(t *testing.T) {
	const key = `sk-[A-Za-z0-9_-]{16,}`
	tests := map[string]struct {
		pattern string
		value   string
		want    bool
	}{
		"no pattern":                     {value: "anything\nat all", want: true},
		"matches":                        {pattern: key, value: "sk-0123456789abcdef", want: true},
		"too short":                      {pattern: key, value: "sk-0123456789abcde"},
		"something before":               {pattern: key, value: " sk-0123456789abcdef"},
		"something after":                {pattern: key, value: "sk-0123456789abcdef!"},
		"newline after":                  {pattern: key, value: "sk-0123456789abcdef\n"},
		"line after":                     {pattern: key, value: "sk-0123456789abcdef\nsk-0123456789abcdef"},
		"line before":                    {pattern: key, value: "export KEY=\nsk-0123456789abcdef"},
		"NUL after":                      {pattern: key, value: "sk-0123456789abcdef\x00"},
		"alternatives, first":            {pattern: `a|ab`, value: "a", want: true},
		"alternatives, longer":           {pattern: `a|ab`, value: "ab", want: true},
		"alternatives, part of either":   {pattern: `aa|bb`, value: "aab"},
		"alternatives, both":             {pattern: `aa|bb`, value: "aabb"},
		"not greedy":                     {pattern: `a+?`, value: "aaaa", want: true},
		"not greedy, within":             {pattern: `a+?`, value: "aaab"},
		"leftmost is not whole":          {pattern: `b|ab+`, value: "abbb", want: true},
		"of several lines":               {pattern: `(?s)-----BEGIN.*END-----\n?`, value: "-----BEGIN\nabc\nEND-----\n", want: true},
		"dot is no newline":              {pattern: `a.*b`, value: "a\nb"},
		"anchors of its own":             {pattern: `^ab$`, value: "ab", want: true},
		"anchors of its own, newline":    {pattern: `^ab$`, value: "ab\n"},
		"anchors of lines":               {pattern: `(?m)^ab$`, value: "ab\ncd"},
		"anchors of lines, last":         {pattern: `(?m)^cd$`, value: "ab\ncd"},
		"anchors of lines, one":          {pattern: `(?m)^ab$`, value: "ab", want: true},
		"case ignored":                   {pattern: `(?i)sk-[a-z]+`, value: "SK-ABC", want: true},
		"case ignored, something after":  {pattern: `(?i)sk-[a-z]+`, value: "SK-ABC0"},
		"empty match at the start":       {pattern: `x*`, value: "abc"},
		"not UTF-8":                      {pattern: `(?s).+`, value: "\xff\xfe", want: true},
		"white space, not UTF-8 between": {pattern: `\S+`, value: "a\xffb", want: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := catalogue.CheckPattern(&v1alpha1.ProviderType{Type: v1alpha1.TypeAPIKey, Pattern: tt.pattern}, secretvalue.FromString(tt.value))
			if tt.want {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if !errors.Is(err, catalogue.ErrPattern) || err.Error() != "value does not match the pattern "+tt.pattern+": check that the whole value was pasted" {
				t.Errorf("error %v, want ErrPattern", err)
			}
		})
	}
}

func TestCheckPatternMessages(t *testing.T) {
	const canary = "canary-5f0c1e"
	tests := map[string]struct {
		entry     v1alpha1.ProviderType
		wantClass error
		wantError string
	}{
		"pattern alone": {
			entry: v1alpha1.ProviderType{Type: v1alpha1.TypeAPIKey, Pattern: `sk-\S+`}, wantClass: catalogue.ErrPattern,
			wantError: `value does not match the pattern sk-\S+: check that the whole value was pasted`,
		},
		"with an example": {
			entry: v1alpha1.ProviderType{Type: v1alpha1.TypeAPIKey, Pattern: `sk-\S+`, Example: "sk-EXAMPLE"}, wantClass: catalogue.ErrPattern,
			wantError: `value does not match the pattern sk-\S+, such as sk-EXAMPLE: check that the whole value was pasted`,
		},
		"no pattern that compiles": {
			entry:     v1alpha1.ProviderType{Type: v1alpha1.TypeAPIKey, Pattern: `sk-[a-z`},
			wantError: "compiling the pattern of type api_key: error parsing regexp: missing closing ]: `[a-z`: ask an administrator to correct the provider",
		},
		// Between "^(?:" and ")$" this would compile, and match a part.
		"brackets the wrong way round": {
			entry:     v1alpha1.ProviderType{Type: v1alpha1.TypeAPIKey, Pattern: `canary)|(?:x`},
			wantError: "compiling the pattern of type api_key: error parsing regexp: unexpected ): `canary)|(?:x`: ask an administrator to correct the provider",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := catalogue.CheckPattern(&tt.entry, secretvalue.FromString(canary))
			if err == nil || err.Error() != tt.wantError || errors.Is(err, catalogue.ErrPattern) != (tt.wantClass != nil) {
				t.Fatalf("error %v,\nwant %s", err, tt.wantError)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error repeats the value: %v", err)
			}
		})
	}
}
