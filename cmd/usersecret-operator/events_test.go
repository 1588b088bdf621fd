package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
		writeEvents(t.Context(), newUnhurried(sink), 5, &failed)
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
		writeEvents(ctx, newUnhurried(sink), 5, &failed)
		synctest.Wait()
		cancel()
		synctest.Wait()
		if got := failed.Load(); got != 15-eventWrites {
			t.Errorf("%d gave up, want the %d that had not begun", got, 15-eventWrites)
		}
		close(sink.let)
	})
}

// busySink takes a while for each Event.
type busySink struct {
	slowSink
	took  time.Duration
	ended []time.Duration // since began
	began time.Time
}

func (s *busySink) Create(_ context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	time.Sleep(s.took)
	s.ended = append(s.ended, time.Since(s.began))
	return event, nil
}

func TestEventsRestAsLongAsTheLastTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &busySink{took: 3 * time.Second, began: time.Now()}
		u := newUnhurried(sink)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { _, _ = u.Create(t.Context(), &eventsv1.Event{}) })
		}
		all.Wait()
		if want := []time.Duration{3 * time.Second, 9 * time.Second, 15 * time.Second}; !slices.Equal(sink.ended, want) {
			t.Errorf("written after %v, want %v", sink.ended, want)
		}
		synctest.Wait()
		time.Sleep(time.Minute) // the last rest
	})
}

// Events that nobody can write do not fill the memory, and are not tried again.
func TestEventsBeyondTheLineAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &slowSink{let: make(chan struct{})}
		u := newUnhurried(sink)
		for range eventLine {
			go func() { _, _ = u.Create(t.Context(), &eventsv1.Event{}) }()
		}
		synctest.Wait()
		if _, err := u.Create(t.Context(), &eventsv1.Event{}); !apierrors.IsTooManyRequests(err) {
			t.Errorf("error %v, want that too many wait", err)
		}
		close(sink.let)
		synctest.Wait()
		time.Sleep(time.Minute)
		if got := sink.wrote.Load(); got != eventLine {
			t.Errorf("%d Events were written, want the %d that waited", got, eventLine)
		}
	})
}
