package projection

import (
	"encoding/json"
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
)

// checkRecord: every pod is counted once, and the list is what it should be.
func (c *cluster) checkRecord(before, after *v1alpha1.UserSecret) {
	of := after.UID
	if c.recorded[of] == nil {
		c.recorded[of] = map[types.UID]bool{}
	}
	stood := map[string]bool{}
	for _, access := range before.Status.RecentAccesses {
		stood[access.PodUID] = true
	}
	fresh, seen := 0, map[string]bool{}
	for _, access := range after.Status.RecentAccesses {
		if seen[access.PodUID] {
			c.complain("%s: pod %s stands in recentAccesses twice", after.Name, access.PodUID)
		}
		seen[access.PodUID] = true
		if stood[access.PodUID] {
			continue
		}
		fresh++
		if c.recorded[of][types.UID(access.PodUID)] {
			c.complain("%s: pod %s is counted twice", after.Name, access.PodUID)
		}
		c.recorded[of][types.UID(access.PodUID)] = true
	}
	c.groups = append(c.groups, fresh)
	if n := countOf(after) - countOf(before); n != int64(fresh) {
		c.complain("%s: %d pods are new in recentAccesses, and count grew by %d", after.Name, fresh, n)
	}
	if n := len(after.Status.RecentAccesses); n > v1alpha1.MaxRecentAccesses {
		c.complain("%s: recentAccesses has %d entries", after.Name, n)
	}
}

// checkServed: no use is served that is not recorded.
func (c *cluster) checkServed(secret *corev1.Secret) {
	pod := types.UID(secret.Annotations[v1alpha1.PodUIDAnnotation])
	from := readSources(secret)
	for key := range secret.Data {
		of := from[key].UID
		if !c.recorded[of][pod] {
			c.complain("Secret %s has %s, and no use of UserSecret %q by pod %s is recorded", secret.Name, key, of, pod)
		}
		if c.granted[of] == nil {
			c.granted[of] = map[types.UID]bool{}
		}
		c.granted[of][pod] = true
	}
}

func countOf(us *v1alpha1.UserSecret) int64 {
	if us.Status.Usage == nil {
		return 0
	}
	return us.Status.Usage.Count
}

// merge applies a JSON merge patch (RFC 7386) to what from marshals to.
func merge(from any, patch []byte, into any) error {
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	var target, change any
	if err := errors.Join(json.Unmarshal(text, &target), json.Unmarshal(patch, &change)); err != nil {
		return err
	}
	if text, err = json.Marshal(mergeValue(target, change)); err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func mergeValue(target, patch any) any {
	change, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	merged, ok := target.(map[string]any)
	if !ok {
		merged = map[string]any{}
	}
	for key, value := range change {
		if value == nil {
			delete(merged, key)
			continue
		}
		merged[key] = mergeValue(merged[key], value)
	}
	return merged
}
