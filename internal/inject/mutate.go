package inject

import (
	"crypto/rand"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"usersecrets.dev/operator/api/v1alpha1"
)

// VolumeName is the name of the volume that Mutate adds.
const VolumeName = "usersecrets"

// fileMode lets everybody in the container read, and nobody write. 0440 would
// lock out containers that run as another user than root in a pod without
// fsGroup, which is most of them: the kubelet makes root the owner of the files.
// The volume is in memory, and only this pod's containers see it.
const fileMode int32 = 0o444

// Stamp is what admission adds of its own: a fresh name, and who asked.
type Stamp struct {
	// Projection is the name of the Secret to be, from NewProjectionName.
	Projection string
	// RequestedBy is the username that creates the pod, as the API server gives it.
	RequestedBy string
}

// NewProjectionName is a name that nobody can guess, 37 characters long: the
// reserved prefix and 130 random bits in lower-case base32. It cannot come from
// the pod, whose name and UID need not exist yet at mutating admission.
func NewProjectionName() string {
	return v1alpha1.ProjectionNamePrefix + strings.ToLower(rand.Text())
}

// Mutate writes an injection into a pod that is being created, in place of any
// earlier one, which a copied pod brings along. The containers of req get the
// Secret named in stamp as a read-only volume or as environment variables,
// never optional: the pod waits until the Secret is there.
//
// The pod is left as it was on an error: ErrVolumeTaken, ErrMountCollision or
// ErrProjectionName.
func Mutate(pod *corev1.Pod, req Request, stamp Stamp) error {
	if !strings.HasPrefix(stamp.Projection, v1alpha1.ProjectionNamePrefix) {
		return fmt.Errorf("%w: it must start with %q", ErrProjectionName, v1alpha1.ProjectionNamePrefix)
	}
	out := pod.DeepCopy()
	strip(out)
	switch req.As {
	case AsEnv:
		addEnv(out, req, stamp.Projection)
	default:
		if err := checkVolume(out); err != nil {
			return err
		}
		if err := checkMounts(out, req); err != nil {
			return err
		}
		addVolume(out, req, stamp.Projection)
	}
	mark(out, req, stamp)
	*pod = *out
	return nil
}

func addVolume(pod *corev1.Pod, req Request, projection string) {
	mode := fileMode
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
		Name: VolumeName,
		VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: projection, DefaultMode: &mode},
		},
	})
	for c := range req.chosen(pod) {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{
			Name: VolumeName, MountPath: req.MountPath, ReadOnly: true,
		})
	}
}

func addEnv(pod *corev1.Pod, req Request, projection string) {
	for c := range req.chosen(pod) {
		c.EnvFrom = append(c.EnvFrom, corev1.EnvFromSource{
			SecretRef: &corev1.SecretEnvSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: projection},
			},
		})
	}
}

// mark adds what the operator's cache, its controllers and its policies go by. On
// whose behalf the pod runs is among it: labels of others can change while the pod
// waits, and annotations of ours cannot.
func mark(pod *corev1.Pod, req Request, stamp Stamp) {
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Annotations[v1alpha1.ProjectionAnnotation] = stamp.Projection
	pod.Annotations[v1alpha1.RequestedByAnnotation] = stamp.RequestedBy
	pod.Labels[v1alpha1.InjectedLabel] = "true"
	for key, text := range map[string]string{v1alpha1.WorkflowAnnotation: req.Workflow, v1alpha1.NodeAnnotation: req.Node} {
		if _, own := pod.Annotations[key]; !own && text != "" {
			pod.Annotations[key] = text
		}
	}
}
