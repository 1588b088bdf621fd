package webhook

import (
	"errors"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// One active UserSecret per provider and type, where the catalogue says so.
func TestRival(t *testing.T) {
	const message = `UserSecret "first" is active for provider "openai" and type api_key already: set its spec.active to false first, or change its value instead`
	openai, first := makeSecret("openai"), makeSecret("first").sealed("us1.v1-00000000.AAAA")
	list := func(secrets ...userSecret) []client.Object {
		var objects []client.Object
		for _, s := range secrets {
			objects = append(objects, s.UserSecret)
		}
		return objects
	}
	// what is written before and after, in terms of a sealed UserSecret.
	same := func(s userSecret) userSecret { return s }
	off := func(s userSecret) userSecret { return s.active(false) }
	expired := func(s userSecret) userSecret { return s.expires(-time.Hour) }
	later := func(s userSecret) userSecret { return s.expires(time.Hour) }
	custom := func(s userSecret) userSecret { return s.of("custom", v1alpha1.TypeCustom) }
	elsewhere := first.with(func(us *v1alpha1.UserSecret) { us.Namespace = "bob-flows" })
	tests := map[string]struct {
		others        []client.Object
		before, after func(userSecret) userSecret
		refused       bool
	}{
		"a second one":                      {others: list(first), after: same, refused: true},
		"switched on beside another":        {others: list(first), before: off, after: same, refused: true},
		"given a later expiry":              {others: list(first), before: expired, after: later, refused: true},
		"given no expiry":                   {others: list(first), before: expired, after: same, refused: true},
		"the first":                         {after: same},
		"a second one that is switched off": {others: list(first), after: off},
		"a second one, the first is off":    {others: list(first.active(false)), after: same},
		"a second one, the first expired":   {others: list(first.expires(-time.Hour)), after: same},
		"a second one of many":              {others: list(custom(first)), after: custom},
		"another provider":                  {others: list(first.of("strict", v1alpha1.TypeAPIKey)), after: same},
		"another namespace":                 {others: list(elsewhere), after: same},
		"itself":                            {others: list(openai), before: off, after: same},
		"switched off beside another":       {others: list(first), before: same, after: off},
		"described beside another": {others: list(first), before: same, after: func(s userSecret) userSecret {
			return s.with(func(us *v1alpha1.UserSecret) { us.Spec.Description = "d" })
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := makeCluster(t, tt.others...)
			sealed := openai.sealed(c.seal("openai", canary))
			w := writing{object: tt.after(sealed)}
			if tt.before != nil {
				w.old = tt.before(sealed)
			}
			req := w.request(t)
			if tt.refused {
				c.checkRefused(req, c.validate(req), "alice", message)
				return
			}
			c.checkAllowed(req, c.validate(req))
			c.checkRecorded(allowedOf(t, req, "alice"))
		})
	}
}

func TestValidateFailures(t *testing.T) {
	down := errors.New("the API server is down")
	failing := func(verb string, of func(any) bool) func(string, any) error {
		return func(v string, object any) error {
			if v == verb && of(object) {
				return down
			}
			return nil
		}
	}
	isProvider := func(object any) bool { _, ok := object.(*v1alpha1.SecretProvider); return ok }
	isList := func(object any) bool { _, ok := object.(*v1alpha1.UserSecretList); return ok }
	anything := func(any) bool { return true }
	tests := map[string]struct {
		user  string
		fail  func(string, any) error
		owner string
		want  string
	}{
		"namespace":    {user: "alice", fail: failing("get", anything), want: `reading namespace "alice-flows": the API server is down`},
		"review":       {user: "bob", fail: failing("create", anything), owner: "alice", want: `asking whether "bob" may delegate: the API server is down`},
		"provider":     {user: "alice", fail: failing("get", isProvider), owner: "alice", want: `reading provider "openai": the API server is down`},
		"user secrets": {user: "alice", fail: failing("list", isList), owner: "alice", want: "listing UserSecrets: the API server is down"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := makeCluster(t)
			req := makeRequest(t, tt.user, makeSecret("openai").sealed(c.seal("openai", canary)).annotated(v1alpha1.CreatedByAnnotation, tt.user), nil)
			c.fail = tt.fail
			c.checkRefused(req, c.validate(req), tt.owner, tt.want)
		})
	}
}

// A pattern that does not compile refuses what it was to enforce, and the owner
// hears the warnings of a refusal too.
func TestEnforcedPatternThatDoesNotCompile(t *testing.T) {
	c := makeCluster(t, brokenProvider(v1alpha1.PatternEnforce))
	req := makeRequest(t, "alice", makeSecret("openai").of("broken", v1alpha1.TypeAPIKey).sealed(c.seal("openai", canary)), nil)
	c.checkRefused(req, c.validate(req), "alice",
		"compiling the pattern of type api_key: error parsing regexp: missing closing ]: `[a-z`: ask an administrator to correct the provider")
}

func TestValidateDryRun(t *testing.T) {
	c := makeCluster(t)
	dry := true
	for _, user := range []string{"alice", "bob"} {
		req := makeRequest(t, user, makeSecret("openai").sealed(c.seal("openai", canary)), nil)
		req.DryRun = &dry
		if resp := complete(t, req, c.validate(req)); resp.Allowed != (user == "alice") {
			t.Errorf("%s: allowed %t", user, resp.Allowed)
		}
	}
	c.checkRecorded()
}
