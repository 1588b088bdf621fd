package webhook

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
)

func TestSealRefuses(t *testing.T) {
	const (
		plaintext = "plaintext in spec.value is accepted from the namespace's owner alone; seal it with 'kubectl usersecret seal' and give spec.encryptedValue"
		notText   = `spec.value must be text: put it in quotes, as in value: "123"; what is no text is sealed from a file, with 'kubectl usersecret seal --from-file'`
		both      = "give one of spec.value and spec.encryptedValue, not both"
		noName    = "a UserSecret with spec.value needs metadata.name: a name from generateName does not exist yet when the value is sealed for it"
	)
	openai := makeSecret("openai")
	tests := map[string]struct {
		user    string // alice, where empty
		object  any
		old     any
		request func(*admission.Request)
		want    string
		noOwner bool // the record names no owner, since none is known yet
	}{
		"plaintext from a delegate": {user: gitops, object: openai.plain(canary), want: plaintext},
		"plaintext from a stranger": {user: "bob", object: openai.plain(canary), want: plaintext},
		"plaintext of the operator": {user: operator, object: openai.plain(canary), want: plaintext},
		"empty, from a stranger":    {user: "bob", object: openai.plain(""), want: plaintext},
		"the same, from a delegate": {user: gitops, object: openai.plain(canary), old: openai, want: plaintext},
		"namespace without owner": {
			object:  openai.plain(canary),
			request: func(req *admission.Request) { req.Namespace = "unowned" }, noOwner: true,
			want: `namespace has no owner: "unowned" carries no annotation usersecrets.dev/owner; an administrator sets it with 'kubectl usersecret onboard'`,
		},
		"a number": {
			object: decoded(t, openai, func(o map[string]any) { o["spec"].(map[string]any)["value"] = 4711 }), noOwner: true, want: notText,
		},
		"an object": {
			object: decoded(t, openai, func(o map[string]any) { o["spec"].(map[string]any)["value"] = map[string]any{canary: canary} }), noOwner: true, want: notText,
		},
		"empty":    {object: openai.plain(""), want: envelope.ErrValueEmpty.Error()},
		"too long": {object: openai.plain(strings.Repeat("a", 64<<10+1)), want: envelope.ErrValueTooLong.Error()},
		"both":     {object: openai.plain(canary).sealed("us1.v1-00000000.AAAA"), want: both},
		"both, where there was one": {
			object: openai.plain(canary).sealed("us1.v1-00000000.AAAA"), old: openai.sealed("us1.v1-00000000.BBBB"), want: both,
		},
		"generateName": {
			object:  openai.plain(canary).with(func(us *v1alpha1.UserSecret) { us.Name, us.GenerateName = "", "openai-" }),
			request: func(req *admission.Request) { req.Name = "" }, want: noName,
		},
		"repeated in an annotation":   {object: openai.plain(canary).annotated("example.com/note", "key: "+canary), want: "metadata.annotations.example.com/note" + repeats},
		"repeated in a label's key":   {object: openai.plain(canary).with(func(us *v1alpha1.UserSecret) { us.Labels = map[string]string{canary: "x"} }), want: "metadata.labels (a key)" + repeats},
		"repeated in the description": {object: openai.plain(canary).with(func(us *v1alpha1.UserSecret) { us.Spec.Description = canary }), want: "spec.description" + repeats},
		"repeated in kubectl's annotation, elsewhere": {
			object: openai.plain(canary).annotated(corev1.LastAppliedConfigAnnotation, `{"metadata":{"labels":{"a":"`+canary+`"}},"spec":{"value":"`+canary+`"}}`),
			want:   "metadata.annotations.kubectl.kubernetes.io/last-applied-configuration" + repeats,
		},
		"for a place that cannot be": {
			object: openai.plain(canary), request: func(req *admission.Request) { req.Name = strings.Repeat("n", 254) },
			want: "nothing can be sealed for this place: its name has 254 bytes, choose one of at most 253",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := makeCluster(t)
			user := tt.user
			if user == "" {
				user = "alice"
			}
			req := makeRequest(t, user, tt.object, tt.old)
			if tt.request != nil {
				tt.request(&req)
			}
			owner := "alice"
			if tt.noOwner {
				owner = ""
			}
			c.checkRefused(req, c.mutate(req), owner, tt.want)
		})
	}
}

// Whoever is not the owner hears the same, whatever the value is: anything else
// would tell them whether a guess was right.
func TestSealIsNoOracle(t *testing.T) {
	c := makeCluster(t)
	openai := makeSecret("openai")
	old := openai.sealed(c.seal("openai", canary))
	var answers []string
	for _, guess := range []string{canary, other, "", strings.Repeat("a", 64<<10+1)} {
		resp := c.mutate(makeRequest(t, gitops, old.plain(guess), old))
		answers = append(answers, resp.Result.Message)
	}
	for _, answer := range answers {
		if answer != answers[0] || answer == "" {
			t.Errorf("answers differ: %q", answers)
		}
	}
}

func TestSealMalformedRequests(t *testing.T) {
	c := makeCluster(t)
	tests := map[string]struct{ object, old, want string }{
		"the object is an array": {object: `["` + canary + `"]`, want: "the object is no JSON object"},
		"the object is cut off":  {object: `{"spec":{"value":"` + canary, want: "the object is no JSON object"},
		"the old is an array":    {object: `{}`, old: `["` + canary + `"]`, want: "the old object is no JSON object"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			req := makeRequest(t, "alice", struct{}{}, nil)
			req.Object.Raw = []byte(tt.object)
			if tt.old != "" {
				req.OldObject.Raw, req.Operation = []byte(tt.old), "UPDATE"
			}
			resp := complete(t, req, c.mutate(req))
			if resp.Allowed || resp.Result.Code != http.StatusBadRequest || resp.Result.Message != tt.want {
				t.Errorf("allowed %t, result %v; want %s", resp.Allowed, resp.Result, tt.want)
			}
		})
	}
}

// A refused request is recorded, a dry run of it is not.
func TestSealDryRun(t *testing.T) {
	c := makeCluster(t)
	dry := true
	refused := makeRequest(t, "bob", makeSecret("openai").plain(canary), nil)
	refused.DryRun = &dry
	if resp := complete(t, refused, c.mutate(refused)); resp.Allowed {
		t.Error("a dry run of what is refused is allowed")
	}
	allowed := makeRequest(t, "alice", makeSecret("openai").plain(canary), nil)
	allowed.DryRun = &dry
	c.checkOpens("openai", at(patched(t, allowed, c.mutate(allowed)), "spec", "encryptedValue").(string), canary)
	c.checkRecorded()
	dry = false
	if c.mutate(refused); len(c.records) != 1 {
		t.Errorf("%d records of the real one, want 1", len(c.records))
	}
}

func TestSealWithTheAPIServerAway(t *testing.T) {
	c := makeCluster(t)
	c.fail = func(string, any) error { return errors.New("the API server is down") }
	req := makeRequest(t, "alice", makeSecret("openai").plain(canary), nil)
	c.checkRefused(req, c.mutate(req), "", `reading namespace "alice-flows": the API server is down`)
}
