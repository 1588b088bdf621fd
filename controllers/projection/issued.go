package projection

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/selection"
)

// source is where a key of a projection comes from.
type source struct {
	Name string    `json:"name"`
	UID  types.UID `json:"uid"`
	// Provider and Type are those that the pod asked for; empty where it asked by
	// name.
	Provider string              `json:"provider,omitempty"`
	Type     v1alpha1.SecretType `json:"type,omitempty"`
}

// sourceOf is what a part of a first request comes from.
func sourceOf(p part) source {
	us := p.choice.UserSecret
	from := source{Name: us.Name, UID: us.UID}
	if p.choice.Item.Name == "" {
		from.Provider, from.Type = us.Spec.Provider, us.Spec.Type
	}
	return from
}

// mismatch says that a UserSecret, made again under its name, is not of the
// provider and type that the pod asked for: the key that is named for those must
// not hold another's value.
func (s source) mismatch(us *v1alpha1.UserSecret) error {
	if us == nil || s.Provider == "" || us.Spec.Provider == s.Provider && us.Spec.Type == s.Type {
		return nil
	}
	return fmt.Errorf("%w: %q is of provider %q, type %s now, and the pod asked for %q, type %s",
		selection.ErrMissing, us.Name, us.Spec.Provider, us.Spec.Type, s.Provider, s.Type)
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
