package webhook

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// asKubectl encodes a manifest as kubectl does for its annotation.
func asKubectl(t *testing.T, manifest string) string {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON([]byte(manifest)); err != nil {
		t.Fatal(err)
	}
	text, err := runtime.Encode(unstructured.UnstructuredJSONScheme, object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// With nothing to hide, not a byte changes.
func TestRebuildLastAppliedKeepsKubectlsBytes(t *testing.T) {
	const start = `{"kind":"UserSecret","apiVersion":"usersecrets.dev/v1alpha1",`
	manifests := map[string]string{
		"least":          start + `"metadata":{"name":"openai"},"spec":{"type":"api_key","provider":"openai"}}`,
		"whole":          start + `"metadata":{"name":"openai","namespace":"alice-flows","annotations":{},"labels":{"a":"b"},"finalizers":["x/y"]},"spec":{"type":"api_key","provider":"openai","displayName":"d","description":"e","tags":["b","a"],"active":false,"expiresAt":"2027-01-01T00:00:00Z","encryptedValue":"us1.v1-00000000.AAAA","verification":{"mode":"Disabled"}}}`,
		"beyond ASCII":   start + `"metadata":{"name":"openai"},"spec":{"description":"Schlüssel für 秘密 🔑, \u2028 und \ufffd"}}`,
		"HTML":           start + `"metadata":{"name":"openai"},"spec":{"description":"<a href=\"x\">&amp;</a>"}}`,
		"escapes":        start + `"metadata":{"name":"openai"},"spec":{"description":"\u0000\u001f\t\n\r\\\"/\u007f"}}`,
		"large integers": start + `"metadata":{"name":"openai","generation":9007199254740993},"status":{"usage":{"count":9223372036854775807},"observedGeneration":-9007199254740993}}`,
		"fractions":      start + `"metadata":{"name":"openai","generation":1.5},"status":{"observedGeneration":1e30}}`,
		"get -o yaml":    start + `"metadata":{"name":"openai","creationTimestamp":null,"uid":"u","resourceVersion":"5"},"spec":{},"status":{"conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z","reason":"Ready","message":""}],"recentAccesses":[{"type":"use","podUID":"u"}],"usage":{"lastUsedBy":{"pod":"p"}}}}`,
		"owners":         start + `"metadata":{"name":"openai","ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"c","uid":"u","controller":true,"blockOwnerDeletion":false}]}}`,
		"keys of labels": start + `"metadata":{"name":"openai","labels":{"value":"1","spec":"2"},"annotations":{"value":"3","spec.value":"4"}},"spec":{"tags":["value"]}}`,
	}
	for name, manifest := range manifests {
		t.Run(name, func(t *testing.T) {
			text := asKubectl(t, manifest)
			got, ok := rebuildLastApplied(text)
			if diff := cmp.Diff(text, got); !ok || diff != "" {
				t.Errorf("kept %t, annotation (-want +got):\n%s", ok, diff)
			}
		})
	}
}

func TestRebuildLastAppliedRemoves(t *testing.T) {
	tests := map[string]struct {
		text, want string
		drop       bool
	}{
		"the value":                  {text: `{"spec":{"type":"api_key","value":"` + canary + `"}}`, want: `{"spec":{"type":"api_key"}}`},
		"the value alone":            {text: `{"spec":{"value":"` + canary + `"}}`, want: `{"spec":{}}`},
		"a value that is no text":    {text: `{"spec":{"value":{"a":["` + canary + `"]}}}`, want: `{"spec":{}}`},
		"an escaped key":             {text: `{"\u0073pec":{"\u0076alue":"` + canary + `"}}`, want: `{"spec":{}}`},
		"the key twice":              {text: `{"spec":{"value":"a","value":"` + canary + `"},"spec":{"value":"` + canary + `"}}`, want: `{"spec":{}}`},
		"white space":                {text: " { \"spec\" : {\n\"value\" : \"" + canary + "\" } } \n", want: `{"spec":{}}`},
		"a misspelt field":           {text: `{"spec":{"type":"api_key","valeu":"` + canary + `"}}`, want: `{"spec":{"type":"api_key"}}`},
		"other cases":                {text: `{"spec":{"Value":"` + canary + `","VALUE":"` + canary + `"},"Spec":{"value":"` + canary + `"}}`, want: `{"spec":{}}`},
		"at the top":                 {text: `{"value":"` + canary + `","data":{"key":"` + canary + `"},"spec":{}}`, want: `{"spec":{}}`},
		"in metadata":                {text: `{"metadata":{"name":"openai","value":"` + canary + `"}}`, want: `{"metadata":{"name":"openai"}}`},
		"below a known field":        {text: `{"spec":{"verification":{"mode":"Disabled","value":"` + canary + `"}}}`, want: `{"spec":{"verification":{"mode":"Disabled"}}}`},
		"below an element of a list": {text: `{"status":{"conditions":[{"type":"Ready","value":"` + canary + `"}]},"metadata":{"ownerReferences":[{"uid":"u","value":"` + canary + `"}]}}`, want: `{"metadata":{"ownerReferences":[{"uid":"u"}]},"status":{"conditions":[{"type":"Ready"}]}}`},
		"below a pointer":            {text: `{"status":{"usage":{"count":1,"lastUsedBy":{"pod":"p","value":"` + canary + `"}}}}`, want: `{"status":{"usage":{"count":1,"lastUsedBy":{"pod":"p"}}}}`},
		"no JSON":                    {text: canary, drop: true},
		"cut off":                    {text: `{"spec":{"value":"` + canary, drop: true},
		"something after":            {text: `{"spec":{}}` + canary, drop: true},
		"two objects":                {text: `{"spec":{}} {"spec":{"value":"` + canary + `"}}`, drop: true},
		"an array":                   {text: `[{"spec":{"value":"` + canary + `"}}]`, drop: true},
		"a text":                     {text: `"` + canary + `"`, drop: true},
		"null":                       {text: `null`, drop: true},
		"nothing":                    {text: ``, drop: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			annotations := map[string]any{"a": "b", corev1.LastAppliedConfigAnnotation: tt.text}
			dropLastApplied(annotations)
			want := map[string]any{"a": "b"}
			if !tt.drop {
				want[corev1.LastAppliedConfigAnnotation] = tt.want + "\n"
			}
			if diff := cmp.Diff(want, annotations); diff != "" {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDropLastAppliedWithoutOne(t *testing.T) {
	for _, annotations := range []map[string]any{{}, {"a": "b"}, {corev1.LastAppliedConfigAnnotation: 5.0}} {
		before := encode(t, annotations)
		if dropLastApplied(annotations); !bytes.Equal(before, encode(t, annotations)) {
			t.Errorf("%s became %v", before, annotations)
		}
	}
}

func TestDropManagedValue(t *testing.T) {
	tests := map[string]struct{ metadata, want string }{
		"of several":      {metadata: `{"managedFields":[{"fieldsV1":{"f:spec":{"f:type":{},"f:value":{}}}}]}`, want: `{"managedFields":[{"fieldsV1":{"f:spec":{"f:type":{}}}}]}`},
		"alone":           {metadata: `{"managedFields":[{"fieldsV1":{"f:metadata":{},"f:spec":{"f:value":{}}}}]}`, want: `{"managedFields":[{"fieldsV1":{"f:metadata":{}}}]}`},
		"every manager's": {metadata: `{"managedFields":[{"manager":"a","fieldsV1":{"f:spec":{"f:value":{}}}},{"manager":"b","fieldsV1":{"f:spec":{"f:value":{},".":{}}}},{"manager":"c","fieldsV1":{"f:spec":{}}}]}`, want: `{"managedFields":[{"fieldsV1":{"f:spec":{".":{}}},"manager":"b"},{"fieldsV1":{"f:spec":{}},"manager":"c"}]}`},
		"elsewhere":       {metadata: `{"managedFields":[{"fieldsV1":{"f:metadata":{"f:value":{}},"f:spec":{"f:tags":{"f:value":{}}}}}]}`, want: `{"managedFields":[{"fieldsV1":{"f:metadata":{"f:value":{}},"f:spec":{"f:tags":{"f:value":{}}}}}]}`},
		"odd shapes":      {metadata: `{"managedFields":[null,5,{},{"fieldsV1":null},{"fieldsV1":{"f:spec":[]}}]}`, want: `{"managedFields":[null,5,{},{"fieldsV1":null},{"fieldsV1":{"f:spec":[]}}]}`},
		"no list":         {metadata: `{"managedFields":"x"}`, want: `{"managedFields":"x"}`},
		"none":            {metadata: `{}`, want: `{}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var metadata map[string]any
			if err := json.Unmarshal([]byte(tt.metadata), &metadata); err != nil {
				t.Fatal(err)
			}
			dropManagedValue(metadata)
			if diff := cmp.Diff(tt.want, string(encode(t, metadata))); diff != "" {
				t.Errorf("metadata (-want +got):\n%s", diff)
			}
		})
	}
}
