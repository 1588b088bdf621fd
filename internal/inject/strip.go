package inject

import (
	"iter"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"usersecrets.dev/operator/api/v1alpha1"
)

// strip removes an earlier injection from the spec; its marks on the metadata
// are overwritten. Only what names the Secret of the pod's own projection
// annotation counts as one; anything else with the reserved prefix stays, and is
// refused by name by the policy for pods.
func strip(pod *corev1.Pod) {
	old := pod.Annotations[v1alpha1.ProjectionAnnotation]
	if strings.HasPrefix(old, v1alpha1.ProjectionNamePrefix) {
		stripVolume(pod, old)
		stripEnv(pod, old)
	}
}

func stripVolume(pod *corev1.Pod, old string) {
	before := len(pod.Spec.Volumes)
	pod.Spec.Volumes = without(pod.Spec.Volumes, func(v corev1.Volume) bool {
		return v.Name == VolumeName && v.Secret != nil && v.Secret.SecretName == old
	})
	if len(pod.Spec.Volumes) == before {
		return
	}
	for c := range lastingContainers(pod) {
		c.VolumeMounts = without(c.VolumeMounts, func(m corev1.VolumeMount) bool {
			return m.Name == VolumeName
		})
	}
}

func stripEnv(pod *corev1.Pod, old string) {
	for c := range lastingContainers(pod) {
		c.EnvFrom = without(c.EnvFrom, func(e corev1.EnvFromSource) bool {
			return e.SecretRef != nil && e.SecretRef.Name == old
		})
	}
}

// without is the list without what matches, and nil where nothing is left, so
// that the pod looks as if the matches had never been there.
func without[E any](list []E, match func(E) bool) []E {
	list = slices.DeleteFunc(list, match)
	if len(list) == 0 {
		return nil
	}
	return list
}

// chosen are the pod's containers that the request names.
func (r Request) chosen(pod *corev1.Pod) iter.Seq[*corev1.Container] {
	return func(yield func(*corev1.Container) bool) {
		for c := range lastingContainers(pod) {
			if slices.Contains(r.Containers, c.Name) && !yield(c) {
				return
			}
		}
	}
}
