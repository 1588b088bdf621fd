package inject

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"usersecrets.dev/operator/api/v1alpha1"
)

// Reference is one place of a pod that names a Secret.
type Reference struct {
	// Name is the Secret's name.
	Name string
	// Path is the field, such as "spec.volumes[0].secret.secretName".
	Path string
}

// SecretNames are all Secrets that a pod names, ephemeral containers included:
// what VisitPodSecretNames of Kubernetes 1.37 (pkg/api/v1/pod/util.go) visits,
// and also the further sources of a volume that has several, since admission
// sees pods before they are validated.
//
// What only a driver understands is not seen: the attributes of CSI and Flex
// volumes, and what a claim's volume refers to.
func SecretNames(pod *corev1.Pod) []Reference {
	var found references
	spec := field.NewPath("spec")
	for i, pull := range pod.Spec.ImagePullSecrets {
		found.add(pull.Name, spec.Child("imagePullSecrets").Index(i).Child("name"))
	}
	for path, c := range everyContainer(pod) {
		found.addContainer(c, path)
	}
	for i := range pod.Spec.Volumes {
		found.addVolume(&pod.Spec.Volumes[i].VolumeSource, spec.Child("volumes").Index(i))
	}
	return found
}

// ForeignProjections are the projections that a pod names and that are not its
// own, which is the one in its projection annotation.
func ForeignProjections(pod *corev1.Pod) []Reference {
	own := pod.Annotations[v1alpha1.ProjectionAnnotation]
	var foreign []Reference
	for _, ref := range SecretNames(pod) {
		if strings.HasPrefix(ref.Name, v1alpha1.ProjectionNamePrefix) && ref.Name != own {
			foreign = append(foreign, ref)
		}
	}
	return foreign
}

type references []Reference

func (r *references) add(name string, path *field.Path) {
	if name != "" {
		*r = append(*r, Reference{Name: name, Path: path.String()})
	}
}

func (r *references) addLocal(ref *corev1.LocalObjectReference, path *field.Path) {
	if ref != nil {
		r.add(ref.Name, path.Child("name"))
	}
}

func (r *references) addContainer(c *corev1.Container, at *field.Path) {
	for i, from := range c.EnvFrom {
		if from.SecretRef != nil {
			r.addLocal(&from.SecretRef.LocalObjectReference, at.Child("envFrom").Index(i).Child("secretRef"))
		}
	}
	for i, env := range c.Env {
		if env.ValueFrom != nil && env.ValueFrom.SecretKeyRef != nil {
			r.addLocal(&env.ValueFrom.SecretKeyRef.LocalObjectReference,
				at.Child("env").Index(i).Child("valueFrom", "secretKeyRef"))
		}
	}
}

func (r *references) addVolume(v *corev1.VolumeSource, at *field.Path) {
	if v.Secret != nil {
		r.add(v.Secret.SecretName, at.Child("secret", "secretName"))
	}
	if v.Projected != nil {
		for i, source := range v.Projected.Sources {
			if source.Secret != nil {
				r.addLocal(&source.Secret.LocalObjectReference, at.Child("projected", "sources").Index(i).Child("secret"))
			}
		}
	}
	r.addDriver(v, at)
}

// addDriver looks at the volumes of storage drivers, whose Secrets hold
// credentials for the storage.
func (r *references) addDriver(v *corev1.VolumeSource, at *field.Path) {
	if v.AzureFile != nil {
		r.add(v.AzureFile.SecretName, at.Child("azureFile", "secretName"))
	}
	if v.CephFS != nil {
		r.addLocal(v.CephFS.SecretRef, at.Child("cephfs", "secretRef"))
	}
	if v.Cinder != nil {
		r.addLocal(v.Cinder.SecretRef, at.Child("cinder", "secretRef"))
	}
	if v.CSI != nil {
		r.addLocal(v.CSI.NodePublishSecretRef, at.Child("csi", "nodePublishSecretRef"))
	}
	if v.FlexVolume != nil {
		r.addLocal(v.FlexVolume.SecretRef, at.Child("flexVolume", "secretRef"))
	}
	if v.ISCSI != nil {
		r.addLocal(v.ISCSI.SecretRef, at.Child("iscsi", "secretRef"))
	}
	if v.RBD != nil {
		r.addLocal(v.RBD.SecretRef, at.Child("rbd", "secretRef"))
	}
	if v.ScaleIO != nil {
		r.addLocal(v.ScaleIO.SecretRef, at.Child("scaleIO", "secretRef"))
	}
	if v.StorageOS != nil {
		r.addLocal(v.StorageOS.SecretRef, at.Child("storageos", "secretRef"))
	}
}
