package webhook

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
)

// dropManagedValue removes f:value from every manager's entry, so that nobody
// owns a field that is never there, and entries of which nothing is left: a
// manager that wrote the same value again has written nothing.
func dropManagedValue(metadata map[string]any) {
	entries, ok := metadata["managedFields"].([]any)
	if !ok {
		return
	}
	metadata["managedFields"] = slices.DeleteFunc(entries, func(entry any) bool {
		fieldsV1, _ := dig(entry, "fieldsV1")
		spec, ok := dig(fieldsV1, "f:spec")
		if _, owned := spec["f:value"]; !ok || !owned {
			return false
		}
		delete(spec, "f:value")
		if len(spec) == 0 {
			delete(fieldsV1, "f:spec")
		}
		return len(fieldsV1) == 0
	})
}

// keepManagers puts the stored managedFields back where nothing but their times
// and their order is new. Whoever applies spec.value seems to gain a field each
// time, so that the API server gives that entry a new time and sorts it behind
// the others; the object would be written anew though nothing in it changed.
func keepManagers(object, stored map[string]any) {
	before, ok := child(stored, "metadata")["managedFields"].([]any)
	if !ok || !reflect.DeepEqual(withoutManagers(object), withoutManagers(stored)) {
		return
	}
	metadata := child(object, "metadata")
	after, _ := metadata["managedFields"].([]any)
	if slices.Equal(timeless(before), timeless(after)) {
		metadata["managedFields"] = before
	}
}

func withoutManagers(object map[string]any) map[string]any {
	metadata := maps.Clone(child(object, "metadata"))
	delete(metadata, "managedFields")
	object = maps.Clone(object)
	object["metadata"] = metadata
	return object
}

// timeless are the entries as texts without their times, in an order of their own.
func timeless(entries []any) []string {
	texts := make([]string, 0, len(entries))
	for _, entry := range entries {
		if fields, ok := entry.(map[string]any); ok {
			fields = maps.Clone(fields)
			delete(fields, "time")
			entry = fields
		}
		text, _ := json.Marshal(entry) // came from JSON
		texts = append(texts, string(text))
	}
	slices.Sort(texts)
	return texts
}

func dig(node any, key string) (map[string]any, bool) {
	object, ok := node.(map[string]any)
	if !ok {
		return nil, false
	}
	child, ok := object[key].(map[string]any)
	return child, ok
}
