package webhook

import (
	"strings"
	"testing"
	"time"

	"usersecrets.dev/operator/api/v1alpha1"
)

func TestValidateRefuses(t *testing.T) {
	openai := makeSecret("openai")
	by := func(user string) userSecret { return openai.annotated(v1alpha1.CreatedByAnnotation, user) }
	fresh := func(c *cluster) userSecret { return openai.sealed(c.seal("openai", canary)) }
	tests := map[string]struct {
		write on
		want  string
	}{
		"create by a stranger": {write: func(c *cluster) writing {
			return writing{user: "bob", object: by("bob").sealed(c.seal("openai", canary))}
		}, want: strangerMessage},
		"update by a stranger": {write: func(c *cluster) writing {
			return writing{user: "bob", object: fresh(c), old: fresh(c)}
		}, want: strangerMessage},
		"switching off by a stranger": {write: func(c *cluster) writing {
			old := fresh(c)
			return writing{user: "bob", object: old.active(false), old: old}
		}, want: strangerMessage},
		"asking for a test by a stranger": {write: func(c *cluster) writing {
			old := fresh(c)
			return writing{user: "bob", object: old.annotated(v1alpha1.VerifyRequestedAtAnnotation, "now"), old: old}
		}, want: strangerMessage},
		"another creator by a stranger": {write: func(c *cluster) writing {
			old := fresh(c)
			return writing{user: "bob", object: old.annotated(v1alpha1.CreatedByAnnotation, "bob"), old: old}
		}, want: strangerMessage},
		"create by the operator": {write: func(c *cluster) writing {
			return writing{user: operator, object: by(operator).sealed(c.seal("openai", canary))}
		}, want: operatorMessage},
		"more than a reseal by the operator": {write: func(c *cluster) writing {
			return writing{user: operator, object: fresh(c).active(false), old: fresh(c)}
		}, want: operatorMessage},
		"another description by the operator": {write: func(c *cluster) writing {
			old := fresh(c)
			return writing{user: operator, object: old.with(func(us *v1alpha1.UserSecret) { us.Spec.Description = "d" }), old: old}
		}, want: operatorMessage},
		"asking for a test by the operator": {write: func(c *cluster) writing {
			return writing{user: operator, object: fresh(c).annotated(v1alpha1.VerifyRequestedAtAnnotation, "now"), old: fresh(c)}
		}, want: operatorMessage},
		"another creator by the operator": {write: func(c *cluster) writing {
			return writing{user: operator, object: fresh(c).annotated(v1alpha1.CreatedByAnnotation, operator), old: fresh(c)}
		}, want: creatorMessage},
		"reseal for another place": {write: func(c *cluster) writing {
			return writing{user: operator, object: openai.sealed(c.seal("slack", canary)), old: fresh(c)}
		}, want: notOpened},

		"create in another's name": {write: func(c *cluster) writing {
			return writing{object: by("bob").sealed(c.seal("openai", canary))}
		}, want: creatorMessage},
		"create without a creator":                 {write: func(c *cluster) writing { return writing{object: by("").sealed(c.seal("openai", canary))} }, want: creatorMessage},
		"create by a delegate in the owner's name": {write: func(c *cluster) writing { return writing{user: gitops, object: fresh(c)} }, want: creatorMessage},
		"another creator": {write: func(c *cluster) writing {
			return writing{object: by("bob").sealed(c.seal("openai", other)), old: fresh(c)}
		}, want: creatorMessage},
		"the creator gone": {write: func(c *cluster) writing {
			return writing{object: by("").sealed(c.seal("openai", other)), old: fresh(c)}
		}, want: creatorMessage},
		"a creator from now": {write: func(c *cluster) writing {
			return writing{object: fresh(c), old: by("").sealed(c.seal("openai", other))}
		}, want: creatorMessage},

		"a request for a test that is no time": {write: func(c *cluster) writing {
			old := fresh(c)
			return writing{object: old.annotated(v1alpha1.VerifyRequestedAtAnnotation, "now"), old: old}
		}, want: requestMessage},
		"a new one with such a request": {write: func(c *cluster) writing {
			return writing{object: fresh(c).annotated(v1alpha1.VerifyRequestedAtAnnotation, "2026-03-01")}
		}, want: requestMessage},
		"a request for a test by a delegate that is no time": {write: func(c *cluster) writing {
			old := fresh(c)
			return writing{user: gitops, object: old.annotated(v1alpha1.VerifyRequestedAtAnnotation, "yes"), old: old}
		}, want: requestMessage},
		"a request for a test in days to come": {write: func(c *cluster) writing {
			old := fresh(c)
			return writing{object: old.annotated(v1alpha1.VerifyRequestedAtAnnotation, "2026-03-01T12:05:00.000001Z"), old: old}
		}, want: aheadMessage},

		"for another owner": {write: func(c *cluster) writing {
			return writing{object: openai.sealed(c.sealFor("bob", namespace, "openai", canary))}
		}, want: notOpened},
		"for another namespace": {write: func(c *cluster) writing {
			return writing{object: openai.sealed(c.sealFor("alice", "bob-flows", "openai", canary))}
		}, want: notOpened},
		"for another name": {write: func(c *cluster) writing { return writing{object: openai.sealed(c.seal("slack", canary))} }, want: notOpened},
		"for another name, by a delegate": {write: func(c *cluster) writing {
			return writing{user: gitops, object: by(gitops).sealed(c.seal("slack", canary))}
		}, want: notOpened},
		"nothing sealed": {write: func(*cluster) writing { return writing{object: openai} },
			want: `spec.encryptedValue: this is no sealed value: it does not start with "us1."; seal the value with "kubectl usersecret seal"`},
		"plaintext where the sealed value belongs": {write: func(*cluster) writing { return writing{object: openai.sealed(canary)} },
			want: `spec.encryptedValue: this is no sealed value: it does not start with "us1."; seal the value with "kubectl usersecret seal"`},
		"of an unknown key": {write: func(c *cluster) writing {
			id, payload, _ := strings.Cut(strings.TrimPrefix(c.seal("openai", canary), "us1."), ".")
			return writing{object: openai.sealed("us1.v9-" + id[3:] + "." + payload)}
		}},

		"an expiry in the past": {write: func(c *cluster) writing { return writing{object: fresh(c).expires(-time.Second)} }, want: pastMessage},
		"an expiry now":         {write: func(c *cluster) writing { return writing{object: fresh(c).expires(0)} }, want: pastMessage},
		"an expiry moved to the past": {write: func(c *cluster) writing {
			old := fresh(c)
			return writing{object: old.expires(-time.Hour), old: old.expires(time.Hour)}
		}, want: pastMessage},
		"another expiry in the past": {write: func(c *cluster) writing {
			old := fresh(c)
			return writing{object: old.expires(-time.Hour), old: old.expires(-2 * time.Hour)}
		}, want: pastMessage},
		"a new value with the old expiry": {write: func(c *cluster) writing {
			return writing{object: openai.sealed(c.seal("openai", other)).expires(-time.Hour), old: fresh(c).expires(-time.Hour)}
		}, want: pastMessage},
		"a new value with the old expiry, by a delegate": {write: func(c *cluster) writing {
			return writing{user: gitops, object: openai.sealed(c.seal("openai", canary)).expires(-time.Hour), old: fresh(c).expires(-time.Hour)}
		}, want: pastMessage},

		"an unknown provider": {write: func(c *cluster) writing { return writing{object: fresh(c).of("opneai", v1alpha1.TypeAPIKey)} },
			want: `unknown provider "opneai": 'kubectl get secretproviders' lists the catalogue, and 'custom' takes anything`},
		"an unknown type": {write: func(c *cluster) writing { return writing{object: fresh(c).of("openai", v1alpha1.TypeCustom)} },
			want: `unknown type "custom" for provider "openai": it has api_key`},
		"against an enforced pattern": {write: func(c *cluster) writing {
			return writing{object: openai.of("strict", v1alpha1.TypeAPIKey).sealed(c.seal("openai", "sk-short"))}
		}, want: patternMessage},
		"against an enforced pattern, by a delegate": {write: func(c *cluster) writing {
			return writing{user: gitops, object: by(gitops).of("strict", v1alpha1.TypeAPIKey).sealed(c.seal("openai", "sk-short"))}
		}, want: patternMessage},
		"against an enforced pattern, later": {write: func(c *cluster) writing {
			strict := openai.of("strict", v1alpha1.TypeAPIKey)
			return writing{object: strict.sealed(c.seal("openai", canary+"\n")), old: strict.sealed(c.seal("openai", canary))}
		}, want: patternMessage},

		"the value repeated": {write: func(c *cluster) writing { return writing{object: fresh(c).annotated("note", canary)} }, want: "metadata.annotations.note" + repeats},
		"the value repeated in a spec that changes": {write: func(c *cluster) writing {
			old := fresh(c)
			return writing{object: old.with(func(us *v1alpha1.UserSecret) { us.Spec.Tags = []string{canary} }), old: old}
		}, want: "spec.tags" + repeats},

		"namespace without owner": {write: func(c *cluster) writing { return writing{object: fresh(c), namespace: "unowned"} },
			want: `namespace has no owner: "unowned" carries no annotation usersecrets.dev/owner; an administrator sets it with 'kubectl usersecret onboard'`},
		"no such namespace": {write: func(c *cluster) writing { return writing{object: fresh(c), namespace: "nowhere"} },
			want: `namespace has no owner: namespace "nowhere" does not exist`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := makeCluster(t)
			req := tt.write(c).request(t)
			if tt.want == "" { // the one message with a key id in it
				tt.want = "spec.encryptedValue: " + unknownKey(t, req)
			}
			owner := "alice"
			if req.Namespace != namespace {
				owner = ""
			}
			c.checkRefused(req, c.validate(req), owner, tt.want)
		})
	}
}

// A name that generateName makes nobody can seal for. What else is wrong with the
// value is still told as it is; an update has its name.
func TestValidateSealedForGeneratedName(t *testing.T) {
	c := makeCluster(t)
	made := makeSecret("openai-x7k2p").generated("openai-")
	long := strings.Repeat("a", 60)
	const noName = "spec.encryptedValue: a sealed value is bound to its name, which nobody knows before generateName makes it: give metadata.name instead of generateName, and seal the value for that name"
	foreign := c.seal("openai-", canary)
	tests := map[string]struct {
		object, old userSecret
		want        string
	}{
		"create":                {object: made.sealed(foreign), want: noName},
		"create, cut off":       {object: makeSecret(long[:58] + "x7k2p").generated(long).sealed(foreign), want: noName},
		"create of plaintext":   {object: made.sealed(canary), want: `spec.encryptedValue: this is no sealed value: it does not start with "us1."; seal the value with "kubectl usersecret seal"`},
		"update":                {object: made.sealed(foreign), old: made.sealed(c.seal("openai-x7k2p", canary)), want: notOpened},
		"another name given":    {object: makeSecret("slack").generated("openai-").sealed(foreign), want: notOpened},
		"another of its length": {object: makeSecret("another-x7k2p").generated("openais-").sealed(foreign), want: notOpened},
		"a longer name given":   {object: makeSecret("openai-of-the-team").generated("openai-").sealed(foreign), want: notOpened},
		"nothing generated":     {object: makeSecret("x7k2p").sealed(foreign), want: notOpened},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c.records = nil
			req := writing{object: tt.object, old: tt.old}.request(t)
			c.checkRefused(req, c.validate(req), "alice", tt.want)
		})
	}
}
