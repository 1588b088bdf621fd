package inject_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"usersecrets.dev/operator/internal/inject"
)

// placesOfSecrets are all fields of a PodSpec, at k8s.io/api v0.37, that name a
// Secret. The policy for pods has the same list.
var placesOfSecrets = []string{
	"spec.containers[0].envFrom[0].secretRef.name",
	"spec.containers[0].env[0].valueFrom.secretKeyRef.name",
	"spec.ephemeralContainers[0].envFrom[0].secretRef.name",
	"spec.ephemeralContainers[0].env[0].valueFrom.secretKeyRef.name",
	"spec.imagePullSecrets[0].name",
	"spec.initContainers[0].envFrom[0].secretRef.name",
	"spec.initContainers[0].env[0].valueFrom.secretKeyRef.name",
	"spec.volumes[0].azureFile.secretName",
	"spec.volumes[0].cephfs.secretRef.name",
	"spec.volumes[0].cinder.secretRef.name",
	"spec.volumes[0].csi.nodePublishSecretRef.name",
	"spec.volumes[0].flexVolume.secretRef.name",
	"spec.volumes[0].iscsi.secretRef.name",
	"spec.volumes[0].projected.sources[0].secret.name",
	"spec.volumes[0].rbd.secretRef.name",
	"spec.volumes[0].scaleIO.secretRef.name",
	"spec.volumes[0].secret.secretName",
	"spec.volumes[0].storageos.secretRef.name",
}

// placesOfOthers are the fields that look as if they could name a Secret, and
// why they do not.
var placesOfOthers = map[string]string{
	"spec.volumes[0].configMap.name":                                                 configMap,
	"spec.volumes[0].projected.sources[0].configMap.name":                            configMap,
	"spec.initContainers[0].env[0].valueFrom.configMapKeyRef.name":                   configMap,
	"spec.initContainers[0].envFrom[0].configMapRef.name":                            configMap,
	"spec.containers[0].env[0].valueFrom.configMapKeyRef.name":                       configMap,
	"spec.containers[0].envFrom[0].configMapRef.name":                                configMap,
	"spec.ephemeralContainers[0].env[0].valueFrom.configMapKeyRef.name":              configMap,
	"spec.ephemeralContainers[0].envFrom[0].configMapRef.name":                       configMap,
	"spec.volumes[0].cephfs.secretFile":                                              "a path on the node",
	"spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.ownerReferences[0].name": "an owner, of which nothing is read",
	"spec.volumes[0].ephemeral.volumeClaimTemplate.spec.dataSource.name":             dataSource,
	"spec.volumes[0].ephemeral.volumeClaimTemplate.spec.dataSourceRef.name":          dataSource,
}

const (
	configMap  = "a ConfigMap"
	dataSource = "of the core group, a claim's source can be another claim alone"
)

// Every field that could name a Secret is either seen by SecretNames, or listed
// with the reason why it need not be. A new release of k8s.io/api with a new way
// to name one fails here.
func TestSecretNamesIsComplete(t *testing.T) {
	var seen []string
	for _, place := range candidates(t) {
		pod := &corev1.Pod{}
		place.set(t, pod, "some-secret")
		refs := inject.SecretNames(pod)
		reason, other := placesOfOthers[place.path()]
		switch {
		case other && len(refs) > 0:
			t.Errorf("%s is seen as %v, and listed as another thing: %s", place.path(), refs, reason)
		case other:
		case len(refs) == 0:
			t.Errorf("%s may name a Secret, and SecretNames does not see it", place.path())
		default:
			seen = append(seen, refs[0].Path)
			want := []inject.Reference{{Name: "some-secret", Path: place.path()}}
			if diff := cmp.Diff(want, refs); diff != "" {
				t.Errorf("%s (-want +got):\n%s", place.path(), diff)
			}
		}
	}
	slices.Sort(seen)
	if diff := cmp.Diff(placesOfSecrets, seen); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
}

// A reason for a field that is no longer there is out of date.
func TestPlacesOfOthersExist(t *testing.T) {
	var paths []string
	for _, place := range candidates(t) {
		paths = append(paths, place.path())
	}
	for _, path := range slices.Sorted(maps.Keys(placesOfOthers)) {
		if !slices.Contains(paths, path) {
			t.Errorf("%s is no field that could name a Secret", path)
		}
	}
}

// Kubernetes looks at one source of a volume; before validation it may have two.
func TestSecretNamesOfVolumeWithTwoSources(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{
		AzureFile: &corev1.AzureFileVolumeSource{SecretName: "a"},
		Secret:    &corev1.SecretVolumeSource{SecretName: "b"},
	}}}}}
	want := []inject.Reference{
		{Name: "b", Path: "spec.volumes[0].secret.secretName"},
		{Name: "a", Path: "spec.volumes[0].azureFile.secretName"},
	}
	if diff := cmp.Diff(want, inject.SecretNames(pod)); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}
}

// A place without a name names nothing.
func TestSecretNamesOfEmptyPlaces(t *testing.T) {
	pod := &corev1.Pod{}
	for _, place := range candidates(t) {
		place.set(t, pod, "")
		if refs := inject.SecretNames(pod); len(refs) > 0 {
			t.Errorf("%s: %v, want nothing", place.path(), refs)
		}
	}
}

func TestForeignProjections(t *testing.T) {
	pod := makePod("projection", "usersecret-own")
	for i, name := range []string{"mine", "usersecret-own", "usersecret-bobs", "usersecret-"} {
		pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
		pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{})
		pod.Spec.EphemeralContainers[i].EnvFrom = []corev1.EnvFromSource{
			{}, {SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}},
		}
	}
	want := []inject.Reference{
		{Name: "usersecret-bobs", Path: "spec.imagePullSecrets[2].name"},
		{Name: "usersecret-", Path: "spec.imagePullSecrets[3].name"},
		{Name: "usersecret-bobs", Path: "spec.ephemeralContainers[2].envFrom[1].secretRef.name"},
		{Name: "usersecret-", Path: "spec.ephemeralContainers[3].envFrom[1].secretRef.name"},
	}
	if diff := cmp.Diff(want, inject.ForeignProjections(pod)); diff != "" {
		t.Errorf("foreign (-want +got):\n%s", diff)
	}
}

// Without an annotation, no projection is the pod's own.
func TestForeignProjectionsWithoutOwn(t *testing.T) {
	pod := makePod()
	pod.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "usersecret-old"}, {Name: ""}}
	want := []inject.Reference{{Name: "usersecret-old", Path: "spec.imagePullSecrets[0].name"}}
	if diff := cmp.Diff(want, inject.ForeignProjections(pod)); diff != "" {
		t.Errorf("foreign (-want +got):\n%s", diff)
	}
}
