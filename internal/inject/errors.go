package inject

import (
	"errors"

	"usersecrets.dev/operator/api/v1alpha1"
)

// One sentinel for each class of refusal. The texts are for the pod's author.
var (
	// ErrNotRequested: the pod carries no usersecrets.dev/inject.
	ErrNotRequested = errors.New("the pod has no annotation " + v1alpha1.InjectAnnotation +
		": name the secrets in it, or remove the Secret whose name starts with " + v1alpha1.ProjectionNamePrefix + " from the spec")
	// ErrUnknownAnnotation: an annotation of ours that has no meaning on a pod.
	ErrUnknownAnnotation = errors.New("unknown annotation")

	// ErrInject: usersecrets.dev/inject is malformed.
	ErrInject = errors.New("malformed annotation " + v1alpha1.InjectAnnotation)
	// ErrInjectAs: usersecrets.dev/inject-as is malformed.
	ErrInjectAs = errors.New("malformed annotation " + v1alpha1.InjectAsAnnotation)
	// ErrMountPath: usersecrets.dev/mount-path is malformed.
	ErrMountPath = errors.New("malformed annotation " + v1alpha1.MountPathAnnotation)
	// ErrTTL: usersecrets.dev/ttl is malformed or out of bounds.
	ErrTTL = errors.New("malformed annotation " + v1alpha1.TTLAnnotation)
	// ErrContainers: usersecrets.dev/containers is malformed, or names a
	// container that the pod does not have.
	ErrContainers = errors.New("malformed annotation " + v1alpha1.ContainersAnnotation)

	// ErrKey: a key is no name for a file and an environment variable.
	ErrKey = errors.New("malformed key")
	// ErrDuplicateKey: two elements would go to the same key.
	ErrDuplicateKey = errors.New("the same key twice")
	// ErrVolumeTaken: the pod uses our volume's name for something else.
	ErrVolumeTaken = errors.New("the volume name " + VolumeName + " is taken")
	// ErrMountCollision: the mount path overlaps one of the container's own.
	ErrMountCollision = errors.New("colliding mount path")
	// ErrEnvCollision: a container sets an environment variable of the same name.
	ErrEnvCollision = errors.New("colliding environment variable")
	// ErrProjectionName: the name given to Mutate lacks the reserved prefix.
	ErrProjectionName = errors.New("malformed projection name")

	// ErrEnvValue: a value cannot be an environment variable.
	ErrEnvValue = errors.New("value cannot be an environment variable")
	// ErrTooLarge: all values of a pod together do not fit into one Secret.
	ErrTooLarge = errors.New("values too large")
)
