package projection

import (
	"crypto/sha256"
	"encoding/json"
	"maps"
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
	namespace string
	name      string
	uid       types.UID
	created   time.Time
	holds     map[string]held // by key
	sources   map[string]source
	// gone says that the pod is done and its Secret deleted.
	gone bool
}

// held stands for a value that a projection holds.
type held struct {
	digest [sha256.Size]byte
	size   int // in bytes
}

func hold(value []byte) held { return held{digest: sha256.Sum256(value), size: len(value)} }

// fromSecret remembers a Secret as the API server returned it.
func fromSecret(secret *corev1.Secret) *issued {
	i := &issued{
		namespace: secret.Namespace, name: secret.Name, uid: secret.UID,
		created: secret.CreationTimestamp.Time,
		holds:   make(map[string]held, len(secret.Data)),
		sources: readSources(secret),
	}
	for key, value := range secret.Data {
		i.holds[key] = hold(value)
	}
	return i
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
