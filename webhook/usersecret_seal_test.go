package webhook

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/secretvalue"
)

func (c *cluster) mutate(req admission.Request) admission.Response {
	return (&sealer{vault: c.vault}).Handle(context.Background(), req)
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

// A sealed value comes with no plaintext either: not in a field that kubectl
// copied into its annotation and the API server dropped.
func TestSealClearsKubectlsAnnotationWithoutAValue(t *testing.T) {
	c := makeCluster(t)
	object := makeSecret("openai").sealed(c.seal("openai", canary)).annotated(corev1.LastAppliedConfigAnnotation, `{"spec":{"vaule":"`+canary+`"}}`)
	for _, user := range []string{"alice", "bob", gitops} {
		req := makeRequest(t, user, object, nil)
		got := patched(t, req, c.mutate(req))
		if text := at(got, "metadata", "annotations", corev1.LastAppliedConfigAnnotation); text != `{"spec":{}}`+"\n" {
			t.Errorf("%s: the annotation is %q", user, text)
		}
	}
}

// kubectl's second server-side apply of the same manifest writes nothing, though
// the API server has given the manager a field and a new time.
func TestSealOfTheSameAppliedAgain(t *testing.T) {
	c := makeCluster(t)
	managed := func(now string, fields map[string]any) func(map[string]any) {
		return func(o map[string]any) {
			o["metadata"].(map[string]any)["managedFields"] = []any{
				map[string]any{"manager": "kubectl", "operation": "Apply", "time": now, "fieldsV1": map[string]any{"f:spec": fields}},
			}
		}
	}
	openai := makeSecret("openai").sealed(c.seal("openai", canary))
	old := decoded(t, openai, managed("2026-01-01T00:00:00Z", map[string]any{"f:type": map[string]any{}}))
	object := decoded(t, openai.plain(canary), managed("2026-01-01T00:01:00Z", map[string]any{"f:type": map[string]any{}, "f:value": map[string]any{}}))
	req := makeRequest(t, "alice", object, old)
	if diff := cmp.Diff(old, patched(t, req, c.mutate(req))); diff != "" {
		t.Errorf("object (-stored +admitted):\n%s", diff)
	}
}

// A request without a name of its own takes the object's.
func TestSealForTheObjectsName(t *testing.T) {
	c := makeCluster(t)
	req := makeRequest(t, "alice", makeSecret("openai").plain(canary), nil)
	req.Name = ""
	c.checkOpens("openai", at(patched(t, req, c.mutate(req)), "spec", "encryptedValue").(string), canary)
}

// What was sealed, or refused, does not stay in memory.
func TestSealOverwritesTheValue(t *testing.T) {
	c := makeCluster(t)
	for name, sealedName := range map[string]string{"sealed": "openai", "refused": ""} {
		req := makeRequest(t, "alice", makeSecret(sealedName).plain(canary), nil)
		req.Name = sealedName
		value := secretvalue.FromString(canary)
		text, err := (&sealer{vault: c.vault}).seal(t.Context(), req, value, plaintextRequest{owner: "alice"})
		if (err == nil) != (name == "sealed") {
			t.Errorf("%s: sealed as %q, error %v", name, text, err)
		}
		if value.Len() != 0 {
			t.Errorf("%s: the value is still there", name)
		}
	}
}
