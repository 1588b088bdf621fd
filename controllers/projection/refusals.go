package projection

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// probeGap bounds how often a namespace in which Secrets are refused is asked
// whether they still are.
const probeGap = 100 * time.Millisecond

// errProbed means that the API server refused a Secret of the namespace a moment
// ago: the pod comes back later, as where nothing moves.
var errProbed = fmt.Errorf("this namespace's Secrets are refused: %w", errStuck)

// refusals are the namespaces in which the API server refuses Secrets, because of
// a quota, or another's policy or webhook. Nothing is recorded there of a pod
// whose Secret does not pass a dry run, so that uses that cannot be served do not
// fill the records.
type refusals struct {
	mu    sync.Mutex
	known map[string]*refusal
}

// refusal is what is known of one namespace. It holds while one of its pods does,
// and none was let through.
type refusal struct {
	pods   map[types.UID]bool
	probed time.Time
}

// note notes that the Secret of a pod is refused.
func (f *refusals) note(namespace string, pod types.UID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil {
		f.known = map[string]*refusal{}
	}
	if f.known[namespace] == nil {
		f.known[namespace] = &refusal{pods: map[types.UID]bool{}}
	}
	f.known[namespace].pods[pod] = true
}

// ask says whether Secrets are refused in a namespace, and whether it is time to
// find out if they still are.
func (f *refusals) ask(namespace string, now time.Time) (refused, probe bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found, refused := f.known[namespace]
	if !refused || now.Sub(found.probed) < probeGap {
		return refused, false
	}
	found.probed = now
	return true, true
}

// over notes that a Secret was let through.
func (f *refusals) over(namespace string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.known, namespace)
}

// forget drops what is known of a pod that will not ask again.
func (f *refusals) forget(pod types.UID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for namespace, found := range f.known {
		delete(found.pods, pod)
		if len(found.pods) == 0 {
			delete(f.known, namespace)
		}
	}
}

// probe finds out, where Secrets are refused, whether the pod's would be: it is
// created in a dry run, and without its values, which another's webhook need not
// see for that and could repeat.
func (r *Reconciler) probe(ctx context.Context, s *scope) error {
	closed, now := r.refusals.ask(s.pod.Namespace, r.Clock.Now())
	if !closed {
		return nil
	}
	if !now {
		return errProbed
	}
	err := r.create(ctx, newSecret(s, plan{}), client.DryRunAll)
	switch {
	// A webhook of old that takes no dry runs is a bad request.
	case err == nil, apierrors.IsAlreadyExists(err), apierrors.IsBadRequest(err):
		r.refusals.over(s.pod.Namespace)
		return nil
	case refused(err):
		_ = r.refuse(s, err)
	}
	return fmt.Errorf("creating projection %q without its values, in a dry run: %w", s.projection(), err)
}

// refused says whether the API server will not have a Secret, and surely made
// none. That it is busy, or that something failed in it, is no refusal.
func refused(err error) bool {
	switch code := codeOf(err); code {
	case http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return false
	default:
		return code >= 400 && code < 500
	}
}

func codeOf(err error) int {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return 0
	}
	return int(status.Status().Code)
}

// refusedError is a refusal in words of our own: those of another's webhook may
// repeat what it was shown.
type refusedError struct{ code int }

func (e refusedError) Error() string {
	return fmt.Sprintf("the API server refuses the pod's Secret (%s): a ResourceQuota, or a policy or webhook of the cluster, may be why; "+
		"an administrator finds it in the operator's log", http.StatusText(e.code))
}

// refuse notes that a pod's Secret is refused, and tells the pod.
func (r *Reconciler) refuse(s *scope, err error) error {
	because := refusedError{code: codeOf(err)}
	r.refusals.note(s.pod.Namespace, s.pod.UID)
	r.sayWaiting(s, because.Error())
	return because
}
