package webhook

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/audit"
	"usersecrets.dev/operator/internal/envelope"
)

// complete is the response as it goes out.
func complete(t *testing.T, req admission.Request, resp admission.Response) admission.Response {
	t.Helper()
	if err := resp.Complete(req); err != nil {
		t.Fatal(err)
	}
	checkNoCanary(t, "the response", encode(t, resp.AdmissionResponse), resp.Patch)
	return resp
}

// checkNoCanary: nothing of the texts shows the value, plain or in base64.
func checkNoCanary(t *testing.T, what string, texts ...[]byte) {
	t.Helper()
	for _, value := range []string{canary, other} {
		for _, text := range texts {
			if strings.Contains(string(text), value) || strings.Contains(string(text), base64.StdEncoding.EncodeToString([]byte(value))[:24]) {
				t.Errorf("%s shows the value: %s", what, text)
			}
		}
	}
}

// checkRefused: a denial in exactly these words, recorded once, and nothing else.
func (c *cluster) checkRefused(req admission.Request, resp admission.Response, owner, want string) {
	c.t.Helper()
	resp = complete(c.t, req, resp)
	wantResult := &metav1.Status{Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: want}
	if diff := cmp.Diff(wantResult, resp.Result); resp.Allowed || resp.Patch != nil || diff != "" {
		c.t.Errorf("allowed %t, patch %s, result (-want +got):\n%s", resp.Allowed, resp.Patch, diff)
	}
	record := recordOf(req, owner, audit.Deny)
	record.Reason = want
	c.checkRecorded(record)
}

// checkAllowed: allowed, with exactly these warnings.
func (c *cluster) checkAllowed(req admission.Request, resp admission.Response, warnings ...string) {
	c.t.Helper()
	resp = complete(c.t, req, resp)
	if diff := cmp.Diff(warnings, resp.Warnings); !resp.Allowed || diff != "" {
		c.t.Errorf("allowed %t, result %v, warnings (-want +got):\n%s", resp.Allowed, resp.Result, diff)
	}
}

// recordOf is what is to be recorded of a request on a UserSecret.
func recordOf(req admission.Request, owner string, decision audit.Decision) audit.Record {
	types := map[admissionv1.Operation]audit.Type{
		admissionv1.Create: audit.Create, admissionv1.Update: audit.Update, admissionv1.Delete: audit.Delete,
	}
	return audit.Record{
		ID: "request-1", Time: noon, Type: types[req.Operation], Decision: decision,
		Owner: owner, Namespace: req.Namespace, Name: req.Name, Actor: req.UserInfo.Username,
	}
}

// allowedOf is what is to be recorded of an allowed request on a UserSecret.
func allowedOf(t *testing.T, req admission.Request, owner string) audit.Record {
	t.Helper()
	record := recordOf(req, owner, audit.Allow)
	var us, old v1alpha1.UserSecret
	if req.Object.Raw != nil {
		decodeInto(t, req.Object.Raw, &us)
	}
	if req.OldObject.Raw != nil {
		decodeInto(t, req.OldObject.Raw, &old)
	}
	switch {
	case req.Operation == admissionv1.Delete:
		us = old
	case req.UserInfo.Username == operator && us.Spec.EncryptedValue != old.Spec.EncryptedValue:
		record.Type = audit.Reseal
	}
	record.UID, record.KeyID = string(us.UID), string(envelope.KeyIDOf(us.Spec.EncryptedValue))
	return record
}

// checkRecorded: these records, and no more.
func (c *cluster) checkRecorded(want ...audit.Record) {
	c.t.Helper()
	if diff := cmp.Diff(want, c.records); diff != "" {
		c.t.Errorf("records (-want +got):\n%s", diff)
	}
	checkNoCanary(c.t, "the access log", encode(c.t, c.records))
}

// patched is the request's object with the response's patch applied.
func patched(t *testing.T, req admission.Request, resp admission.Response) map[string]any {
	t.Helper()
	resp = complete(t, req, resp)
	if !resp.Allowed {
		t.Fatalf("refused: %v", resp.Result)
	}
	raw := req.Object.Raw
	if resp.Patch != nil {
		patch, err := jsonpatch.DecodePatch(resp.Patch)
		if err != nil {
			t.Fatal(err)
		}
		if raw, err = patch.Apply(raw); err != nil {
			t.Fatal(err)
		}
	}
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

// at reads a member of a decoded object; it is nil where there is none.
func at(object map[string]any, path ...string) any {
	var node any = object
	for _, key := range path {
		node, _ = node.(map[string]any)[key]
	}
	return node
}

// decoded is an object as JSON, to be changed into what the Go type cannot say.
func decoded(t *testing.T, object any, change func(map[string]any)) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(encode(t, object), &out); err != nil {
		t.Fatal(err)
	}
	change(out)
	return out
}

func decodeInto(t *testing.T, raw []byte, object any) {
	t.Helper()
	if err := json.Unmarshal(raw, object); err != nil {
		t.Fatal(err)
	}
}
