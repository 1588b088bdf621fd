package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	eventsv1 "k8s.io/api/events/v1"
)

// slowSink keeps every Event that it is given until it is let go.
type slowSink struct {
	let            chan struct{}
	writing, wrote atomic.Int32
}

func (s *slowSink) write(event *eventsv1.Event) (*eventsv1.Event, error) {
	s.writing.Add(1)
	<-s.let
	s.writing.Add(-1)
	s.wrote.Add(1)
	return event, nil
}

func (s *slowSink) Create(_ context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	return s.write(event)
}

func (s *slowSink) Update(_ context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	return s.write(event)
}

func (s *slowSink) Patch(_ context.Context, event *eventsv1.Event, _ []byte) (*eventsv1.Event, error) {
	return s.write(event)
}

// writeEvents asks for n Events of each kind at once.
func writeEvents(ctx context.Context, u unhurried, n int, failed *atomic.Int32) {
	for range n {
		for _, write := range []func() (*eventsv1.Event, error){
			func() (*eventsv1.Event, error) { return u.Create(ctx, &eventsv1.Event{}) },
			func() (*eventsv1.Event, error) { return u.Update(ctx, &eventsv1.Event{}) },
			func() (*eventsv1.Event, error) { return u.Patch(ctx, &eventsv1.Event{}, nil) },
		} {
			go func() {
				if _, err := write(); errors.Is(err, context.Canceled) {
					failed.Add(1)
				}
			}()
		}
	}
}

func TestEventsWaitInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &slowSink{let: make(chan struct{})}
		var failed atomic.Int32
		writeEvents(t.Context(), unhurried{EventSink: sink, turns: make(chan struct{}, eventWrites)}, 5, &failed)
		synctest.Wait()
		if got := sink.writing.Load(); got != eventWrites {
			t.Errorf("%d Events are being written at once, want %d", got, eventWrites)
		}
		close(sink.let)
		synctest.Wait()
		if got := sink.wrote.Load(); got != 15 {
			t.Errorf("%d Events were written, want all 15", got)
		}
	})
}

func TestEventsInLineGiveUpAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		sink := &slowSink{let: make(chan struct{})}
		var failed atomic.Int32
		writeEvents(ctx, unhurried{EventSink: sink, turns: make(chan struct{}, eventWrites)}, 5, &failed)
		synctest.Wait()
		cancel()
		synctest.Wait()
		if got := failed.Load(); got != 15-eventWrites {
			t.Errorf("%d gave up, want the %d that had not begun", got, 15-eventWrites)
		}
		close(sink.let)
	})
}
