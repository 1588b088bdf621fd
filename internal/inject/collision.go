package inject

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"usersecrets.dev/operator/api/v1alpha1"
)

// checkVolume refuses a pod that uses our volume's name itself, be it for a
// volume or for a mount of a volume that is not there.
func checkVolume(pod *corev1.Pod) error {
	for _, v := range pod.Spec.Volumes {
		if v.Name == VolumeName {
			return fmt.Errorf("%w: the pod has a volume of that name: give it another", ErrVolumeTaken)
		}
	}
	for path, c := range everyContainer(pod) {
		for _, m := range c.VolumeMounts {
			if m.Name == VolumeName {
				return fmt.Errorf("%w: %s mounts it: remove the mount, %s says where values go",
					ErrVolumeTaken, path, v1alpha1.MountPathAnnotation)
			}
		}
	}
	return nil
}

// checkMounts refuses a mount path that is, contains or lies in one of a chosen
// container's own: one of the two would hide the other's files, or keep the
// container from starting.
func checkMounts(pod *corev1.Pod, req Request) error {
	for c := range req.chosen(pod) {
		for _, own := range ownPaths(c) {
			if overlap(own, req.MountPath) {
				return fmt.Errorf("%w: values would go to %s, and container %q uses %q: choose another path with %s, or leave the container out with %s",
					ErrMountCollision, req.MountPath, c.Name, own, v1alpha1.MountPathAnnotation, v1alpha1.ContainersAnnotation)
			}
		}
	}
	return nil
}

// ownPaths are the paths that something is put at in a container: volumes,
// block devices, and the kubelet's file for the termination message.
func ownPaths(c *corev1.Container) []string {
	var paths []string
	for _, m := range c.VolumeMounts {
		paths = append(paths, m.MountPath)
	}
	for _, d := range c.VolumeDevices {
		paths = append(paths, d.DevicePath)
	}
	if c.TerminationMessagePath != "" {
		paths = append(paths, c.TerminationMessagePath)
	}
	return paths
}

// CheckEnvCollisions refuses, for values that go in as environment variables, a
// chosen container that sets a variable named as one of the keys itself: its own
// would silently win over the secret. The error is ErrEnvCollision. A volume has
// no such collisions.
func CheckEnvCollisions(pod *corev1.Pod, req Request, keys []string) error {
	if req.As != AsEnv {
		return nil
	}
	for c := range req.chosen(pod) {
		for _, env := range c.Env {
			if slices.Contains(keys, env.Name) {
				return fmt.Errorf(`%w: container %q sets %s itself, which would win over the secret: remove it, choose another key with "=KEY", or leave the container out with %s`,
					ErrEnvCollision, c.Name, env.Name, v1alpha1.ContainersAnnotation)
			}
		}
	}
	return nil
}
