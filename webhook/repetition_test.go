package webhook

import (
	"encoding/base64"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/secretvalue"
)

const lastApplied = "metadata.annotations.kubectl.kubernetes.io/last-applied-configuration"

// stored is a UserSecret as the API server hands it over, with every field that
// it or the operator writes, and none that shows a value.
func stored() map[string]any {
	return map[string]any{
		"apiVersion": "usersecrets.dev/v1alpha1", "kind": "UserSecret",
		"metadata": map[string]any{
			"name": "database", "namespace": "alice-flows", "uid": "5f0c1e2a-0000-4000-8000-000000000000", "resourceVersion": "4711",
			"generation": 3.0, "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-02-01T00:00:00Z",
			"annotations":     map[string]any{v1alpha1.CreatedByAnnotation: "alice@example.com"},
			"labels":          map[string]any{"team": "ml"},
			"ownerReferences": []any{map[string]any{"kind": "ConfigMap", "name": "owned-by-config"}},
			"managedFields":   []any{map[string]any{"manager": "kubectl-client-side-apply"}},
		},
		"spec": map[string]any{
			"provider": "postgresql", "type": "connection_string", "encryptedValue": "us1.v1-3f9a2c1b.AAAA", "value": "of no matter",
			"expiresAt": "2027-01-01T00:00:00Z", "verification": map[string]any{"mode": "OnDemand"}, "displayName": "d", "tags": []any{"a", "b"},
		},
		"status": map[string]any{"masked": "........cdef", "owner": "alice"},
	}
}

func set(path string, value any) func(map[string]any) {
	return func(object map[string]any) {
		keys := strings.Split(path, "|")
		node := object
		for _, key := range keys[:len(keys)-1] {
			if _, ok := node[key].(map[string]any); !ok {
				node[key] = map[string]any{}
			}
			node = node[key].(map[string]any)
		}
		node[keys[len(keys)-1]] = value
	}
}

func annotate(key, text string) func(map[string]any) { return set("metadata|annotations|"+key, text) }

func TestRepetitionIsFound(t *testing.T) {
	const value = `sk-"<Canary>&/5f0c1e?~` // in JSON and base64 its forms all differ
	std, url := base64.StdEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value))
	tests := map[string]struct {
		value  string
		change func(map[string]any)
		want   string
	}{
		"in an annotation":           {value: value, change: annotate("note", value), want: "metadata.annotations.note"},
		"inside a longer text":       {value: value, change: annotate("note", "key="+value+"!"), want: "metadata.annotations.note"},
		"in a label":                 {value: "Canary-5f0c1e", change: set("metadata|labels|key", "Canary-5f0c1e"), want: "metadata.labels.key"},
		"in a label's key":           {value: "Canary-5f0c1e", change: set("metadata|labels|x/Canary-5f0c1e", "x"), want: "metadata.labels (a key)"},
		"in an annotation's key":     {value: "Canary-5f0c1e", change: annotate("Canary-5f0c1e.example.com", "x"), want: "metadata.annotations (a key)"},
		"in a finalizer":             {value: value, change: set("metadata|finalizers", []any{"a/b", "example.com/" + value}), want: "metadata.finalizers"},
		"in the name":                {value: "database-1f", change: set("metadata|name", "my-database-1f"), want: "metadata.name"},
		"in the description":         {value: value, change: set("spec|description", "It is "+value), want: "spec.description"},
		"in the display name":        {value: value, change: set("spec|displayName", value), want: "spec.displayName"},
		"in a tag":                   {value: value, change: set("spec|tags", []any{"a", value}), want: "spec.tags"},
		"in a field of the future":   {value: value, change: set("spec|notes", []any{map[string]any{"deep": []any{value}}}), want: "spec.notes.deep"},
		"in base64":                  {value: value, change: annotate("note", std), want: "metadata.annotations.note"},
		"in base64, unpadded":        {value: value, change: annotate("note", strings.TrimRight(std, "=")), want: "metadata.annotations.note"},
		"in base64url":               {value: value, change: annotate("note", url), want: "metadata.annotations.note"},
		"in base64, inside":          {value: value, change: annotate("note", `{"data":{"key":"`+std+`"}}`), want: "metadata.annotations.note"},
		"by echo and base64":         {value: value, change: annotate("note", base64.StdEncoding.EncodeToString([]byte(value+"\n"))), want: "metadata.annotations.note"},
		"in JSON, HTML escaped":      {value: value, change: annotate("note", `{"key":"sk-\"\u003cCanary\u003e\u0026/5f0c1e?~"}`), want: "metadata.annotations.note"},
		"in JSON":                    {value: value, change: annotate("note", `{"key":"sk-\"<Canary>&/5f0c1e?~"}`), want: "metadata.annotations.note"},
		"value with a newline":       {value: value + "\n", change: annotate("note", "key: "+value), want: "metadata.annotations.note"},
		"text with a newline":        {value: "Pin4711", change: annotate("note", "Pin4711\n"), want: "metadata.annotations.note"},
		"eight bytes, inside":        {value: "12345678", change: annotate("note", "0123456789"), want: "metadata.annotations.note"},
		"short, the whole text":      {value: "4711", change: annotate("note", "4711"), want: "metadata.annotations.note"},
		"short, the whole key":       {value: "4711", change: annotate("4711", "x"), want: "metadata.annotations (a key)"},
		"short, in base64":           {value: "abc12", change: annotate("note", "YWJjMTI="), want: "metadata.annotations.note"},
		"short, in base64, unpadded": {value: "abc12", change: annotate("note", "YWJjMTI"), want: "metadata.annotations.note"},
		"short, in a tag":            {value: "b", change: set("spec|tags", []any{"a", "b"}), want: "spec.tags"},
		"short, under such a key":    {value: "4711", change: annotate("example.com/pin-4711", "4711"), want: "metadata.annotations"},
		"short, as a field's name":   {value: "name", change: set("metadata|name", "name"), want: "metadata.name"},
		"in JSON of another's":       {value: "12345678", change: annotate("note", `{"kind":"12345678"}`), want: "metadata.annotations.note"},
		"short, white space":         {value: " ", change: annotate("note", " "), want: "metadata.annotations.note"},
		"not UTF-8, in base64":       {value: "\xff\xfe\x00\x01\x02\x03", change: annotate("note", "//4AAQID"), want: "metadata.annotations.note"},
		"in a request to verify":     {value: value, change: annotate(v1alpha1.VerifyRequestedAtAnnotation, value), want: "metadata.annotations." + v1alpha1.VerifyRequestedAtAnnotation},

		"kubectl's, in the description": {value: value, change: annotate(corev1.LastAppliedConfigAnnotation, `{"spec":{"description":"sk-\"<Canary>&/5f0c1e?~"}}`), want: lastApplied},
		"kubectl's, in spec.value":      {value: "4711", change: annotate(corev1.LastAppliedConfigAnnotation, `{"spec":{"value":"4711"}}`), want: lastApplied},
		"kubectl's, in the status":      {value: "12345678", change: annotate(corev1.LastAppliedConfigAnnotation, `{"status":{"masked":"12345678"}}`), want: lastApplied},
		"kubectl's, in its own kind":    {value: "12345678", change: annotate(corev1.LastAppliedConfigAnnotation, `{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"spec\":{\"value\":\"12345678\"}}"}}}`), want: lastApplied},
		"kubectl's, in an expiry":       {value: "12345678", change: annotate(corev1.LastAppliedConfigAnnotation, `{"spec":{"expiresAt":"12345678"}}`), want: lastApplied},
		"kubectl's, as the creator":     {value: "12345678", change: annotate(corev1.LastAppliedConfigAnnotation, `{"metadata":{"annotations":{"usersecrets.dev/created-by":"12345678"}}}`), want: lastApplied},
		"kubectl's, no JSON":            {value: "12345678", change: annotate(corev1.LastAppliedConfigAnnotation, `{"spec":{"value":"12345678`), want: lastApplied},
		"kubectl's, from a label": {value: "12345678", change: func(object map[string]any) {
			annotate(corev1.LastAppliedConfigAnnotation, `{"metadata":{"labels":{"key":"12345678"}}}`)(object)
			set("metadata|labels|key", "12345678")(object)
		}, want: "metadata.labels.key"},
		"kubectl's, an array": {value: "12345678", change: annotate(corev1.LastAppliedConfigAnnotation, `["12345678"]`), want: lastApplied},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			object := stored()
			tt.change(object)
			if got := repetition(object, secretvalue.FromString(tt.value)); got != tt.want {
				t.Errorf("found at %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRepetitionIsNotFound(t *testing.T) {
	tests := map[string]struct {
		value  string
		change func(map[string]any)
	}{
		"a value that stands nowhere":       {value: "sk-Canary-5f0c1e"},
		"the value in its own place":        {value: "of no matter"},
		"no value":                          {value: "", change: annotate("note", "")},
		"white space, and an empty text":    {value: "  ", change: annotate("note", "")},
		"short, inside a word":              {value: "Pin4711", change: annotate("note", "Pin47110")},
		"short, inside the value's base64":  {value: "abc12", change: annotate("note", "xYWJjMTI")},
		"the provider's name":               {value: "postgresql"},
		"part of the provider's name":       {value: "postgres"},
		"the type":                          {value: "connection_string"},
		"the kind":                          {value: "UserSecret"},
		"the API group":                     {value: "usersecrets.dev"},
		"the namespace":                     {value: "alice-flows"},
		"kubectl's key":                     {value: "kubernetes", change: applied()},
		"the key of a request to verify":    {value: "verify-requested-at", change: annotate(v1alpha1.VerifyRequestedAtAnnotation, "now")},
		"the verification mode":             {value: "OnDemand"},
		"the resource version":              {value: "4711"},
		"the UID":                           {value: "5f0c1e2a-0000"},
		"a time that the API server writes": {value: "2026-01-01T00:00:00Z"},
		"the deletion's time":               {value: "2026-02-01T00:00:00Z"},
		"the expiry":                        {value: "2027-01-01T00:00:00Z"},
		"the creator":                       {value: "alice@example.com"},
		"the ciphertext":                    {value: "us1.v1-3f9a2c1b"},
		"a field manager":                   {value: "kubectl-client-side-apply"},
		"an owner reference":                {value: "owned-by-config"},
		"the mask":                          {value: "........cdef"},
		"a field's name":                    {value: "encryptedValue"},
		"an annotation's value as its key":  {value: "verification"},

		"in kubectl's annotation, the provider":   {value: "postgresql", change: applied()},
		"in kubectl's annotation, the type":       {value: "connection_string", change: applied()},
		"in kubectl's annotation, a field's name": {value: "encryptedValue", change: applied()},
		"in kubectl's annotation, the kind":       {value: "UserSecret", change: applied()},
		"in kubectl's annotation, the API group":  {value: "usersecrets.dev/v1alpha1", change: applied()},
		"in kubectl's annotation, the namespace":  {value: "alice-flows", change: applied()},
		"in kubectl's annotation, the ciphertext": {value: "us1.v1-3f9a2c1b", change: applied()},
		"in kubectl's annotation, the mode":       {value: "OnDemand", change: applied()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			object := stored()
			if tt.change != nil {
				tt.change(object)
			}
			if got := repetition(object, secretvalue.FromString(tt.value)); got != "" {
				t.Errorf("found at %q", got)
			}
		})
	}
}

// applied is kubectl's annotation for a manifest.
func applied() func(map[string]any) {
	return annotate(corev1.LastAppliedConfigAnnotation, `{"apiVersion":"usersecrets.dev/v1alpha1","kind":"UserSecret",`+
		`"metadata":{"annotations":{"usersecrets.dev/created-by":"alice@example.com"},"name":"database","namespace":"alice-flows"},`+
		`"spec":{"encryptedValue":"us1.v1-3f9a2c1b.AAAA","provider":"postgresql","type":"connection_string","verification":{"mode":"OnDemand"}}}`+"\n")
}

// Where it is found does not depend on the order of a map.
func TestRepetitionNamesTheFirst(t *testing.T) {
	for range 20 {
		object := stored()
		for _, key := range []string{"c", "a", "b"} {
			annotate(key, "sk-Canary-5f0c1e")(object)
		}
		if got := repetition(object, secretvalue.FromString("sk-Canary-5f0c1e")); got != "metadata.annotations.a" {
			t.Fatalf("found at %q, want metadata.annotations.a", got)
		}
	}
}
