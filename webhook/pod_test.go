package webhook

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/audit"
)

func (c *cluster) injectPod(req admission.Request) admission.Response {
	return (&injector{vault: c.vault, limits: limits}).Handle(context.Background(), req)
}

// makePod asks for something, with pairs of further annotations of ours.
func makePod(ask string, pairs ...string) *corev1.Pod {
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{GenerateName: "step-", Namespace: namespace, Annotations: map[string]string{v1alpha1.InjectAnnotation: ask}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "python"}}},
	}
	for i := 0; i < len(pairs); i += 2 {
		pod.Annotations[v1alpha1.AnnotationPrefix+pairs[i]] = pairs[i+1]
	}
	return pod
}

func podRequest(t *testing.T, user string, pod any) admission.Request {
	t.Helper()
	req := makeRequest(t, user, pod, nil)
	req.Kind, req.Name = metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, "step-1"
	return req
}

// checkPodRefused: a denial in exactly these words, recorded as a use of a pod.
func (c *cluster) checkPodRefused(req admission.Request, resp admission.Response, owner, want string) {
	c.t.Helper()
	resp = complete(c.t, req, resp)
	if resp.Allowed || resp.Patch != nil || resp.Result.Code != http.StatusForbidden || resp.Result.Message != want {
		c.t.Errorf("allowed %t, patch %s, message\n%s\nwant\n%s", resp.Allowed, resp.Patch, resp.Result.Message, want)
	}
	c.checkRecorded(audit.Record{
		ID: "request-1", Time: noon, Type: audit.Use, Decision: audit.Deny, Reason: want,
		Owner: owner, Namespace: req.Namespace, Pod: "step-1", Actor: req.UserInfo.Username,
	})
}

func TestInject(t *testing.T) {
	c := makeCluster(t)
	c.create(makeSecret("openai").sealed(c.seal("openai", canary)).UserSecret)
	raw := decoded(t, makePod("openai"), func(o map[string]any) {
		o["spec"].(map[string]any)["fieldOfTheFuture"] = "kept"
	})
	req := podRequest(t, "bob", raw)
	resp := c.injectPod(req)
	c.checkAllowed(req, resp)
	got := patched(t, req, resp)
	projection, _ := at(got, "metadata", "annotations", v1alpha1.ProjectionAnnotation).(string)
	if !strings.HasPrefix(projection, "usersecret-") || len(projection) != 37 {
		t.Errorf("projection is %q", projection)
	}
	want := decoded(t, raw, func(o map[string]any) {
		metadata, spec := o["metadata"].(map[string]any), o["spec"].(map[string]any)
		metadata["labels"] = map[string]any{v1alpha1.InjectedLabel: "true"}
		annotations := metadata["annotations"].(map[string]any)
		annotations[v1alpha1.ProjectionAnnotation], annotations[v1alpha1.RequestedByAnnotation] = projection, "bob"
		spec["volumes"] = []any{map[string]any{"name": "usersecrets", "secret": map[string]any{"secretName": projection, "defaultMode": 292.0}}}
		spec["containers"].([]any)[0].(map[string]any)["volumeMounts"] = []any{
			map[string]any{"name": "usersecrets", "mountPath": "/var/run/usersecrets", "readOnly": true},
		}
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pod (-want +got):\n%s", diff)
	}
	c.checkRecorded() // the projection controller records each use
	if again := patched(t, req, c.injectPod(req)); at(again, "metadata", "annotations", v1alpha1.ProjectionAnnotation) == projection {
		t.Error("the next pod has the same projection")
	}
}

func TestInjectAsEnv(t *testing.T) {
	c := makeCluster(t)
	c.create(makeSecret("openai").sealed(c.seal("openai", canary)).UserSecret)
	req := podRequest(t, "alice", makePod("openai=MY_KEY", "inject-as", "env"))
	got := patched(t, req, c.injectPod(req))
	container := got["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)
	projection := at(got, "metadata", "annotations", v1alpha1.ProjectionAnnotation)
	want := []any{map[string]any{"secretRef": map[string]any{"name": projection}}}
	if diff := cmp.Diff(want, container["envFrom"]); diff != "" {
		t.Errorf("envFrom (-want +got):\n%s", diff)
	}
}

// What does not exist yet is a warning: the pod waits.
func TestInjectWarns(t *testing.T) {
	c := makeCluster(t)
	req := podRequest(t, "alice", makePod("openai, name:db=URL, name:later"))
	c.checkAllowed(req, c.injectPod(req),
		`openai: no such UserSecret yet: provider "openai", type api_key; the namespace's owner makes one with 'kubectl usersecret create'; the pod waits for it`,
		`name:db: no such UserSecret yet: "db"; the namespace's owner makes it with 'kubectl usersecret create db'; the pod waits for it`,
		`name:later: no such UserSecret yet: "later"; the namespace's owner makes it with 'kubectl usersecret create later'; the pod waits for it`)
	c.checkRecorded()
}

// A file takes any bytes, and is not looked into at admission: what does not open
// keeps the pod waiting, and its owner can mend it.
func TestInjectAsVolumeOpensNothing(t *testing.T) {
	c := makeCluster(t)
	c.create(makeSecret("openai").sealed(c.seal("openai", canary+"\x00\xff")).UserSecret)
	c.create(makeSecret("db").of("custom", v1alpha1.TypeCustom).sealed(c.seal("slack", canary)).UserSecret)
	req := podRequest(t, "alice", makePod("openai, name:db"))
	c.checkAllowed(req, c.injectPod(req))
}
