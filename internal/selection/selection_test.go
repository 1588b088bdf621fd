package selection_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/catalogue"
	"usersecrets.dev/operator/internal/inject"
	"usersecrets.dev/operator/internal/selection"
)

// outcome is a Choice in a form that compares.
type outcome struct {
	Key, UserSecret, Error string
}

func TestChoose(t *testing.T) {
	const (
		missing      = `no such UserSecret yet: provider "openai", type api_key; the namespace's owner makes one with 'kubectl usersecret create'`
		inactive     = `UserSecret is inactive: "a"; its owner sets spec.active to true again`
		expired      = `UserSecret has expired: "a" at 2026-03-01T11:00:00Z; its owner stores a new value with a later expiresAt`
		noProvider   = `unknown provider "opneai": 'kubectl get secretproviders' lists the catalogue, and 'custom' takes anything`
		noType       = `unknown type "api_key" for provider "slack": it has oauth_token, webhook_secret`
		notYet       = `no such UserSecret yet: "db"; the namespace's owner makes it with 'kubectl usersecret create db'`
		askByName    = "several UserSecrets match: ask for one by name, as in "
		customSecret = "CUSTOM_SECRET"
	)
	custom := func(name string) userSecret { return makeSecret(name).of("custom", v1alpha1.TypeCustom) }
	byProvider, byName := inject.Item{Provider: "openai"}, inject.Item{Name: "a"}
	tests := map[string]struct {
		secrets []userSecret
		item    inject.Item
		want    outcome
		wantErr error
	}{
		"the only one":           {secrets: []userSecret{makeSecret("a")}, item: byProvider, want: outcome{Key: "OPENAI_API_KEY", UserSecret: "a"}},
		"a key of the pod's":     {secrets: []userSecret{makeSecret("a")}, item: inject.Item{Provider: "openai", Key: "KEY"}, want: outcome{Key: "KEY", UserSecret: "a"}},
		"active, in words":       {secrets: []userSecret{makeSecret("a").active(true)}, item: byProvider, want: outcome{Key: "OPENAI_API_KEY", UserSecret: "a"}},
		"a type":                 {secrets: []userSecret{makeSecret("a").of("slack", v1alpha1.TypeOAuthToken), makeSecret("b").of("slack", v1alpha1.TypeWebhookSecret)}, item: inject.Item{Provider: "slack", Type: "webhook_secret"}, want: outcome{Key: "SLACK_SIGNING_SECRET", UserSecret: "b"}},
		"no type means first":    {secrets: []userSecret{makeSecret("b").of("slack", v1alpha1.TypeWebhookSecret), makeSecret("a").of("slack", v1alpha1.TypeOAuthToken)}, item: inject.Item{Provider: "slack"}, want: outcome{Key: "SLACK_BOT_TOKEN", UserSecret: "a"}},
		"missing":                {item: byProvider, want: outcome{Key: "OPENAI_API_KEY", Error: missing}, wantErr: selection.ErrMissing},
		"another provider's":     {secrets: []userSecret{makeSecret("a").of("slack", v1alpha1.TypeAPIKey)}, item: byProvider, want: outcome{Key: "OPENAI_API_KEY", Error: missing}, wantErr: selection.ErrMissing},
		"another type's":         {secrets: []userSecret{makeSecret("a").of("openai", v1alpha1.TypeCustom)}, item: byProvider, want: outcome{Key: "OPENAI_API_KEY", Error: missing}, wantErr: selection.ErrMissing},
		"deleted":                {secrets: []userSecret{makeSecret("a").deleted()}, item: byProvider, want: outcome{Key: "OPENAI_API_KEY", Error: missing}, wantErr: selection.ErrMissing},
		"missing, with a key":    {item: inject.Item{Provider: "openai", Key: "KEY"}, want: outcome{Key: "KEY", Error: missing}, wantErr: selection.ErrMissing},
		"unknown provider":       {secrets: []userSecret{makeSecret("a")}, item: inject.Item{Provider: "opneai"}, want: outcome{Error: noProvider}, wantErr: catalogue.ErrUnknownProvider},
		"unknown type":           {item: inject.Item{Provider: "slack", Type: "api_key"}, want: outcome{Error: noType}, wantErr: catalogue.ErrUnknownType},
		"catalogue out of reach": {item: inject.Item{Provider: "down"}, want: outcome{Error: "the API server is down"}, wantErr: errDown},

		"inactive":             {secrets: []userSecret{makeSecret("a").active(false)}, item: byProvider, want: outcome{Key: "OPENAI_API_KEY", UserSecret: "a", Error: inactive}, wantErr: selection.ErrInactive},
		"expired":              {secrets: []userSecret{makeSecret("a").expires(-time.Hour)}, item: byProvider, want: outcome{Key: "OPENAI_API_KEY", UserSecret: "a", Error: expired}, wantErr: selection.ErrExpired},
		"inactive and expired": {secrets: []userSecret{makeSecret("a").active(false).expires(-time.Hour)}, item: byProvider, want: outcome{Key: "OPENAI_API_KEY", UserSecret: "a", Error: inactive}, wantErr: selection.ErrInactive},
		"expires later":        {secrets: []userSecret{makeSecret("a").expires(time.Nanosecond)}, item: byProvider, want: outcome{Key: "OPENAI_API_KEY", UserSecret: "a"}},
		"the oldest tells why": {secrets: []userSecret{makeSecret("b").expires(-time.Minute).aged(time.Minute), makeSecret("a").active(false).aged(time.Hour)}, item: byProvider, want: outcome{Key: "OPENAI_API_KEY", UserSecret: "a", Error: inactive}, wantErr: selection.ErrInactive},

		"the oldest wins":              {secrets: []userSecret{makeSecret("b").aged(time.Minute), makeSecret("c").aged(time.Hour), makeSecret("a").aged(time.Second)}, item: byProvider, want: outcome{Key: "OPENAI_API_KEY", UserSecret: "c"}},
		"the same age, first by name":  {secrets: []userSecret{makeSecret("b"), makeSecret("a")}, item: byProvider, want: outcome{Key: "OPENAI_API_KEY", UserSecret: "a"}},
		"the oldest is inactive":       {secrets: []userSecret{makeSecret("a").active(false).aged(2 * time.Hour), makeSecret("b")}, item: byProvider, want: outcome{Key: "OPENAI_API_KEY", UserSecret: "b"}},
		"the oldest has expired":       {secrets: []userSecret{makeSecret("a").expires(0).aged(2 * time.Hour), makeSecret("b")}, item: byProvider, want: outcome{Key: "OPENAI_API_KEY", UserSecret: "b"}},
		"the oldest is deleted":        {secrets: []userSecret{makeSecret("a").deleted().aged(2 * time.Hour), makeSecret("b")}, item: byProvider, want: outcome{Key: "OPENAI_API_KEY", UserSecret: "b"}},
		"one of a type that has many":  {secrets: []userSecret{custom("a")}, item: inject.Item{Provider: "custom"}, want: outcome{Key: customSecret, UserSecret: "a"}},
		"ambiguous":                    {secrets: []userSecret{custom("b"), custom("a")}, item: inject.Item{Provider: "custom"}, want: outcome{Key: customSecret, Error: askByName + "name:a or name:b"}, wantErr: selection.ErrAmbiguous},
		"ambiguous, five":              {secrets: []userSecret{custom("a"), custom("b"), custom("c"), custom("d"), custom("e").aged(48 * time.Hour)}, item: inject.Item{Provider: "custom"}, want: outcome{Key: customSecret, Error: askByName + "name:a or name:b or name:c"}, wantErr: selection.ErrAmbiguous},
		"many, and one that is usable": {secrets: []userSecret{custom("a").active(false), custom("b"), custom("c").expires(0)}, item: inject.Item{Provider: "custom"}, want: outcome{Key: customSecret, UserSecret: "b"}},

		"by name":                                {secrets: []userSecret{makeSecret("b").aged(2 * time.Hour), makeSecret("a")}, item: byName, want: outcome{Key: "OPENAI_API_KEY", UserSecret: "a"}},
		"by name, with a key":                    {secrets: []userSecret{makeSecret("a")}, item: inject.Item{Name: "a", Key: "KEY"}, want: outcome{Key: "KEY", UserSecret: "a"}},
		"by name, of a second type":              {secrets: []userSecret{makeSecret("a").of("slack", v1alpha1.TypeWebhookSecret)}, item: byName, want: outcome{Key: "SLACK_SIGNING_SECRET", UserSecret: "a"}},
		"by name, missing":                       {secrets: []userSecret{makeSecret("a")}, item: inject.Item{Name: "db"}, want: outcome{Error: notYet}, wantErr: selection.ErrMissing},
		"by name, missing, with key":             {item: inject.Item{Name: "db", Key: "URL"}, want: outcome{Key: "URL", Error: notYet}, wantErr: selection.ErrMissing},
		"by name, deleted":                       {secrets: []userSecret{makeSecret("db").deleted()}, item: inject.Item{Name: "db"}, want: outcome{Error: notYet}, wantErr: selection.ErrMissing},
		"by name, inactive":                      {secrets: []userSecret{makeSecret("a").active(false)}, item: byName, want: outcome{Key: "OPENAI_API_KEY", UserSecret: "a", Error: inactive}, wantErr: selection.ErrInactive},
		"by name, expired":                       {secrets: []userSecret{makeSecret("a").expires(-time.Hour)}, item: byName, want: outcome{Key: "OPENAI_API_KEY", UserSecret: "a", Error: expired}, wantErr: selection.ErrExpired},
		"by name, provider is gone":              {secrets: []userSecret{makeSecret("a").of("opneai", v1alpha1.TypeAPIKey)}, item: byName, want: outcome{UserSecret: "a", Error: noProvider}, wantErr: catalogue.ErrUnknownProvider},
		"by name, type is gone":                  {secrets: []userSecret{makeSecret("a").of("slack", v1alpha1.TypeAPIKey)}, item: byName, want: outcome{UserSecret: "a", Error: noType}, wantErr: catalogue.ErrUnknownType},
		"by name, provider is gone, with a key":  {secrets: []userSecret{makeSecret("a").of("opneai", v1alpha1.TypeAPIKey)}, item: inject.Item{Name: "a", Key: "KEY"}, want: outcome{Key: "KEY", UserSecret: "a"}},
		"by name, inactive and provider is gone": {secrets: []userSecret{makeSecret("a").of("opneai", v1alpha1.TypeAPIKey).active(false)}, item: byName, want: outcome{UserSecret: "a", Error: inactive}, wantErr: selection.ErrInactive},
		"by name, one of many":                   {secrets: []userSecret{custom("a"), custom("b")}, item: inject.Item{Name: "b"}, want: outcome{Key: customSecret, UserSecret: "b"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			world := selection.World{UserSecrets: objects(tt.secrets...), Provider: providers, Now: noon}
			choices := selection.Choose(world, []inject.Item{tt.item})
			if len(choices) != 1 || choices[0].Item != tt.item {
				t.Fatalf("choices are %v", choices)
			}
			if diff := cmp.Diff(tt.want, outcomeOf(choices[0])); diff != "" || !errors.Is(choices[0].Err, tt.wantErr) {
				t.Errorf("error %v, want %v; choice (-want +got):\n%s", choices[0].Err, tt.wantErr, diff)
			}
		})
	}
}

func outcomeOf(c selection.Choice) outcome {
	o := outcome{Key: c.Key}
	if c.UserSecret != nil {
		o.UserSecret = c.UserSecret.Name
	}
	if c.Err != nil {
		o.Error = c.Err.Error()
	}
	return o
}

func TestChooseAnswersInOrder(t *testing.T) {
	world := selection.World{UserSecrets: objects(makeSecret("a")), Provider: providers, Now: noon}
	choices := selection.Choose(world, []inject.Item{{Name: "db"}, {Provider: "openai"}, {Name: "a", Key: "K"}})
	want := []outcome{
		{Error: `no such UserSecret yet: "db"; the namespace's owner makes it with 'kubectl usersecret create db'`},
		{Key: "OPENAI_API_KEY", UserSecret: "a"},
		{Key: "K", UserSecret: "a"},
	}
	var got []outcome
	for _, c := range choices {
		got = append(got, outcomeOf(c))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("choices (-want +got):\n%s", diff)
	}
	if choices := selection.Choose(world, nil); len(choices) != 0 {
		t.Errorf("nothing asked for, answered %v", choices)
	}
}

// What is listed may be the cache's own: nothing of it may change, nor move.
func TestChooseChangesNothing(t *testing.T) {
	secrets := objects(makeSecret("b"), makeSecret("a").expires(0), makeSecret("c").aged(time.Minute))
	var before []*v1alpha1.UserSecret
	for _, us := range secrets {
		before = append(before, us.DeepCopy())
	}
	selection.Choose(selection.World{UserSecrets: secrets, Provider: providers, Now: noon}, []inject.Item{{Provider: "openai"}, {Name: "a"}})
	if diff := cmp.Diff(before, secrets); diff != "" {
		t.Errorf("UserSecrets changed (-before +after):\n%s", diff)
	}
}

// Where several match, time alone may leave one.
func TestChooseUntil(t *testing.T) {
	custom := func(name string) userSecret { return makeSecret(name).of("custom", v1alpha1.TypeCustom) }
	tests := map[string]struct {
		secrets []userSecret
		want    time.Time
	}{
		"none expires":      {secrets: []userSecret{custom("a"), custom("b")}},
		"the first of two":  {secrets: []userSecret{custom("a").expires(2 * time.Hour), custom("b").expires(time.Hour)}, want: noon.Add(time.Hour)},
		"one expired":       {secrets: []userSecret{custom("a").expires(-time.Hour), custom("b"), custom("c").expires(time.Hour)}, want: noon.Add(time.Hour)},
		"an inactive one":   {secrets: []userSecret{custom("a").expires(time.Hour).active(false), custom("b"), custom("c")}},
		"not several":       {secrets: []userSecret{custom("a").expires(time.Hour)}},
		"nothing ambiguous": {secrets: []userSecret{custom("a").expires(time.Hour), custom("b").expires(0)}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			world := selection.World{UserSecrets: objects(tt.secrets...), Provider: providers, Now: noon}
			if got := selection.Choose(world, []inject.Item{{Provider: "custom"}})[0].Until; !got.Equal(tt.want) {
				t.Errorf("until %v, want %v", got, tt.want)
			}
		})
	}
}
