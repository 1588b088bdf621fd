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

// inheritance knows the pods of which it is not sure whether their Secret
// exists, and so whether a use that stands in the record was served.
//
// Those are the pods that were there before this process led: an earlier leader
// may have recorded or issued for them, so each is asked about once. And those
// for which a write of our own has no clear answer. Pods that came later were
// seen by nobody else, and cost no question.
//
// The list is read live and consistently after leadership was won; the cache
// may lag behind what the earlier leader saw.
type inheritance struct {
	mu     sync.Mutex
	loaded bool
	pods   map[types.UID]doubt
}

// doubt is what is open about a pod.
type doubt struct {
	// earlier is the pod's name where an earlier leader may have acted on it.
	earlier types.NamespacedName
	// asked says that the API server was asked and has no Secret for the pod. A
	// use may be recorded all the same.
	asked bool
}

// load reads the pods that there are, once.
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
	h.pods = make(map[types.UID]doubt, len(list.Items))
	for i := range list.Items {
		pod := &list.Items[i]
		h.pods[pod.UID] = doubt{earlier: client.ObjectKeyFromObject(pod)}
	}
	h.loaded = true
	return nil
}

// unasked says whether the API server is to be asked for the pod's Secret.
func (h *inheritance) unasked(pod types.UID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	d, open := h.pods[pod]
	return open && !d.asked
}

// asked notes that the pod has no Secret.
func (h *inheritance) asked(pod types.UID) {
	h.change(pod, func(d *doubt) { d.asked = true })
}

// doubt notes that a write for the pod may or may not have succeeded.
func (h *inheritance) doubt(pod types.UID) {
	h.change(pod, func(d *doubt) { d.asked = false })
}

func (h *inheritance) change(pod types.UID, by func(*doubt)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pods == nil {
		h.pods = map[types.UID]doubt{}
	}
	d := h.pods[pod]
	by(&d)
	h.pods[pod] = d
}

// open says whether a use may be recorded for the pod without its Secret being
// there.
func (h *inheritance) open(pod types.UID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, open := h.pods[pod]
	return open
}

// earlier says whether an earlier leader may have spoken about the pod.
func (h *inheritance) earlier(pod types.UID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pods[pod].earlier != types.NamespacedName{}
}

// named is the inherited pod of that name about which something is open.
func (h *inheritance) named(name types.NamespacedName) (types.UID, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for pod, d := range h.pods {
		if d.earlier == name {
			return pod, true
		}
	}
	return "", false
}

// settle notes that it is known what became of the pod's uses.
func (h *inheritance) settle(pod types.UID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.pods, pod)
}
