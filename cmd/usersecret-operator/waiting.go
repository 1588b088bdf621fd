package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"usersecrets.dev/operator/internal/keyring"
)

// firstWait and longestWait bound how often a KMS that is away is asked.
const (
	firstWait   = time.Second
	longestWait = 30 * time.Second
)

// patiently repeats open while the root key's KMS cannot be reached, and says so.
// Meanwhile the process is alive, and not ready: to start it again would not help.
func patiently(ctx context.Context, o *options, open func(context.Context) error) error {
	err := open(ctx)
	if !errors.Is(err, keyring.ErrRootUnavailable) {
		return err
	}
	stop, serr := serveHealth(ctx, o.healthAddress)
	if serr != nil {
		return serr
	}
	defer stop()
	log := ctrl.Log.WithName("keyring")
	for wait := firstWait; errors.Is(err, keyring.ErrRootUnavailable); wait = min(2*wait, longestWait) {
		log.Info("waiting for the root key", "next", wait.String(), "because", err.Error())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		err = open(ctx)
	}
	return err
}

// serveHealth answers as the manager will, before there is one.
func serveHealth(ctx context.Context, address string) (stop func(), err error) {
	if address == "0" || address == "" {
		return func() {}, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for health probes: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "waiting for the root key", http.StatusServiceUnavailable)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	return func() {
		_ = server.Close()
		<-done
	}, nil
}
