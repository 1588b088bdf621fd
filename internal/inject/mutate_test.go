package inject_test

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"usersecrets.dev/operator/internal/inject"
)

var (
	stampOne = inject.Stamp{Projection: "usersecret-one", RequestedBy: "alice"}
	stampTwo = inject.Stamp{Projection: "usersecret-two", RequestedBy: "bob"}
)

// mutated gives the pod an injection as its annotations ask for.
func mutated(t *testing.T, pod *corev1.Pod, stamp inject.Stamp) *corev1.Pod {
	t.Helper()
	req, err := inject.ParseRequest(pod, inject.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := inject.Mutate(pod, req, stamp); err != nil {
		t.Fatal(err)
	}
	return pod
}

func TestMutateVolume(t *testing.T) {
	got := mutated(t, makePod("containers", "fetch,main", "mount-path", "/s"), stampOne)

	want := makePod("containers", "fetch,main", "mount-path", "/s", "projection", "usersecret-one", "requested-by", "alice")
	want.Labels = map[string]string{"usersecrets.dev/injected": "true"}
	mode := int32(0o444)
	want.Spec.Volumes = []corev1.Volume{{
		Name: "usersecrets",
		VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: "usersecret-one", DefaultMode: &mode, // no Items, not Optional
		}},
	}}
	mounts := []corev1.VolumeMount{{Name: "usersecrets", MountPath: "/s", ReadOnly: true}}
	want.Spec.InitContainers[0].VolumeMounts = mounts
	want.Spec.Containers[0].VolumeMounts = mounts
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pod (-want +got):\n%s", diff)
	}
}

func TestMutateEnv(t *testing.T) {
	pod := makePod("inject-as", "env", "containers", "sidecar,fetch")
	own := corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "mine"}}}
	pod.Spec.Containers[1].EnvFrom = []corev1.EnvFromSource{own}
	got := mutated(t, pod, stampOne)

	want := makePod("inject-as", "env", "containers", "sidecar,fetch", "projection", "usersecret-one", "requested-by", "alice")
	want.Labels = map[string]string{"usersecrets.dev/injected": "true"}
	issued := corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{ // not Optional
		LocalObjectReference: corev1.LocalObjectReference{Name: "usersecret-one"},
	}}
	want.Spec.InitContainers[0].EnvFrom = []corev1.EnvFromSource{issued}
	want.Spec.Containers[1].EnvFrom = []corev1.EnvFromSource{own, issued} // the last one wins
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pod (-want +got):\n%s", diff)
	}
}

// A pod copied from an injected one ends up as if it had never been one, in
// whichever way the two are injected.
func TestMutateReplacesEarlierInjection(t *testing.T) {
	tests := map[string]struct{ before, after []string }{
		"volume, volume":   {nil, nil},
		"env, env":         {[]string{"inject-as", "env"}, []string{"inject-as", "env"}},
		"volume, env":      {[]string{"mount-path", "/a"}, []string{"inject-as", "env"}},
		"env, volume":      {[]string{"inject-as", "env"}, []string{"inject-as", "volume"}},
		"other containers": {[]string{"containers", "main,fetch"}, []string{"containers", "sidecar"}},
		"other path":       {[]string{"mount-path", "/a"}, []string{"mount-path", "/a/b"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			copied := mutated(t, makePod(tt.before...), stampOne)
			for key := range makePod(tt.before...).Annotations {
				delete(copied.Annotations, key)
			}
			for key, value := range makePod(tt.after...).Annotations {
				copied.Annotations[key] = value
			}
			got := mutated(t, copied, stampTwo)

			want := mutated(t, makePod(tt.after...), stampTwo)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pod (-want +got):\n%s", diff)
			}
			for _, ref := range inject.SecretNames(got) {
				if ref.Name != "usersecret-two" {
					t.Errorf("the pod still names %+v", ref)
				}
			}
		})
	}
}

// Only our own traces count as an earlier injection. What a user wrote stays,
// for policies to refuse or for the API server to accept.
func TestMutateKeepsWhatIsNotOurs(t *testing.T) {
	envFrom := func(name string) corev1.EnvFromSource {
		return corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}}
	}
	tests := map[string]struct {
		projection string
		secret     string
		wantKept   bool
	}{
		"its own earlier projection":       {"usersecret-old", "usersecret-old", false},
		"another pod's projection":         {"usersecret-old", "usersecret-other", true},
		"a Secret without our prefix":      {"mine", "mine", true},
		"a projection, without annotation": {"", "usersecret-old", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			pod := makePod("inject-as", "env", "containers", "main", "projection", tt.projection)
			pod.Spec.Containers[1].EnvFrom = []corev1.EnvFromSource{envFrom(tt.secret)}
			mutated(t, pod, stampOne)
			if got := len(pod.Spec.Containers[1].EnvFrom) == 1; got != tt.wantKept {
				t.Errorf("kept = %v, want %v", got, tt.wantKept)
			}
		})
	}
}

// A volume of another name that a user made of the earlier projection is no
// trace of ours: it stays, and is then foreign.
func TestMutateKeepsOtherVolumes(t *testing.T) {
	pod := makePod("projection", "usersecret-old")
	pod.Spec.Volumes = []corev1.Volume{{Name: "mine", VolumeSource: corev1.VolumeSource{
		Secret: &corev1.SecretVolumeSource{SecretName: "usersecret-old"},
	}}}
	mutated(t, pod, stampOne)
	want := []inject.Reference{{Name: "usersecret-old", Path: "spec.volumes[0].secret.secretName"}}
	if diff := cmp.Diff(want, inject.ForeignProjections(pod)); diff != "" {
		t.Errorf("foreign (-want +got):\n%s", diff)
	}
}

func TestMutateRefusesForeignName(t *testing.T) {
	pod := makePod()
	req, err := inject.ParseRequest(pod, inject.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	err = inject.Mutate(pod, req, inject.Stamp{Projection: "somebody-elses", RequestedBy: "alice"})
	assertRefusal(t, err, `malformed projection name: it must start with "usersecret-"`, inject.ErrProjectionName)
}

func TestNewProjectionName(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		name := inject.NewProjectionName()
		if !regexp.MustCompile(`^usersecret-[a-z2-7]{26}$`).MatchString(name) {
			t.Errorf("name %q", name)
		}
		if seen[name] {
			t.Errorf("name %q came twice", name)
		}
		seen[name] = true
	}
}

// Labels of others can change while the pod waits; what they said is kept in
// annotations that cannot. What the pod says itself stays as it is.
func TestMutateKeepsTheIdentity(t *testing.T) {
	tests := map[string]struct {
		own, want []string
	}{
		"from labels": {want: []string{"workflow", "nightly-1", "node", "train"}},
		"its own":     {own: []string{"workflow", " mine ", "node", "first"}, want: []string{"workflow", " mine ", "node", "first"}},
		"one of both": {own: []string{"workflow", "mine"}, want: []string{"workflow", "mine", "node", "train"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			pod := makePod(tt.own...)
			pod.Labels = map[string]string{"tekton.dev/pipelineRun": "nightly-1", "tekton.dev/pipelineTask": "train"}
			got := mutated(t, pod, stampOne)
			want := makePod(append(tt.want, "projection", "usersecret-one", "requested-by", "alice")...)
			if diff := cmp.Diff(want.Annotations, got.Annotations); diff != "" {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
		})
	}
}
