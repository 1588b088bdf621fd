package erasing

import (
	"runtime"
	"strings"
	"testing"
)

func TestDo(t *testing.T) {
	calls := 0
	Do(func() {
		calls++
		Do(func() { calls++ })
	})
	if calls != 2 {
		t.Errorf("called %d times, want once each", calls)
	}
}

// What a function leaves to its caller outlives it.
func TestDoKeepsResults(t *testing.T) {
	var kept []byte
	Do(func() { kept = []byte("result") })
	runtime.GC()
	if string(kept) != "result" {
		t.Errorf("kept %q", kept)
	}
}

func TestDoPassesPanicsOn(t *testing.T) {
	defer func() {
		if got := recover(); got != "failed" {
			t.Errorf("recovered %v", got)
		}
	}()
	Do(func() { panic("failed") })
}

// The toolchain names the experiments that it was built or told with.
func TestEnabledSaysWhatTheBuildDoes(t *testing.T) {
	if want := strings.Contains(runtime.Version(), "runtimesecret"); Enabled != want {
		t.Errorf("Enabled is %t in a build by %s", Enabled, runtime.Version())
	}
}
