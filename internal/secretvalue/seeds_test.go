package secretvalue_test

import (
	"path/filepath"
	"testing"
)

// A fuzzer whose seed folder went away still passes, and tests nothing.
func TestFuzzSeedsAreThere(t *testing.T) {
	seeds, err := filepath.Glob("testdata/fuzz/FuzzMask/*")
	if err != nil || len(seeds) == 0 {
		t.Fatalf("no seeds in testdata/fuzz/FuzzMask (error: %v): restore them from version control", err)
	}
}
