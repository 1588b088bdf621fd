package inject

import (
	"fmt"
	"iter"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"usersecrets.dev/operator/api/v1alpha1"
)

// parseContainers gives the names of the containers that get the values:
// those in the annotation, or all of them, init containers first.
func parseContainers(pod *corev1.Pod) ([]string, error) {
	text, ok := pod.Annotations[v1alpha1.ContainersAnnotation]
	all := containerNames(pod)
	if !ok {
		return all, nil
	}
	names := split(text)
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: the list is empty: name a container, or leave the annotation out for all", ErrContainers)
	}
	for i, name := range names {
		if err := checkContainer(name, all); err != nil {
			return nil, fmt.Errorf("%w: element %d %w", ErrContainers, i+1, err)
		}
	}
	if i, j, found := repeat(names); found {
		return nil, fmt.Errorf("%w: elements %d and %d are the same: remove one", ErrContainers, i+1, j+1)
	}
	return names, nil
}

func checkContainer(name string, all []string) error {
	switch {
	case name == "":
		return fmt.Errorf("is empty: remove the extra comma")
	case slices.Contains(all, name):
		return nil
	case len(validation.IsDNS1123Label(name)) > 0:
		return fmt.Errorf("is no name of a container: the pod has %q", all)
	default:
		return fmt.Errorf("names %q, which the pod does not have: it has %q", name, all)
	}
}

func containerNames(pod *corev1.Pod) []string {
	var names []string
	for c := range lastingContainers(pod) {
		names = append(names, c.Name)
	}
	return names
}

// lastingContainers are the init containers and the containers, in this order.
// Ephemeral ones are left out: they are never there when a pod is created, and
// Kubernetes lets nobody change them.
func lastingContainers(pod *corev1.Pod) iter.Seq[*corev1.Container] {
	return func(yield func(*corev1.Container) bool) {
		for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
			for i := range list {
				if !yield(&list[i]) {
					return
				}
			}
		}
	}
}

// everyContainer is every container of whatever sort, with its place in the pod.
func everyContainer(pod *corev1.Pod) iter.Seq2[*field.Path, *corev1.Container] {
	spec := field.NewPath("spec")
	return func(yield func(*field.Path, *corev1.Container) bool) {
		for i := range pod.Spec.InitContainers {
			if !yield(spec.Child("initContainers").Index(i), &pod.Spec.InitContainers[i]) {
				return
			}
		}
		for i := range pod.Spec.Containers {
			if !yield(spec.Child("containers").Index(i), &pod.Spec.Containers[i]) {
				return
			}
		}
		for i := range pod.Spec.EphemeralContainers {
			c := (*corev1.Container)(&pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
			if !yield(spec.Child("ephemeralContainers").Index(i), c) {
				return
			}
		}
	}
}
