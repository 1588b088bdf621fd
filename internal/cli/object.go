package cli

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// asManifest returns an object as a person would write it: with its kind, and
// without the fields that only a stored object has.
func asManifest(kind schema.GroupVersionKind, object runtime.Object) (*unstructured.Unstructured, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("writing the %s: %w", kind.Kind, err)
	}
	manifest := &unstructured.Unstructured{Object: fields}
	manifest.SetGroupVersionKind(kind)
	for _, field := range []string{"status", "spec"} {
		if part, ok := fields[field].(map[string]any); ok && len(part) == 0 {
			delete(fields, field)
		}
	}
	return manifest, nil
}
