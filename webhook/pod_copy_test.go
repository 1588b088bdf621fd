package webhook

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// An earlier injection is replaced, whatever the copy says of its requester.
func TestInjectReplacesAnEarlierInjection(t *testing.T) {
	c := makeCluster(t)
	pod := makePod("openai", "projection", "usersecret-old", "requested-by", "alice")
	pod.Spec.Volumes = []corev1.Volume{{Name: "usersecrets", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "usersecret-old"}}}}
	req := podRequest(t, "bob", pod)
	got := patched(t, req, c.injectPod(req))
	if strings.Contains(string(encode(t, got)), "usersecret-old") {
		t.Errorf("the earlier projection is still there: %v", got)
	}
	if by := at(got, "metadata", "annotations", v1alpha1.RequestedByAnnotation); by != "bob" {
		t.Errorf("requested by %v, want bob", by)
	}
}

// original is a pod that was injected, and debug a copy of it, which kubectl
// debug makes without annotations.
func original() (pod, debug *corev1.Pod) {
	pod = makePod("openai=MY_KEY", "ttl", "5m", "containers", "main", "workflow", "nightly", "projection", "usersecret-old")
	pod.Name, pod.GenerateName = "step-1", ""
	pod.Spec.Volumes = []corev1.Volume{{Name: "usersecrets", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "usersecret-old"}}}}
	pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "usersecrets", MountPath: "/var/run/usersecrets", ReadOnly: true}}
	debug = pod.DeepCopy()
	debug.Name, debug.Annotations = "step-1-debug", nil
	return pod, debug
}

func TestInjectOfACopy(t *testing.T) {
	pod, debug := original()
	others := makePod("openai", "projection", "usersecret-older")
	others.Name = "another"
	elsewhere := pod.DeepCopy()
	elsewhere.Namespace = "bob-flows"
	const message = "spec.volumes[0].secret.secretName names a Secret that was issued to another pod: leave it out, and ask with the annotation usersecrets.dev/inject"
	tests := map[string]struct {
		pods []client.Object
		want string // a refusal
	}{
		"the original is there":      {pods: []client.Object{others, pod}},
		"the original is gone":       {pods: []client.Object{others}, want: message},
		"it is in another namespace": {pods: []client.Object{elsewhere}, want: message},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := makeCluster(t, tt.pods...)
			c.create(makeSecret("openai").sealed(c.seal("openai", canary)).UserSecret)
			req := podRequest(t, "bob", debug)
			resp := c.injectPod(req)
			if tt.want != "" {
				c.checkPodRefused(req, resp, "alice", tt.want)
				return
			}
			got := patched(t, req, resp)
			annotations, _ := at(got, "metadata", "annotations").(map[string]any)
			projection := annotations[v1alpha1.ProjectionAnnotation]
			want := map[string]any{
				v1alpha1.InjectAnnotation: "openai=MY_KEY", v1alpha1.TTLAnnotation: "5m", v1alpha1.ContainersAnnotation: "main",
				v1alpha1.ProjectionAnnotation: projection, v1alpha1.RequestedByAnnotation: "bob",
			}
			if diff := cmp.Diff(want, annotations); diff != "" {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
			if strings.Contains(string(encode(t, got)), "usersecret-old") {
				t.Errorf("the original's projection is still named: %s", encode(t, got))
			}
		})
	}
}

func TestInjectOfACopyWithTheAPIServerAway(t *testing.T) {
	c := makeCluster(t)
	c.fail = func(_ string, object any) error {
		if _, ok := object.(*corev1.PodList); ok {
			return errors.New("the API server is down")
		}
		return nil
	}
	_, debug := original()
	req := podRequest(t, "bob", debug)
	c.checkPodRefused(req, c.injectPod(req), "alice", "looking for the pod that was copied: the API server is down")
}

// A pod that claims another's projection as its own, and asks for nothing.
func TestInjectOfAForgery(t *testing.T) {
	pod, debug := original()
	debug.Annotations = map[string]string{v1alpha1.ProjectionAnnotation: "usersecret-old"}
	c := makeCluster(t, pod)
	req := podRequest(t, "bob", debug)
	c.checkPodRefused(req, c.injectPod(req), "alice", "the pod has no annotation usersecrets.dev/inject: name the secrets in it, or remove the Secret whose name starts with usersecret- from the spec")
}

// What a copy says itself is kept.
func TestInjectOfACopyKeepsOtherAnnotations(t *testing.T) {
	pod, debug := original()
	debug.Annotations = map[string]string{"example.com/note": "mine"}
	c := makeCluster(t, pod)
	req := podRequest(t, "bob", debug)
	if got := patched(t, req, c.injectPod(req)); at(got, "metadata", "annotations", "example.com/note") != "mine" {
		t.Errorf("annotations are %v", at(got, "metadata", "annotations"))
	}
}

// A pod that asks for itself gets what it asks for. Another's projection, which
// it also names, is for the policy to refuse.
func TestInjectOfACopyThatAsks(t *testing.T) {
	pod, debug := original()
	debug.Annotations = map[string]string{v1alpha1.InjectAnnotation: "custom", v1alpha1.MountPathAnnotation: "/secrets"}
	debug.Spec.Volumes[0].Name, debug.Spec.Containers[0].VolumeMounts[0].Name = "mine", "mine"
	c := makeCluster(t, pod)
	req := podRequest(t, "bob", debug)
	got := patched(t, req, c.injectPod(req))
	if ask := at(got, "metadata", "annotations", v1alpha1.InjectAnnotation); ask != "custom" {
		t.Errorf("asks for %v, want custom", ask)
	}
	if !strings.Contains(string(encode(t, got)), "usersecret-old") {
		t.Error("the other's projection is hidden from the policy")
	}
}
