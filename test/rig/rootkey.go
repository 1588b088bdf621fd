package rig

import (
	"context"
	"errors"
	"os/exec"
	"strings"
)

// SetRootKey has operators that are started from now on get another root key, or
// several, one a line.
func (r *Rig) SetRootKey(text string) { r.rootKey = text }

var errStarted = errors.New("the operator was expected not to start, and did")

// FailedStart starts the first replica, which must exit by itself with a code that
// is not 0, and returns the last line that it printed.
func (r *Rig) FailedStart(ctx context.Context) (string, error) {
	err := r.StartReplica(ctx, 0)
	if err == nil {
		return "", errors.Join(errStarted, r.replicas[0].stop())
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return "", err
	}
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return strings.TrimSpace(lines[len(lines)-1]), nil
}
