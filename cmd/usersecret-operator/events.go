package main

import (
	"context"
	"fmt"

	eventsv1 "k8s.io/api/events/v1"
	eventsv1client "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"

	"usersecrets.dev/operator/api/v1alpha1"
)

// eventWrites is how many Events are written at once. Each costs the API server
// about what a projection does, and while a pod waits for its projection, nobody
// waits for an Event.
const eventWrites = 1

// newRecorder returns a recorder of Events, which are written until ctx ends.
func newRecorder(ctx context.Context, cfg *rest.Config) (events.EventRecorder, error) {
	api, err := eventsv1client.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("preparing Events: %w", err)
	}
	log := ctrl.Log.WithName("events")
	sink := unhurried{EventSink: &events.EventSinkImpl{Interface: api}, turns: make(chan struct{}, eventWrites)}
	broadcaster := events.NewBroadcaster(sink)
	if err := broadcaster.StartRecordingToSinkWithContext(ctrl.LoggerInto(ctx, log)); err != nil {
		return nil, fmt.Errorf("starting to write Events: %w", err)
	}
	if _, err := broadcaster.StartLogging(log.V(1)); err != nil {
		return nil, fmt.Errorf("starting to log Events: %w", err)
	}
	return broadcaster.NewRecorder(scheme(), v1alpha1.OperatorName), nil
}

// unhurried has Events wait in line, where client-go writes all that it is given
// at once.
type unhurried struct {
	events.EventSink
	turns chan struct{}
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
	case u.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-u.turns }()
	return write()
}
