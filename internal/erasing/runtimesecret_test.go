//go:build goexperiment.runtimesecret

package erasing

import (
	"runtime/secret"
	"testing"
)

func TestDoErases(t *testing.T) {
	var inside bool
	Do(func() { inside = secret.Enabled() })
	if !inside || secret.Enabled() {
		t.Errorf("erases inside: %t, outside: %t", inside, secret.Enabled())
	}
}
