package inject_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"

	"usersecrets.dev/operator/internal/inject"
)

func TestCheckKeys(t *testing.T) {
	openai, slack := inject.Item{Provider: "openai"}, inject.Item{Provider: "slack", Type: "api_key"}
	named := inject.Item{Name: "db", Key: "OPENAI_API_KEY"}
	tests := map[string]struct {
		keyed       []inject.Keyed
		wantError   error
		wantMessage string
	}{
		"none":           {},
		"different keys": {keyed: []inject.Keyed{{openai, "OPENAI_API_KEY"}, {slack, "SLACK_TOKEN"}}},
		"case counts":    {keyed: []inject.Keyed{{openai, "KEY"}, {slack, "key"}}},
		"catalogue keys clash": {
			keyed:       []inject.Keyed{{openai, "API_KEY"}, {slack, "API_KEY"}},
			wantError:   inject.ErrDuplicateKey,
			wantMessage: `the same key twice: openai and slack/api_key both go to API_KEY: give one of them another, as in "openai=OTHER_KEY"`,
		},
		"own key clashes with the catalogue's": {
			keyed:       []inject.Keyed{{openai, "OPENAI_API_KEY"}, {slack, "S"}, {named, "OPENAI_API_KEY"}},
			wantError:   inject.ErrDuplicateKey,
			wantMessage: `the same key twice: openai and name:db both go to OPENAI_API_KEY: give one of them another, as in "openai=OTHER_KEY"`,
		},
		"no key": {
			keyed:       []inject.Keyed{{openai, ""}},
			wantError:   inject.ErrKey,
			wantMessage: `openai: malformed key: a key is the name of an environment variable, such as "OPENAI_API_KEY": letters, digits and "_", no digit first, and never the value itself`,
		},
		"no environment name": {
			keyed:       []inject.Keyed{{openai, "A"}, {slack, "../B"}},
			wantError:   inject.ErrKey,
			wantMessage: `slack/api_key: malformed key: a key is the name of an environment variable, such as "OPENAI_API_KEY": letters, digits and "_", no digit first, and never the value itself`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := inject.CheckKeys(tt.keyed)
			if tt.wantError == nil {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			assertRefusal(t, err, tt.wantMessage, tt.wantError)
		})
	}
}

// Every key that we accept is one that the API server accepts in a Secret, and
// that it accepts as the name of an environment variable.
func FuzzKey(f *testing.F) {
	f.Fuzz(func(t *testing.T, key string) {
		if inject.CheckKey(key) != nil {
			return
		}
		if errs := validation.IsConfigMapKey(key); len(errs) > 0 {
			t.Errorf("%q is no key of a Secret: %v", key, errs)
		}
		if errs := validation.IsEnvVarName(key); len(errs) > 0 {
			t.Errorf("%q is no environment variable: %v", key, errs)
		}
	})
}
