package inject

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"usersecrets.dev/operator/api/v1alpha1"
)

// As is how values reach a container.
type As string

const (
	// AsVolume makes each value a file; it can be taken away again.
	AsVolume As = "volume"
	// AsEnv makes each value an environment variable, which nobody can take
	// away from a running process.
	AsEnv As = "env"
)

// Request is what a pod's annotations ask for, complete: defaults are filled in.
type Request struct {
	// Items are the secrets, 1 to MaxItems, in the order of the annotation.
	Items []Item
	// As is AsVolume or AsEnv.
	As As
	// MountPath is where the volume goes: absolute and clean.
	MountPath string
	// TTL is how long the projection holds data, counted from its creation.
	// Zero, which only happens where Limits are zero too, means as long as the
	// pod lives.
	TTL time.Duration
	// Containers are the names of the containers, init containers among them,
	// that get the values, at least one.
	Containers []string
	// Workflow and Node say on whose behalf the pod runs, as Identify gives them.
	Workflow, Node string
}

// Limits are the operator's bounds.
type Limits struct {
	// MaxTTL is the longest TTL, and zero for none. A pod that gives no TTL is
	// held to it too: a limit that ends when one does not mention it is none.
	MaxTTL time.Duration
	// DefaultTTL is the TTL of pods that give none, and zero for MaxTTL.
	DefaultTTL time.Duration
}

// askedAnnotations are those of ours that a pod's author may write.
var askedAnnotations = []string{
	v1alpha1.InjectAnnotation, v1alpha1.InjectAsAnnotation, v1alpha1.MountPathAnnotation,
	v1alpha1.TTLAnnotation, v1alpha1.ContainersAnnotation,
	v1alpha1.WorkflowAnnotation, v1alpha1.NodeAnnotation,
}

// stampedAnnotations are those that admission writes, and that a copied pod
// brings along.
var stampedAnnotations = []string{v1alpha1.ProjectionAnnotation, v1alpha1.RequestedByAnnotation}

// ParseRequest reads a pod's annotations. The first thing that is wrong is the
// error: ErrNotRequested, ErrUnknownAnnotation, ErrInject, ErrDuplicateKey,
// ErrInjectAs, ErrMountPath, ErrTTL or ErrContainers.
func ParseRequest(pod *corev1.Pod, limits Limits) (Request, error) {
	list, ok := pod.Annotations[v1alpha1.InjectAnnotation]
	if !ok {
		return Request{}, ErrNotRequested
	}
	if err := checkAnnotations(pod.Annotations); err != nil {
		return Request{}, err
	}
	var req Request
	var err error
	if req.Items, err = ParseList(list); err != nil {
		return Request{}, err
	}
	if req.As, err = parseAs(pod.Annotations); err != nil {
		return Request{}, err
	}
	if req.MountPath, err = parseMountPath(pod.Annotations); err != nil {
		return Request{}, err
	}
	if req.TTL, err = parseTTL(pod.Annotations, limits); err != nil {
		return Request{}, err
	}
	if req.Containers, err = parseContainers(pod); err != nil {
		return Request{}, err
	}
	req.Workflow, req.Node = Identify(pod)
	return req, nil
}

// checkAnnotations refuses a misspelt annotation of ours. Passed over, a
// misspelt usersecrets.dev/containers would hand values to every container.
func checkAnnotations(annotations map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if !strings.HasPrefix(key, v1alpha1.AnnotationPrefix) ||
			slices.Contains(askedAnnotations, key) || slices.Contains(stampedAnnotations, key) {
			continue
		}
		return fmt.Errorf("%w %q: pods have %s", ErrUnknownAnnotation, key, strings.Join(askedAnnotations, ", "))
	}
	return nil
}

func parseAs(annotations map[string]string) (As, error) {
	text, ok := annotations[v1alpha1.InjectAsAnnotation]
	if !ok {
		return AsVolume, nil
	}
	switch as := As(strings.TrimSpace(text)); as {
	case AsVolume, AsEnv:
		return as, nil
	default:
		return "", fmt.Errorf("%w: it must be %q (files, the default) or %q (environment variables)", ErrInjectAs, AsVolume, AsEnv)
	}
}
