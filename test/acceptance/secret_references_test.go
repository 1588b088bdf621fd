package acceptance_test

import (
	"reflect"
	"regexp"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"usersecrets.dev/operator/internal/inject"
)

// reference is one place in which a pod can name a Secret.
type reference struct {
	place string
	put   func(pod *corev1.Pod, secret string)
	// because is what the policy says about a projection that is named there.
	because string
	// copied says that `kubectl debug --copy-to` leaves an injection there.
	copied bool
}

const (
	envReserved = "a container's env names a Secret whose name starts with usersecret-, which is reserved to the pod " +
		"that it was issued to: remove it, and ask for values with the annotation usersecrets.dev/inject."
	envFromReserved = "a container's envFrom names a Secret whose name starts with usersecret-, which is reserved to the pod " +
		"that it was issued to: remove it, and ask for values with the annotation usersecrets.dev/inject."
	pullReserved = "imagePullSecrets of the pod or of its ServiceAccount name a Secret whose name starts with " +
		"usersecret-, which is reserved to the pod that it was issued to: remove it there."
	volumeReserved = "a volume names a Secret whose name starts with usersecret-, which is reserved to the pod that it was " +
		"issued to: remove it, and ask for values with the annotation usersecrets.dev/inject."
)

var references = []reference{
	{place: "imagePullSecrets", because: pullReserved, put: func(p *corev1.Pod, secret string) {
		p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: secret}}
	}},
	{place: "env of a container", because: envReserved, put: func(p *corev1.Pod, secret string) {
		p.Spec.Containers[0].Env = envFromKey(secret)
	}},
	{place: "envFrom of a container", because: envFromReserved, copied: true, put: func(p *corev1.Pod, secret string) {
		p.Spec.Containers[0].EnvFrom = envFromAll(secret)
	}},
	{place: "env of an init container", because: envReserved, put: func(p *corev1.Pod, secret string) {
		p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "example.invalid/init", Env: envFromKey(secret)}}
	}},
	{place: "envFrom of an init container", because: envFromReserved, copied: true, put: func(p *corev1.Pod, secret string) {
		p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "example.invalid/init", EnvFrom: envFromAll(secret)}}
	}},
	volume("secret", func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: ref.Name}}
	}),
	volume("projected", func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{Secret: &corev1.SecretProjection{LocalObjectReference: *ref}},
		}}}
	}),
	volume("azureFile", func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{AzureFile: &corev1.AzureFileVolumeSource{SecretName: ref.Name, ShareName: "share"}}
	}),
	volume("cephfs", func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{CephFS: &corev1.CephFSVolumeSource{Monitors: []string{"m"}, SecretRef: ref}}
	}),
	volume("cinder", func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{Cinder: &corev1.CinderVolumeSource{VolumeID: "v", SecretRef: ref}}
	}),
	volume("csi", func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "example.com", NodePublishSecretRef: ref}}
	}),
	volume("csi attributes", func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "example.com", VolumeAttributes: map[string]string{"secret": ref.Name}}}
	}),
	volume("flexVolume", func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{FlexVolume: &corev1.FlexVolumeSource{Driver: "example/driver", SecretRef: ref}}
	}),
	volume("flexVolume options", func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{FlexVolume: &corev1.FlexVolumeSource{Driver: "example/driver", Options: map[string]string{"secret": ref.Name}}}
	}),
	volume("iscsi", func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{ISCSI: &corev1.ISCSIVolumeSource{TargetPortal: "10.0.0.1", IQN: "iqn.2015-02.example.com:test", SecretRef: ref}}
	}),
	volume("rbd", func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{RBD: &corev1.RBDVolumeSource{CephMonitors: []string{"m"}, RBDImage: "i", SecretRef: ref}}
	}),
	volume("scaleIO", func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{ScaleIO: &corev1.ScaleIOVolumeSource{Gateway: "https://gateway.invalid", System: "s", VolumeName: "v", SecretRef: ref}}
	}),
	volume("storageos", func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{StorageOS: &corev1.StorageOSVolumeSource{VolumeName: "v", SecretRef: ref}}
	}),
}

// ephemeral are the places in a container that is added to a running pod.
var ephemeral = map[string]struct {
	put     func(c *corev1.EphemeralContainer, secret string)
	because string
}{
	"env":     {because: envReserved, put: func(c *corev1.EphemeralContainer, secret string) { c.Env = envFromKey(secret) }},
	"envFrom": {because: envFromReserved, put: func(c *corev1.EphemeralContainer, secret string) { c.EnvFrom = envFromAll(secret) }},
}

func volume(place string, source func(*corev1.LocalObjectReference) corev1.VolumeSource) reference {
	return reference{place: place, because: volumeReserved, put: func(p *corev1.Pod, secret string) {
		p.Spec.Volumes = []corev1.Volume{{Name: "named", VolumeSource: source(&corev1.LocalObjectReference{Name: secret})}}
	}}
}

func envFromKey(secret string) []corev1.EnvVar {
	return []corev1.EnvVar{{Name: "KEY", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: "OPENAI_API_KEY",
	}}}}
}

func envFromAll(secret string) []corev1.EnvFromSource {
	return []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: secret}}}}
}

// debugContainer is a container to be added to a running pod.
func debugContainer() corev1.EphemeralContainer {
	return corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "example.invalid/debug"}}
}

var _ = Describe("The places that are tried", func() {
	It("are all in which a pod can name a Secret", func() {
		const name = "usersecret-named"
		tried := map[string]bool{}
		note := func(pod *corev1.Pod) {
			for _, found := range inject.SecretNames(pod) {
				if found.Name == name {
					tried[unnumbered(found.Path)] = true
				}
			}
		}
		for _, r := range references {
			pod := plainPod("home", "pod")
			r.put(pod, name)
			note(pod)
		}
		for _, e := range ephemeral {
			c := debugContainer()
			e.put(&c, name)
			note(&corev1.Pod{Spec: corev1.PodSpec{EphemeralContainers: []corev1.EphemeralContainer{c}}})
		}
		everywhere := &corev1.Pod{}
		fill(reflect.ValueOf(&everywhere.Spec).Elem(), name)
		known := map[string]bool{}
		for _, found := range inject.SecretNames(everywhere) {
			known[unnumbered(found.Path)] = true
		}
		Expect(len(known)).To(BeNumerically(">", 15))
		Expect(tried).To(Equal(known))
	})
})

func unnumbered(path string) string {
	return regexp.MustCompile(`\[\d+\]`).ReplaceAllString(path, "[]")
}

// fill writes a text into every string below a value, and makes what lies on the way.
func fill(v reflect.Value, text string) {
	if !v.CanSet() {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), text)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), text)
		}
	}
}
