package cli

import (
	"context"
	"errors"
	"time"
)

// poll is how often something that takes time is looked at.
const poll = 500 * time.Millisecond

// pause waits until it is time to look again. Where ctx ended it is late that is
// returned after its deadline, and errInterrupted otherwise.
func pause(ctx context.Context, late error) error {
	select {
	case <-ctx.Done():
		return whyEnded(ctx, late)
	case <-time.After(poll):
		return nil
	}
}

func whyEnded(ctx context.Context, late error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return late
	}
	return errInterrupted
}
