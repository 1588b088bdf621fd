package webhook

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/audit"
)

const (
	strangerMessage = "this namespace's UserSecrets may be written by its owner, and by who holds the verb 'delegate' on usersecrets in it: ask an administrator"
	operatorMessage = "the operator changes nothing but spec.encryptedValue"
	creatorMessage  = "annotation usersecrets.dev/created-by is stamped when the UserSecret is created, and stays: leave it out"
	requestMessage  = "annotation usersecrets.dev/verify-requested-at is no time: give the present one, such as 2030-01-31T12:00:00Z (RFC 3339), or use 'kubectl usersecret test'"
	aheadMessage    = "annotation usersecrets.dev/verify-requested-at lies more than 5 minutes ahead: give the present time, and set the clock of the machine that wrote it"
	pastMessage     = "spec.expiresAt lies in the past: give a time to come, or leave it out"
	notOpened       = "spec.encryptedValue: the sealed value does not open here: it was sealed for another owner, namespace, name or key, or it was altered; seal the value again for this owner, namespace and name"
	patternMessage  = `value does not match the pattern sk-[A-Za-z0-9]{16,}: check that the whole value was pasted`
	repeats         = " repeats the value in the clear, where everybody who may look at the object would read it: remove it there"
)

func (c *cluster) validate(req admission.Request) admission.Response {
	return (&validator{vault: c.vault}).Handle(context.Background(), req)
}

// writing is one write, as a test gives it.
type writing struct {
	user        string // alice, where empty
	object, old userSecret
	namespace   string
	others      []client.Object
}

func (w writing) request(t *testing.T) admission.Request {
	t.Helper()
	user, old := w.user, any(nil)
	if user == "" {
		user = "alice"
	}
	if w.old.UserSecret != nil {
		old = w.old
	}
	req := makeRequest(t, user, w.object, old)
	if w.namespace != "" {
		req.Namespace = w.namespace
	}
	return req
}

// on builds the writes of a table for a cluster, whose keys seal their values.
type on func(c *cluster) writing

func TestValidateAllows(t *testing.T) {
	openai := makeSecret("openai")
	fresh := func(c *cluster) userSecret { return openai.sealed(c.seal("openai", canary)) }
	const broken = `compiling the pattern of type api_key: error parsing regexp: missing closing ]: ` + "`[a-z`" + `: ask an administrator to correct the provider`
	tests := map[string]struct {
		write    on
		warnings []string
	}{
		"create by the owner": {write: func(c *cluster) writing { return writing{object: fresh(c)} }},
		"create by a delegate": {write: func(c *cluster) writing {
			return writing{user: gitops, object: fresh(c).annotated(v1alpha1.CreatedByAnnotation, gitops)}
		}},
		"update by the owner": {write: func(c *cluster) writing {
			return writing{object: openai.sealed(c.seal("openai", other)), old: fresh(c)}
		}},
		"update by a delegate": {write: func(c *cluster) writing {
			return writing{user: gitops, object: openai.sealed(c.seal("openai", other)), old: fresh(c)}
		}},
		"reseal":              {write: func(c *cluster) writing { return writing{user: operator, object: fresh(c), old: fresh(c)} }},
		"expires in a moment": {write: func(c *cluster) writing { return writing{object: fresh(c).expires(time.Second)} }},
		"asking for a test": {write: func(c *cluster) writing {
			old := fresh(c)
			return writing{object: old.annotated(v1alpha1.VerifyRequestedAtAnnotation, "2026-03-01T13:00:00.5+01:00"), old: old}
		}},
		"asking for a test, by a clock that is ahead": {write: func(c *cluster) writing {
			return writing{object: fresh(c).annotated(v1alpha1.VerifyRequestedAtAnnotation, "2026-03-01T12:05:00Z")}
		}},
		"asking for no test any more": {write: func(c *cluster) writing {
			return writing{object: fresh(c), old: fresh(c).annotated(v1alpha1.VerifyRequestedAtAnnotation, "2026-03-01T12:00:00Z")}
		}},
		"a request that was never one, and stays": {write: func(c *cluster) writing {
			old := fresh(c).annotated(v1alpha1.VerifyRequestedAtAnnotation, "now")
			return writing{object: old.active(false), old: old}
		}},
		"one that never had a creator": {write: func(c *cluster) writing {
			old := fresh(c).annotated(v1alpha1.CreatedByAnnotation, "")
			return writing{object: old.active(false), old: old}
		}},

		"a pattern that warns": {write: func(c *cluster) writing { return writing{object: openai.sealed(c.seal("openai", "sk-short"))} }, warnings: []string{patternMessage}},
		"a pattern that warns, and a value that stays": {write: func(c *cluster) writing {
			old := openai.sealed(c.seal("openai", "sk-short"))
			return writing{object: old.active(false), old: old}
		}},
		"a pattern enforced since": {write: func(c *cluster) writing {
			old := openai.of("strict", v1alpha1.TypeAPIKey).sealed(c.seal("openai", "sk-short"))
			return writing{object: old.active(false), old: old}
		}},
		"a pattern that does not compile": {write: func(c *cluster) writing {
			return writing{object: fresh(c).of("broken", v1alpha1.TypeAPIKey), others: []client.Object{brokenProvider(v1alpha1.PatternWarn)}}
		}, warnings: []string{broken}},
		"reseal against an enforced pattern": {write: func(c *cluster) writing {
			strict := openai.of("strict", v1alpha1.TypeAPIKey)
			return writing{user: operator, object: strict.sealed(c.seal("openai", "sk-short")), old: strict.sealed(c.seal("openai", "sk-short"))}
		}},
		"reseal of what has expired": {write: func(c *cluster) writing {
			return writing{user: operator, object: fresh(c).expires(-time.Hour), old: fresh(c).expires(-time.Hour)}
		}},
		"reseal of what is inactive": {write: func(c *cluster) writing {
			return writing{user: operator, object: fresh(c).active(false), old: fresh(c).active(false)}
		}},
		"reseal of a duplicate": {write: func(c *cluster) writing {
			return writing{user: operator, object: fresh(c), old: fresh(c), others: []client.Object{makeSecret("first").UserSecret}}
		}},
		"a change to what has expired": {write: func(c *cluster) writing {
			old := fresh(c).expires(-time.Hour)
			return writing{object: old.active(false), old: old}
		}},
		"a later expiry for what has expired": {write: func(c *cluster) writing {
			old := fresh(c)
			return writing{object: old.expires(time.Hour), old: old.expires(-time.Hour)}
		}},

		"the provider is gone": {write: func(c *cluster) writing {
			old := fresh(c).of("opneai", v1alpha1.TypeAPIKey)
			return writing{object: old.active(false), old: old}
		}},
		"the provider is gone, a new value": {write: func(c *cluster) writing {
			gone := openai.of("opneai", v1alpha1.TypeAPIKey)
			return writing{object: gone.sealed(c.seal("openai", other)), old: gone.sealed(c.seal("openai", canary))}
		}},
		"the type is gone": {write: func(c *cluster) writing {
			old := fresh(c).of("openai", v1alpha1.TypeCustom)
			return writing{object: old.active(false), old: old}
		}},
		"reseal where the type is gone": {write: func(c *cluster) writing {
			gone := openai.of("openai", v1alpha1.TypeCustom)
			return writing{user: operator, object: gone.sealed(c.seal("openai", canary)), old: gone.sealed(c.seal("openai", canary))}
		}},
		"what no longer opens": {write: func(c *cluster) writing {
			old := openai.sealed(c.seal("slack", canary))
			return writing{object: old.active(false), old: old}
		}},
		"what never was sealed": {write: func(*cluster) writing { return writing{object: openai.active(false), old: openai} }},
		"the value repeated, by a delegate": {write: func(c *cluster) writing {
			old := fresh(c)
			return writing{user: gitops, object: old.with(func(us *v1alpha1.UserSecret) { us.Spec.Description = canary }), old: old}
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := makeCluster(t)
			w := tt.write(c)
			for _, object := range w.others {
				c.create(object)
			}
			req := w.request(t)
			c.checkAllowed(req, c.validate(req), tt.warnings...)
			c.checkRecorded(recordOf(req, "alice", audit.Allowed))
		})
	}
}

func brokenProvider(policy v1alpha1.PatternPolicy) *v1alpha1.SecretProvider {
	p := &v1alpha1.SecretProvider{Spec: v1alpha1.SecretProviderSpec{Types: []v1alpha1.ProviderType{
		{Type: v1alpha1.TypeAPIKey, Key: "BROKEN_KEY", Pattern: "sk-[a-z", PatternPolicy: policy},
	}}}
	p.Name = "broken"
	return p
}

func unknownKey(t *testing.T, req admission.Request) string {
	t.Helper()
	var us v1alpha1.UserSecret
	decodeInto(t, req.Object.Raw, &us)
	id, _, _ := strings.Cut(strings.TrimPrefix(us.Spec.EncryptedValue, "us1."), ".")
	return "unknown encryption key " + id + ": it was sealed for another vault, or the key was deleted; seal the value again with 'kubectl usersecret seal'"
}

func TestValidateMalformedRequests(t *testing.T) {
	c := makeCluster(t)
	tests := map[string]struct{ object, old, want string }{
		"the object":     {object: `{"spec":{"value":["` + canary + `"]}}`, want: "the object is no UserSecret"},
		"the old object": {object: `{}`, old: `{"spec":"` + canary + `"}`, want: "the old object is no UserSecret"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			req := makeRequest(t, "alice", struct{}{}, nil)
			req.Object.Raw = []byte(tt.object)
			if tt.old != "" {
				req.OldObject.Raw, req.Operation = []byte(tt.old), "UPDATE"
			}
			resp := complete(t, req, c.validate(req))
			if resp.Allowed || resp.Result.Code != http.StatusBadRequest || resp.Result.Message != tt.want {
				t.Errorf("allowed %t, result %v; want %s", resp.Allowed, resp.Result, tt.want)
			}
		})
	}
}
