package projection

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// inheritance knows the pods that were there before this process led: an
// earlier leader may have recorded or issued for them, so each is asked about
// once. Pods that came later were seen by nobody else, and cost no question.
//
// The list is read live and consistently after leadership was won; the cache
// may lag behind what the earlier leader saw.
type inheritance struct {
	mu     sync.Mutex
	loaded bool
	// pods are those whose record is not settled; true once the API server was
	// asked whether their Secret exists.
	pods map[types.UID]bool
}

func (h *inheritance) load(ctx context.Context, live client.Reader) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.loaded {
		return nil
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
	if err := live.List(ctx, list, client.MatchingLabels{v1alpha1.InjectedLabel: "true"}); err != nil {
		return fmt.Errorf("listing the pods that an earlier leader may have served: %w", err)
	}
	h.pods = make(map[types.UID]bool, len(list.Items))
	for i := range list.Items {
		h.pods[list.Items[i].UID] = false
	}
	h.loaded = true
	return nil
}

// unasked says whether a pod is inherited and was not asked about yet.
func (h *inheritance) unasked(pod types.UID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	asked, ok := h.pods[pod]
	return ok && !asked
}

// asked notes that a pod has no Secret. Its use may be recorded all the same.
func (h *inheritance) asked(pod types.UID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.pods[pod]; ok {
		h.pods[pod] = true
	}
}

// open says whether a pod is inherited and an earlier leader may have recorded
// a use for it without issuing its Secret.
func (h *inheritance) open(pod types.UID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.pods[pod]
	return ok
}

// settle notes that it is known what an earlier leader did for a pod.
func (h *inheritance) settle(pod types.UID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.pods, pod)
}
