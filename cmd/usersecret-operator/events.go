package main

import (
	"context"
	"fmt"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	eventsv1client "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"

	"usersecrets.dev/operator/api/v1alpha1"
)

const (
	// eventWrites is how many Events are written at once. Each costs the API server
	// about what a projection does, and while a pod waits for its projection, nobody
	// waits for an Event.
	eventWrites = 1
	// eventLine is how many Events wait to be written at most. More are dropped:
	// they are for people, who read the newest, and the record is in the status.
	eventLine = 10_000
)

// errEventLine means that an Event is dropped, since too many wait. It is of the kind
// that client-go does not try again.
var errEventLine = apierrors.NewTooManyRequestsError(fmt.Sprintf("%d Events wait to be written already", eventLine))

// newRecorder returns a recorder of Events, which are written until ctx ends.
func newRecorder(ctx context.Context, cfg *rest.Config) (events.EventRecorder, error) {
	api, err := eventsv1client.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("preparing Events: %w", err)
	}
	log := ctrl.Log.WithName("events")
	sink := newUnhurried(&events.EventSinkImpl{Interface: api})
	broadcaster := events.NewBroadcaster(sink)
	if err := broadcaster.StartRecordingToSinkWithContext(ctrl.LoggerInto(ctx, log)); err != nil {
		return nil, fmt.Errorf("starting to write Events: %w", err)
	}
	if _, err := broadcaster.StartLogging(log.V(1)); err != nil {
		return nil, fmt.Errorf("starting to log Events: %w", err)
	}
	return broadcaster.NewRecorder(scheme(), v1alpha1.OperatorName), nil
}

// unhurried has Events wait in line, where client-go writes all at once that it
// is given. A writer rests for as long as its write took before the next, so that
// the busier the API server is, the more of it is left to others.
type unhurried struct {
	events.EventSink
	turns chan struct{}
	line  chan struct{}
}

func newUnhurried(sink events.EventSink) unhurried {
	return unhurried{EventSink: sink, turns: make(chan struct{}, eventWrites), line: make(chan struct{}, eventLine)}
}

// Create implements events.EventSink.
func (u unhurried) Create(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	return u.write(ctx, func() (*eventsv1.Event, error) { return u.EventSink.Create(ctx, event) })
}

// Update implements events.EventSink.
func (u unhurried) Update(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	return u.write(ctx, func() (*eventsv1.Event, error) { return u.EventSink.Update(ctx, event) })
}

// Patch implements events.EventSink.
func (u unhurried) Patch(ctx context.Context, event *eventsv1.Event, data []byte) (*eventsv1.Event, error) {
	return u.write(ctx, func() (*eventsv1.Event, error) { return u.EventSink.Patch(ctx, event, data) })
}

func (u unhurried) write(ctx context.Context, write func() (*eventsv1.Event, error)) (*eventsv1.Event, error) {
	select {
	case u.line <- struct{}{}:
		defer func() { <-u.line }()
	default:
		return nil, errEventLine
	}
	select {
	case u.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	began := time.Now()
	defer func() { time.AfterFunc(time.Since(began), func() { <-u.turns }) }()
	return write()
}
