package webhook

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzRebuildLastApplied: whatever kubectl's annotation holds, what is kept is an
// object without spec.value that would be kept again as it is; and a value that
// is put where people put it, or misspell it, is gone.
func FuzzRebuildLastApplied(f *testing.F) {
	f.Fuzz(func(t *testing.T, text, value string) {
		checkRebuilt(t, text)
		var object map[string]any
		if json.Unmarshal([]byte(text), &object) != nil || object == nil {
			return
		}
		checkRebuilt(t, plant(t, object, value))
		if len(value) < 16 || strings.Contains(text, value) {
			return // the value may be part of something else
		}
		if rebuilt, _ := rebuildLastApplied(plant(t, object, value)); strings.Contains(rebuilt, value) {
			t.Errorf("the value is kept: %q", rebuilt)
		}
	})
}

func checkRebuilt(t *testing.T, text string) {
	t.Helper()
	rebuilt, ok := rebuildLastApplied(text)
	if !ok {
		if rebuilt != "" {
			t.Errorf("dropped, and given back all the same: %q", rebuilt)
		}
		return
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(rebuilt), &object); err != nil || !strings.HasSuffix(rebuilt, "}\n") {
		t.Fatalf("%q is no object, error %v", rebuilt, err)
	}
	if spec, ok := object["spec"].(map[string]any); ok {
		if _, there := spec["value"]; there {
			t.Errorf("spec.value is kept: %q", rebuilt)
		}
	}
	// Minus zero, which no field of a UserSecret has, comes back as an integer.
	if again, ok := rebuildLastApplied(rebuilt); !ok || strings.ReplaceAll(again, "-0", "0") != strings.ReplaceAll(rebuilt, "-0", "0") {
		t.Errorf("%q is rebuilt once more into %q", rebuilt, again)
	}
}

// plant writes the value into spec.value and into fields that no UserSecret has.
func plant(t *testing.T, object map[string]any, value string) string {
	t.Helper()
	spec, ok := object["spec"].(map[string]any)
	if !ok {
		spec = map[string]any{}
		object["spec"] = spec
	}
	spec["value"], spec["valeu"], spec["Value"] = value, value, []any{value}
	spec["verification"] = map[string]any{"mode": "OnChange", "value": value}
	object["value"], object["data"] = value, map[string]any{value: value}
	return string(encode(t, object))
}

// A fuzzer whose seeds are gone would pass without testing anything.
func TestSeedsAreThere(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join("testdata", "fuzz", "FuzzRebuildLastApplied"))
	if err != nil || len(entries) < 10 {
		t.Errorf("%d seeds (%v), want at least 10", len(entries), err)
	}
}
