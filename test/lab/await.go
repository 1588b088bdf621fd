package lab

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// awaitInterval lies between two probes.
const awaitInterval = 50 * time.Millisecond

// ErrTimeout is returned where what was waited for did not come in time.
var ErrTimeout = errors.New("timed out")

var errExited = errors.New("it exited before it was ready")

// Await probes every 50 ms until probe says true. It gives up with ErrTimeout at ctx's deadline, or
// after a minute where ctx has none, when ctx is cancelled, and at the first error of probe's. what completes
// the sentence 'waiting for …'.
func Await(ctx context.Context, what string, probe func(context.Context) (bool, error)) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, startTimeout)
		defer cancel()
	}
	ticker := time.NewTicker(awaitInterval)
	defer ticker.Stop()
	for {
		done, err := probe(ctx)
		switch {
		case ctx.Err() != nil && (err != nil || !done):
			return fmt.Errorf("waiting for %s: %w", what, errors.Join(ended(ctx), err))
		case err != nil:
			return fmt.Errorf("waiting for %s: %w", what, err)
		case done:
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ended(ctx))
		}
	}
}

// ended tells the deadline from the caller who no longer wants to wait.
func ended(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ErrTimeout
	}
	return ctx.Err()
}
