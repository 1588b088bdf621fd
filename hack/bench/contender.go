package main

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

// contender makes one Secret for every pod that is its own.
type contender struct {
	name string
	// secretType tells its Secrets from the others'.
	secretType corev1.SecretType
	// pod is one that it serves with a value from a source.
	pod func(from source, name string) *corev1.Pod
	// start has it begin; what it returns ends it. The operator runs already.
	start func(ctx context.Context) (stop func() error, err error)
}

const (
	// podLabel is on every pod of a measurement.
	podLabel = floorGroup + "/pod"
	// floorLabel selects the pods that a floor serves.
	floorLabel = floorGroup + "/floor"
	// recordAnnotation names the object that a floor records the pod's use in.
	recordAnnotation = floorGroup + "/record"
	// floorSecretType is that of the floors' Secrets.
	floorSecretType = floorGroup + "/secret"
	// valueKey is the key of the value in every Secret.
	valueKey = "API_KEY"
)

func theOperator() contender {
	return contender{
		name: "the operator", secretType: v1alpha1.ProjectionSecretType,
		pod: func(from source, name string) *corev1.Pod {
			pod := rig.WorkflowPod(from.namespace, name, "name:"+from.name+"="+valueKey)
			metav1.SetMetaDataLabel(&pod.ObjectMeta, podLabel, "true")
			return pod
		},
		start: func(context.Context) (func() error, error) { return func() error { return nil }, nil },
	}
}

// floorPod is the same pod, which does not ask the operator for anything: the
// policies look at it all the same.
func floorPod(from source, name string) *corev1.Pod {
	pod := rig.WorkflowPod(from.namespace, name, "")
	delete(pod.Annotations, v1alpha1.InjectAnnotation)
	metav1.SetMetaDataLabel(&pod.ObjectMeta, podLabel, "true")
	metav1.SetMetaDataLabel(&pod.ObjectMeta, floorLabel, "true")
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, recordAnnotation, from.name)
	return pod
}

func (b *bed) contenders() []contender {
	return []contender{
		theOperator(),
		b.asContender("bare floor: the Secret alone", func() *floor { return &floor{workers: floorWorkers} }),
		b.asContender("honest floor: a status write a pod", func() *floor { return &floor{group: 1, workers: floorWorkers} }),
		b.asContender("honest floor: in groups, as we do", func() *floor {
			return &floor{
				group: v1alpha1.MaxRecentAccesses, workers: operatorWorkers, writes: operatorStatusWrites, creates: operatorSecretRequests,
			}
		}),
	}
}

func (b *bed) asContender(name string, build func() *floor) contender {
	return contender{name: name, secretType: floorSecretType, pod: floorPod, start: func(ctx context.Context) (func() error, error) {
		return build().start(ctx, b.floor)
	}}
}
