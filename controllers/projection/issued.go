package projection

import (
	"crypto/sha256"
	"encoding/json"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
)

// source is where a key of a projection comes from.
type source struct {
	Name string    `json:"name"`
	UID  types.UID `json:"uid"`
}

// issued is what is remembered of one pod's projection. It holds digests of the
// data, never the data.
type issued struct {
	podName types.NamespacedName
	podUID  types.UID
	name    string // of the Secret
	uid     types.UID
	created time.Time
	digests map[string]digest
	sources map[string]source
	// gone says that the pod is done and its Secret deleted.
	gone bool
}

type digest [sha256.Size]byte

// fromSecret remembers a Secret as the API server returned it.
func fromSecret(pod types.NamespacedName, podUID types.UID, secret *corev1.Secret) *issued {
	return &issued{
		podName: pod, podUID: podUID, name: secret.Name, uid: secret.UID,
		created: secret.CreationTimestamp.Time,
		digests: digestsOf(secret.Data),
		sources: readSources(secret),
	}
}

func digestsOf(data map[string][]byte) map[string]digest {
	digests := make(map[string]digest, len(data))
	for key, value := range data {
		digests[key] = sha256.Sum256(value)
	}
	return digests
}

// readSources reads the annotation that the operator itself wrote; policies
// keep everybody else from changing it.
func readSources(secret *corev1.Secret) map[string]source {
	sources := map[string]source{}
	if err := json.Unmarshal([]byte(secret.Annotations[v1alpha1.SourcesAnnotation]), &sources); err != nil {
		return map[string]source{}
	}
	return sources
}

func writeSources(sources map[string]source) string {
	text, err := json.Marshal(sources)
	if err != nil {
		return "{}" // a map of strings always encodes
	}
	return string(text)
}

// drawsOn says whether the pod was granted a UserSecret.
func (i *issued) drawsOn(uid types.UID) bool {
	for s := range maps.Values(i.sources) {
		if s.UID == uid {
			return true
		}
	}
	return false
}

// issuedProjections remembers projections by pod name.
type issuedProjections struct {
	mu     sync.Mutex
	byName map[types.NamespacedName]*issued
}

func (p *issuedProjections) get(name types.NamespacedName) *issued {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byName[name]
}

func (p *issuedProjections) put(i *issued) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byName == nil {
		p.byName = map[types.NamespacedName]*issued{}
	}
	p.byName[i.podName] = i
}

func (p *issuedProjections) drop(name types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byName, name)
}

// reasons remembers what was last told about pods that wait, so that it is not
// told again at every look.
type reasons struct {
	mu     sync.Mutex
	byName map[types.NamespacedName]string
}

// swap notes a reason and says whether it is new; an empty reason forgets.
func (r *reasons) swap(pod types.NamespacedName, why string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byName == nil {
		r.byName = map[types.NamespacedName]string{}
	}
	changed := r.byName[pod] != why
	if why == "" {
		delete(r.byName, pod)
	} else {
		r.byName[pod] = why
	}
	return changed
}

// first says whether nothing was told about a pod yet.
func (r *reasons) first(pod types.NamespacedName) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byName[pod] == ""
}
