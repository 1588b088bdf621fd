package webhook

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/inject"
)

// asked are the annotations that say what a pod wants, and how. On whose behalf
// it runs is not among them: a copy is not that workflow's step.
var asked = []string{
	v1alpha1.InjectAnnotation, v1alpha1.InjectAsAnnotation, v1alpha1.MountPathAnnotation,
	v1alpha1.TTLAnnotation, v1alpha1.ContainersAnnotation,
}

// adoptCopy has a copy of an injected pod ask for what the original asked for.
// `kubectl debug --copy-to` copies the spec, which names the original's
// projection, and drops the annotations. The copy must not have that projection;
// with the original's request it gets one of its own, where it may.
func (i *injector) adoptCopy(ctx context.Context, namespace string, pod *corev1.Pod) error {
	if _, asks := pod.Annotations[v1alpha1.InjectAnnotation]; asks {
		return nil
	}
	foreign := inject.ForeignProjections(pod)
	if len(foreign) == 0 {
		return nil
	}
	original, err := i.podWith(ctx, namespace, foreign[0].Name)
	if err != nil {
		return err
	}
	if original == nil {
		return fmt.Errorf("%s names a Secret that was issued to another pod: leave it out, and ask with the annotation %s", foreign[0].Path, v1alpha1.InjectAnnotation)
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	for _, key := range asked {
		if value, ok := original.Annotations[key]; ok {
			pod.Annotations[key] = value
		}
	}
	// What the copy brought along is known as an earlier injection by this.
	pod.Annotations[v1alpha1.ProjectionAnnotation] = foreign[0].Name
	return nil
}

// podWith is the pod of a namespace that a projection was issued to, or nil.
func (i *injector) podWith(ctx context.Context, namespace, projection string) (*corev1.Pod, error) {
	var pods corev1.PodList
	if err := i.reader.List(ctx, &pods, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("looking for the pod that was copied: %w", err)
	}
	for n := range pods.Items {
		if pods.Items[n].Annotations[v1alpha1.ProjectionAnnotation] == projection {
			return &pods.Items[n], nil
		}
	}
	return nil, nil
}
