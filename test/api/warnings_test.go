package api_test

import (
	"context"
	"sync"

	"k8s.io/client-go/rest"
)

// recorder keeps the warnings that the API server answers with.
type recorder struct {
	mu    sync.Mutex
	texts []string
}

var _ rest.WarningHandlerWithContext = (*recorder)(nil)

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (r *recorder) HandleWarningHeaderWithContext(_ context.Context, _ int, _ string, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.texts = append(r.texts, text)
}

// take returns the warnings since the last call.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	texts := r.texts
	r.texts = nil
	return texts
}
