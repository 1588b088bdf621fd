package inject_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"usersecrets.dev/operator/internal/inject"
)

// mount puts the volume "data" into container "main".
func mount(path string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "data"})
		main := &pod.Spec.Containers[0]
		main.VolumeMounts = append(main.VolumeMounts, corev1.VolumeMount{Name: "data", MountPath: path})
	}
}

func TestMutateCollisions(t *testing.T) {
	collides := func(values, container, own string) string {
		return fmt.Sprintf("colliding mount path: values would go to %s, and container %q uses %q: choose another path with usersecrets.dev/mount-path, or leave the container out with usersecrets.dev/containers", values, container, own)
	}
	const ours = "/var/run/usersecrets"
	tests := map[string]struct {
		annotations []string
		edit        func(*corev1.Pod)
		wantError   error
		wantMessage string
	}{
		"elsewhere":      {edit: mount("/data")},
		"neighbour":      {edit: mount("/var/run/usersecrets2")},
		"service token":  {edit: mount("/var/run/secrets/kubernetes.io/serviceaccount")},
		"same path":      {edit: mount(ours), wantError: inject.ErrMountCollision, wantMessage: collides(ours, "main", ours)},
		"same, unclean":  {edit: mount("/var//run/usersecrets/"), wantError: inject.ErrMountCollision, wantMessage: collides(ours, "main", "/var//run/usersecrets/")},
		"same, relative": {edit: mount("var/run/usersecrets"), wantError: inject.ErrMountCollision, wantMessage: collides(ours, "main", "var/run/usersecrets")},
		"same by link":   {edit: mount("/run/usersecrets"), wantError: inject.ErrMountCollision, wantMessage: collides(ours, "main", "/run/usersecrets")},
		"theirs in ours": {edit: mount(ours + "/x/y"), wantError: inject.ErrMountCollision, wantMessage: collides(ours, "main", ours+"/x/y")},
		"ours in theirs": {edit: mount("/var"), wantError: inject.ErrMountCollision, wantMessage: collides(ours, "main", "/var")},
		"ours in root":   {edit: mount("/"), wantError: inject.ErrMountCollision, wantMessage: collides(ours, "main", "/")},
		"after an earlier injection, which stays too": {
			annotations: []string{"projection", "usersecret-old"},
			edit: func(p *corev1.Pod) {
				mount(ours)(p)
				p.Spec.Containers[1].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{
					LocalObjectReference: corev1.LocalObjectReference{Name: "usersecret-old"},
				}}}
			},
			wantError:   inject.ErrMountCollision,
			wantMessage: collides(ours, "main", ours),
		},
		"over the service token": {
			annotations: []string{"mount-path", "/var/run/secrets"},
			edit:        mount("/var/run/secrets/kubernetes.io/serviceaccount"),
			wantError:   inject.ErrMountCollision,
			wantMessage: collides("/var/run/secrets", "main", "/var/run/secrets/kubernetes.io/serviceaccount"),
		},
		"remedy: another path":        {annotations: []string{"mount-path", "/s"}, edit: mount(ours)},
		"remedy: without container":   {annotations: []string{"containers", "sidecar"}, edit: mount(ours)},
		"environment variables":       {annotations: []string{"inject-as", "env"}, edit: mount(ours)},
		"termination message":         {edit: func(p *corev1.Pod) { p.Spec.Containers[0].TerminationMessagePath = "/dev/termination-log" }},
		"termination message in ours": {edit: func(p *corev1.Pod) { p.Spec.Containers[1].TerminationMessagePath = ours + "/log" }, wantError: inject.ErrMountCollision, wantMessage: collides(ours, "sidecar", ours+"/log")},
		"block device": {edit: func(p *corev1.Pod) {
			p.Spec.InitContainers[0].VolumeDevices = []corev1.VolumeDevice{{DevicePath: ours}}
		}, wantError: inject.ErrMountCollision, wantMessage: collides(ours, "fetch", ours)},
		"volume name taken":            {edit: func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{{Name: "usersecrets"}} }, wantError: inject.ErrVolumeTaken, wantMessage: "the volume name usersecrets is taken: the pod has a volume of that name: give it another"},
		"volume name taken, unmounted": {annotations: []string{"inject-as", "env"}, edit: func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{{Name: "usersecrets"}} }},
		"volume of another projection": {
			annotations: []string{"projection", "usersecret-mine"},
			edit: func(p *corev1.Pod) {
				p.Spec.Volumes = []corev1.Volume{{Name: "usersecrets", VolumeSource: corev1.VolumeSource{
					Secret: &corev1.SecretVolumeSource{SecretName: "usersecret-other"},
				}}}
			},
			wantError:   inject.ErrVolumeTaken,
			wantMessage: "the volume name usersecrets is taken: the pod has a volume of that name: give it another",
		},
		"mount without volume, after an earlier injection": {
			annotations: []string{"projection", "usersecret-old"},
			edit: func(p *corev1.Pod) {
				p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "usersecrets", MountPath: "/x"}}
			},
			wantError:   inject.ErrVolumeTaken,
			wantMessage: "the volume name usersecrets is taken: spec.containers[0] mounts it: remove the mount, usersecrets.dev/mount-path says where values go",
		},
		"mount without volume": {
			edit: func(p *corev1.Pod) {
				p.Spec.Containers[1].VolumeMounts = []corev1.VolumeMount{{Name: "usersecrets", MountPath: "/x"}}
			},
			wantError:   inject.ErrVolumeTaken,
			wantMessage: "the volume name usersecrets is taken: spec.containers[1] mounts it: remove the mount, usersecrets.dev/mount-path says where values go",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			pod := makePod(tt.annotations...)
			tt.edit(pod)
			before := pod.DeepCopy()
			req, err := inject.ParseRequest(pod, inject.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			err = inject.Mutate(pod, req, stampOne)
			if tt.wantError == nil {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			assertRefusal(t, err, tt.wantMessage, tt.wantError)
			if diff := cmp.Diff(before, pod); diff != "" {
				t.Errorf("the pod changed in spite of the error:\n%s", diff)
			}
		})
	}
}

func TestCheckEnvCollisions(t *testing.T) {
	const message = `colliding environment variable: container "main" sets OPENAI_API_KEY itself, which would win over the secret: remove it, choose another key with "=KEY", or leave the container out with usersecrets.dev/containers`
	tests := map[string]struct {
		annotations []string
		keys        []string
		wantMessage string
	}{
		"collision":                 {annotations: []string{"inject-as", "env"}, keys: []string{"A", "OPENAI_API_KEY"}, wantMessage: message},
		"other keys":                {annotations: []string{"inject-as", "env"}, keys: []string{"A", "openai_api_key"}},
		"remedy: without container": {annotations: []string{"inject-as", "env", "containers", "sidecar"}, keys: []string{"OPENAI_API_KEY"}},
		"files":                     {keys: []string{"OPENAI_API_KEY"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			pod := makePod(tt.annotations...)
			pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "HOME", Value: "/"}, {Name: "OPENAI_API_KEY", Value: "sk-CANARY"}}
			req, err := inject.ParseRequest(pod, inject.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			err = inject.CheckEnvCollisions(pod, req, tt.keys)
			if tt.wantMessage == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			assertRefusal(t, err, tt.wantMessage, inject.ErrEnvCollision)
		})
	}
}
