package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
)

func (c *cluster) mutate(req admission.Request) admission.Response {
	return (&sealer{vault: c.vault}).Handle(context.Background(), req)
}

func TestSealRefuses(t *testing.T) {
	const (
		plaintext = "plaintext in spec.value is accepted from the namespace's owner alone; seal it with 'kubectl usersecret seal' and give spec.encryptedValue"
		notText   = "spec.value must be text; encode binary values in base64 yourself, or seal them with 'kubectl usersecret seal --from-file'"
		both      = "give one of spec.value and spec.encryptedValue, not both"
		noName    = "a UserSecret with spec.value needs metadata.name: a name from generateName does not exist yet when the value is sealed for it"
		repeats   = " repeats the value in the clear, where everybody who may look at the object would read it: remove it there"
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

// What is sealed: spec.value is gone, the sealed value opens, the rest stays.
func TestSeal(t *testing.T) {
	c := makeCluster(t)
	object := decoded(t, makeSecret("openai").plain(canary), func(o map[string]any) {
		o["spec"].(map[string]any)["fieldOfTheFuture"] = map[string]any{"count": json.Number("9007199254740993")}
		o["metadata"].(map[string]any)["managedFields"] = []any{map[string]any{
			"manager": "kubectl", "fieldsV1": map[string]any{"f:spec": map[string]any{"f:value": map[string]any{}, "f:type": map[string]any{}}},
		}}
	})
	metadata := object["metadata"].(map[string]any)
	metadata["annotations"] = map[string]any{
		corev1.LastAppliedConfigAnnotation: `{"spec":{"type":"api_key","vaule":"` + canary + `","value":"` + canary + `"}}` + "\n", "note": "of alice",
	}
	req := makeRequest(t, "alice", object, nil)
	got := patched(t, req, c.mutate(req))
	sealed, _ := at(got, "spec", "encryptedValue").(string)
	c.checkOpens("openai", sealed, canary)
	want := decoded(t, object, func(o map[string]any) {
		spec := o["spec"].(map[string]any)
		delete(spec, "value")
		spec["encryptedValue"] = sealed
		o["metadata"].(map[string]any)["annotations"] = map[string]any{
			corev1.LastAppliedConfigAnnotation: `{"spec":{"type":"api_key"}}` + "\n", "note": "of alice", v1alpha1.CreatedByAnnotation: "alice",
		}
		o["metadata"].(map[string]any)["managedFields"] = []any{map[string]any{
			"manager": "kubectl", "fieldsV1": map[string]any{"f:spec": map[string]any{"f:type": map[string]any{}}},
		}}
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("object (-want +got):\n%s", diff)
	}
	checkNoCanary(t, "the object", encode(t, got))
	c.checkRecorded() // the validating half records what is let in
}

// Field by field, what happens to the sealed value.
func TestSealedValueOfAnUpdate(t *testing.T) {
	c := makeCluster(t)
	openai := makeSecret("openai")
	present := c.seal("openai", canary)
	foreign := c.sealFor("alice", namespace, "slack", canary)
	tests := map[string]struct {
		object, old any
		want        string // a sealed value, or none for a new one
		wantValue   string
	}{
		"the same value keeps the ciphertext": {object: openai.plain(canary), old: openai.sealed(present), want: present, wantValue: canary},
		"the same value and ciphertext":       {object: openai.plain(canary).sealed(present), old: openai.sealed(present), want: present, wantValue: canary},
		"another value":                       {object: openai.plain(other).sealed(present), old: openai.sealed(present), wantValue: other},
		"a longer value":                      {object: openai.plain(canary + "0"), old: openai.sealed(present), wantValue: canary + "0"},
		"where nothing opens":                 {object: openai.plain(canary), old: openai.sealed(foreign), wantValue: canary},
		"where nothing was sealed":            {object: openai.plain(canary), old: openai, wantValue: canary},
		"no value":                            {object: openai.sealed(present), old: openai.sealed(present), want: present, wantValue: canary},
		"a null":                              {object: decoded(t, openai.sealed(present), func(o map[string]any) { o["spec"].(map[string]any)["value"] = nil }), old: openai.sealed(present), want: present, wantValue: canary},
		"the longest value":                   {object: openai.plain(strings.Repeat("é", 32<<10)), old: openai.sealed(present), wantValue: strings.Repeat("é", 32<<10)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			req := makeRequest(t, "alice", tt.object, tt.old)
			got := patched(t, req, c.mutate(req))
			sealed, _ := at(got, "spec", "encryptedValue").(string)
			if tt.want != "" && sealed != tt.want {
				t.Error("the ciphertext is another")
			}
			c.checkOpens("openai", sealed, tt.wantValue)
			if _, there := got["spec"].(map[string]any)["value"]; there {
				t.Error("spec.value is still there")
			}
		})
	}
}

// A value that is kept in kubectl's way comes back as it was: kubectl sees no
// change, and the API server writes none.
func TestSealOfNothingNewPatchesNothing(t *testing.T) {
	c := makeCluster(t)
	stored := makeSecret("openai").sealed(c.seal("openai", canary)).annotated(corev1.LastAppliedConfigAnnotation,
		`{"apiVersion":"usersecrets.dev/v1alpha1","kind":"UserSecret","metadata":{"annotations":{},"name":"openai","namespace":"alice-flows"},"spec":{"provider":"openai","type":"api_key"}}`+"\n")
	for _, user := range []string{"alice", "bob", gitops, operator} {
		req := makeRequest(t, user, stored, stored)
		if resp := complete(t, req, c.mutate(req)); !resp.Allowed || resp.Patch != nil {
			t.Errorf("%s: allowed %t, patch %s", user, resp.Allowed, resp.Patch)
		}
	}
}

// Objects that are not shaped like a UserSecret are for the API server to refuse.
func TestSealLeavesOddObjectsAlone(t *testing.T) {
	c := makeCluster(t)
	for _, raw := range []string{`{}`, `{"spec":null,"metadata":{}}`, `{"spec":"text","metadata":{"annotations":null}}`, `{"spec":[],"metadata":{"managedFields":"x"}}`, `null`} {
		req := makeRequest(t, "bob", struct{}{}, nil)
		req.Object.Raw = []byte(raw)
		if resp := complete(t, req, c.mutate(req)); !resp.Allowed {
			t.Errorf("%s: %v", raw, resp.Result)
		}
	}
}
