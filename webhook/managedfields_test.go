package webhook

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKeepManagers(t *testing.T) {
	const (
		alice   = `{"manager":"kubectl","operation":"Apply","fieldsV1":{"f:spec":{"f:type":{}}},"time":"2026-01-01T00:00:00Z"}`
		later   = `{"manager":"kubectl","operation":"Apply","fieldsV1":{"f:spec":{"f:type":{}}},"time":"2026-01-01T00:01:00Z"}`
		more    = `{"manager":"kubectl","operation":"Apply","fieldsV1":{"f:spec":{"f:tags":{},"f:type":{}}},"time":"2026-01-01T00:01:00Z"}`
		update  = `{"manager":"kubectl","operation":"Update","fieldsV1":{"f:spec":{"f:type":{}}},"time":"2026-01-01T00:01:00Z"}`
		someone = `{"manager":"operator","operation":"Apply","fieldsV1":{"f:status":{}},"subresource":"status","time":"2026-01-01T00:00:30Z"}`
	)
	object := func(entries, spec string) string {
		return `{"metadata":{"managedFields":[` + entries + `],"name":"openai"},"spec":{` + spec + `}}`
	}
	stored := object(alice+","+someone, "")
	tests := map[string]struct{ object, stored, want string }{
		"nothing new":          {object: stored, stored: stored, want: stored},
		"a time":               {object: object(later+","+someone, ""), stored: stored, want: stored},
		"a time and the order": {object: object(someone+","+later, ""), stored: stored, want: stored},
		"a field":              {object: object(someone+","+more, ""), stored: stored, want: object(someone+","+more, "")},
		"another operation":    {object: object(someone+","+update, ""), stored: stored, want: object(someone+","+update, "")},
		"one more manager":     {object: object(alice+","+someone+","+update, ""), stored: stored, want: object(alice+","+someone+","+update, "")},
		"one less":             {object: object(later, ""), stored: stored, want: object(later, "")},
		"the object too":       {object: object(someone+","+later, `"type":"custom"`), stored: stored, want: object(someone+","+later, `"type":"custom"`)},
		"created":              {object: stored, stored: `null`, want: stored},
		"other odd entries":    {object: object("5", ""), stored: object("6", ""), want: object("5", "")},
		"odd entries":          {object: object("5,null", ""), stored: object("null,5", ""), want: object("null,5", "")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			object, stored, want := decodeObject(t, tt.object), decodeObject(t, tt.stored), decodeObject(t, tt.want)
			keepManagers(object, stored)
			if diff := cmp.Diff(want, object); diff != "" {
				t.Errorf("object (-want +got):\n%s", diff)
			}
		})
	}
}

func decodeObject(t *testing.T, text string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(err)
	}
	return object
}
