package webhook

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"usersecrets.dev/operator/api/v1alpha1"
)

// rebuildLastApplied returns the last-applied annotation without the plaintext:
// only fields that a UserSecret has are kept, so that a misspelt field, which
// the API server drops from the object but kubectl copies into the annotation,
// is dropped there too. The second result is false where nothing can be kept.
//
// The encoding is kubectl's own (sorted keys, no spaces, a newline at the end),
// so that an annotation with nothing to hide comes back byte for byte and
// kubectl sees no change.
func rebuildLastApplied(text string) (string, bool) {
	var applied map[string]any
	if err := utiljson.Unmarshal([]byte(text), &applied); err != nil || applied == nil {
		return "", false
	}
	prune(applied, reflect.TypeFor[v1alpha1.UserSecret]())
	if spec, ok := applied["spec"].(map[string]any); ok {
		delete(spec, "value")
	}
	var out bytes.Buffer
	if err := json.NewEncoder(&out).Encode(applied); err != nil {
		return "", false
	}
	return out.String(), true
}

// prune removes from a decoded JSON object every key that the Go type does not
// have, at any depth. Maps and scalars of the type are left alone.
func prune(value any, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch node := value.(type) {
	case map[string]any:
		pruneObject(node, t)
	case []any:
		if t.Kind() == reflect.Slice {
			for _, element := range node {
				prune(element, t.Elem())
			}
		}
	}
}

func pruneObject(node map[string]any, t reflect.Type) {
	if t.Kind() != reflect.Struct {
		return
	}
	known := fields(t)
	for key, child := range node {
		fieldType, ok := known[key]
		if !ok {
			delete(node, key)
			continue
		}
		prune(child, fieldType)
	}
}

// fields are a struct's JSON names, embedded structs included.
func fields(t reflect.Type) map[string]reflect.Type {
	known := map[string]reflect.Type{}
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" && field.Anonymous {
			for key, fieldType := range fields(field.Type) {
				known[key] = fieldType
			}
			continue
		}
		known[name] = field.Type
	}
	return known
}

// dropLastApplied rebuilds the annotation in place, or removes it where it is
// no JSON object.
func dropLastApplied(annotations map[string]any) {
	text, ok := annotations[corev1.LastAppliedConfigAnnotation].(string)
	if !ok {
		return
	}
	rebuilt, ok := rebuildLastApplied(text)
	if !ok {
		delete(annotations, corev1.LastAppliedConfigAnnotation)
		return
	}
	annotations[corev1.LastAppliedConfigAnnotation] = rebuilt
}
