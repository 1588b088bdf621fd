package projection

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

const (
	// writeTimeout bounds one read or write of a UserSecret.
	writeTimeout = 15 * time.Second
	// maxAttempts bounds how often a group is tried against write conflicts.
	maxAttempts = 8
	// pinTime is how long an entry of a pod that is not served yet keeps its
	// place in recentAccesses. After it, only this process remembers the pod.
	pinTime = time.Minute
)

// entry is one use that waits to be recorded.
type entry struct {
	access v1alpha1.Access
	done   chan outcome
}

type outcome struct {
	counted bool
	err     error
}

func (e *entry) pod() types.UID { return types.UID(e.access.PodUID) }

// account is the ledger of one UserSecret. Uses that arrive while a write is
// under way go into the next, together.
type account struct {
	client    client.Client
	of        subject
	unsettled func(pod types.UID) bool

	mu      sync.Mutex
	waiting []*entry
	writing bool

	// What stands in the UserSecret's status, once loaded.
	loaded  bool
	version string
	usage   v1alpha1.Usage
	recent  []v1alpha1.Access

	// counted are the pods that were counted and may still ask.
	counted map[types.UID]struct{}
	// pinned are counted pods whose Secret may not exist yet. Were their entry
	// pushed out of recentAccesses, a crash now would count them twice.
	pinned map[types.UID]time.Time
}

func newAccount(c client.Client, of subject, unsettled func(types.UID) bool) *account {
	return &account{client: c, of: of, unsettled: unsettled, counted: map[types.UID]struct{}{}, pinned: map[types.UID]time.Time{}}
}

func (a *account) enqueue(e *entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.counted[e.pod()]; ok && a.loaded {
		e.done <- outcome{}
		return
	}
	// Whoever waited for the same pod before gave up; the pod counts once.
	a.waiting = slices.DeleteFunc(a.waiting, func(w *entry) bool { return w.pod() == e.pod() })
	a.waiting = append(a.waiting, e)
	a.start()
}

// start begins writing where somebody waits; the caller holds mu.
func (a *account) start() {
	if a.writing || len(a.waiting) == 0 {
		return
	}
	a.writing = true
	go a.drain()
}

// drain writes groups until nobody waits or no place is free.
func (a *account) drain() {
	for {
		group := a.take()
		if len(group) == 0 {
			return
		}
		err := a.commit(group)
		if err == nil {
			continue
		}
		for _, e := range group {
			e.done <- outcome{err: err}
		}
	}
}

// take returns the next group: at most as many entries as recentAccesses has
// places that are not pinned. An empty group ends the writing.
func (a *account) take() []*entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	free := v1alpha1.MaxRecentAccesses - a.pins()
	if free <= 0 && len(a.waiting) > 0 {
		time.AfterFunc(time.Second, a.resume)
	}
	n := min(max(free, 0), len(a.waiting))
	group := slices.Clone(a.waiting[:n])
	a.waiting = slices.Delete(a.waiting, 0, n)
	a.writing = n > 0
	return group
}

// pins counts the pinned places and lets go of those held too long.
func (a *account) pins() int {
	for pod, since := range a.pinned {
		if time.Since(since) > pinTime {
			delete(a.pinned, pod)
		}
	}
	return len(a.pinned)
}

func (a *account) resume() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.start()
}

// commit records a group, and tells those who wait. On an error nobody has
// been told yet.
func (a *account) commit(group []*entry) error {
	for range maxAttempts {
		if err := a.load(); err != nil {
			return err
		}
		fresh := a.tellCounted(group)
		if len(fresh) == 0 {
			return nil
		}
		err := a.write(fresh)
		if err == nil {
			return nil
		}
		if !apierrors.IsConflict(err) {
			return err
		}
		group = fresh
	}
	return fmt.Errorf("recording uses of %s: still in conflict after %d attempts", a.of.name, maxAttempts)
}

// load reads what stands in the status. It is read live: what is decided from
// it must be what the API server compares with.
func (a *account) load() error {
	if a.isLoaded() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	us := &v1alpha1.UserSecret{}
	if err := a.client.Get(ctx, a.of.name, us); err != nil {
		if apierrors.IsNotFound(err) {
			return errUserSecretGone
		}
		return fmt.Errorf("reading the uses of %s: %w", a.of.name, err)
	}
	if us.UID != a.of.uid {
		return errUserSecretGone
	}
	a.adopt(us)
	return nil
}

func (a *account) isLoaded() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.loaded
}

func (a *account) adopt(us *v1alpha1.UserSecret) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.loaded, a.version = true, us.ResourceVersion
	a.usage, a.recent = v1alpha1.Usage{}, us.Status.RecentAccesses
	if us.Status.Usage != nil {
		a.usage = *us.Status.Usage
	}
	for _, access := range a.recent {
		pod := types.UID(access.PodUID)
		if access.Type != v1alpha1.AccessUse {
			continue
		}
		if _, known := a.counted[pod]; !known && a.unsettled(pod) {
			a.pinned[pod] = time.Now()
		}
		a.counted[pod] = struct{}{}
	}
}

// tellCounted answers the entries whose pod is counted already, and returns the
// others.
func (a *account) tellCounted(group []*entry) []*entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	var fresh []*entry
	for _, e := range group {
		if _, ok := a.counted[e.pod()]; ok {
			e.done <- outcome{}
			continue
		}
		fresh = append(fresh, e)
	}
	return fresh
}

// write puts a group into the status by compare-and-swap. Whatever goes wrong,
// the next attempt reads first: the write may have succeeded all the same.
func (a *account) write(group []*entry) error {
	usage, recent := a.next(group)
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": a.of.uid, "resourceVersion": a.version},
		"status":   map[string]any{"usage": complete(usage), "recentAccesses": recent},
	})
	if err != nil {
		return fmt.Errorf("encoding the uses of %s: %w", a.of.name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	// Metadata only, so that the ciphertext need not come back with the answer.
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("UserSecret"))
	object.Namespace, object.Name = a.of.name.Namespace, a.of.name.Name
	err = a.client.Status().Patch(ctx, object, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(FieldManager))
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.loaded = false
		return describe(a.of, err)
	}
	a.version, a.usage, a.recent = object.ResourceVersion, usage, recent
	for _, e := range group {
		a.counted[e.pod()] = struct{}{}
		a.pinned[e.pod()] = time.Now()
		e.done <- outcome{counted: true}
	}
	return nil
}

// complete writes every field out: a merge patch (RFC 7386) would leave what is
// left out as it was, and mix two pods into one lastUsedBy.
func complete(u v1alpha1.Usage) map[string]any {
	orNull := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	return map[string]any{
		"count": u.Count, "lastUsedAt": u.LastUsedAt,
		"lastUsedBy": map[string]any{
			"workflow": orNull(u.LastUsedBy.Workflow), "node": orNull(u.LastUsedBy.Node), "pod": orNull(u.LastUsedBy.Pod),
		},
	}
}

func describe(of subject, err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return errUserSecretGone
	case apierrors.IsConflict(err):
		return err
	default:
		return fmt.Errorf("recording uses of %s: %w", of.name, err)
	}
}

// next is the status with a group recorded.
func (a *account) next(group []*entry) (v1alpha1.Usage, []v1alpha1.Access) {
	a.mu.Lock()
	defer a.mu.Unlock()
	usage := *a.usage.DeepCopy()
	usage.Count += int64(len(group))
	recent := make([]v1alpha1.Access, 0, len(group)+len(a.recent))
	for _, e := range slices.Backward(group) {
		recent = append(recent, e.access)
	}
	newest := recent[0]
	usage.LastUsedAt = &metav1.Time{Time: newest.Time.Truncate(time.Second)}
	usage.LastUsedBy = &v1alpha1.LastUse{Workflow: newest.Workflow, Node: newest.Node, Pod: newest.Pod}
	return usage, a.evict(append(recent, a.recent...), len(group))
}

// evict shortens the list to its bound: the oldest entries go first, but none
// of the group (its length is keep), nor one that is pinned.
func (a *account) evict(recent []v1alpha1.Access, keep int) []v1alpha1.Access {
	for i := len(recent) - 1; len(recent) > v1alpha1.MaxRecentAccesses && i >= keep; i-- {
		if _, pinned := a.pinned[types.UID(recent[i].PodUID)]; !pinned {
			recent = slices.Delete(recent, i, i+1)
		}
	}
	return recent[:min(len(recent), v1alpha1.MaxRecentAccesses)]
}

func (a *account) served(pod types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.pinned, pod)
	a.start()
}

func (a *account) forget(pod types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.pinned, pod)
	delete(a.counted, pod)
	a.start()
}

func (a *account) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.writing && len(a.waiting) == 0 && len(a.pinned) == 0
}
