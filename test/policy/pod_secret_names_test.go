package policy

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const podSecretNamesPolicy = "usersecrets-pod-secret-names"

const (
	envMessage = "a container's env names a Secret whose name starts with usersecret-, which is reserved to the pod " +
		"that it was issued to: remove it, and ask for values with the annotation usersecrets.dev/inject."
	envFromMessage = "a container's envFrom names a Secret whose name starts with usersecret-, which is reserved to the pod " +
		"that it was issued to: remove it, and ask for values with the annotation usersecrets.dev/inject."
	imagePullSecretsMessage = "imagePullSecrets of the pod or of its ServiceAccount name a Secret whose name starts with " +
		"usersecret-, which is reserved to the pod that it was issued to: remove it there."
	volumeMessage = "a volume names a Secret whose name starts with usersecret-, which is reserved to the pod that it was " +
		"issued to: remove it, and ask for values with the annotation usersecrets.dev/inject."
)

// naming puts the name of a Secret somewhere into a pod.
type naming func(pod *corev1.Pod, secret string)

func inEnv(c *corev1.Container, secret string) {
	c.Env = []corev1.EnvVar{{Name: "KEY", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: "key",
	}}}}
}

func inEnvFrom(c *corev1.Container, secret string) {
	c.EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: secret},
	}}}
}

func inContainer(name func(*corev1.Container, string)) naming {
	return func(p *corev1.Pod, secret string) { name(&p.Spec.Containers[0], secret) }
}

func inInitContainer(name func(*corev1.Container, string)) naming {
	return func(p *corev1.Pod, secret string) {
		c := corev1.Container{Name: "init", Image: "example.invalid/init"}
		name(&c, secret)
		p.Spec.InitContainers = []corev1.Container{c}
	}
}

func inSidecar(name func(*corev1.Container, string)) naming {
	return func(p *corev1.Pod, secret string) {
		inInitContainer(name)(p, secret)
		p.Spec.InitContainers[0].RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
	}
}

func inVolume(source func(ref *corev1.LocalObjectReference) corev1.VolumeSource) naming {
	return func(p *corev1.Pod, secret string) {
		p.Spec.Volumes = []corev1.Volume{
			{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{Name: "named", VolumeSource: source(&corev1.LocalObjectReference{Name: secret})},
		}
	}
}

// Each entry is one way of a pod to name a Secret: those of VisitPodSecretNames in
// Kubernetes' pkg/api/v1/pod/util.go, in its order, then those that only drivers know.
var waysToName = []TableEntry{
	Entry("imagePullSecrets", naming(func(p *corev1.Pod, secret string) {
		p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}, {Name: secret}}
	}), imagePullSecretsMessage),
	Entry("env of an init container", inInitContainer(inEnv), envMessage),
	Entry("envFrom of an init container", inInitContainer(inEnvFrom), envFromMessage),
	Entry("env of a sidecar", inSidecar(inEnv), envMessage),
	Entry("envFrom of a sidecar", inSidecar(inEnvFrom), envFromMessage),
	Entry("env of a container", inContainer(inEnv), envMessage),
	Entry("envFrom of a container", inContainer(inEnvFrom), envFromMessage),
	Entry("env of the second container", naming(func(p *corev1.Pod, secret string) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second", Image: "example.invalid/second"})
		inEnv(&p.Spec.Containers[1], secret)
	}), envMessage),
	Entry("azureFile", inVolume(func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{AzureFile: &corev1.AzureFileVolumeSource{SecretName: ref.Name, ShareName: "share"}}
	}), volumeMessage),
	Entry("cephfs", inVolume(func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{CephFS: &corev1.CephFSVolumeSource{Monitors: []string{"m"}, SecretRef: ref}}
	}), volumeMessage),
	Entry("cinder", inVolume(func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{Cinder: &corev1.CinderVolumeSource{VolumeID: "v", SecretRef: ref}}
	}), volumeMessage),
	Entry("flexVolume", inVolume(func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{FlexVolume: &corev1.FlexVolumeSource{Driver: "example/driver", SecretRef: ref}}
	}), volumeMessage),
	Entry("projected", inVolume(func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "mine"}}},
			{Secret: &corev1.SecretProjection{LocalObjectReference: *ref}},
		}}}
	}), volumeMessage),
	Entry("rbd", inVolume(func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{RBD: &corev1.RBDVolumeSource{CephMonitors: []string{"m"}, RBDImage: "i", SecretRef: ref}}
	}), volumeMessage),
	Entry("secret", inVolume(func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: ref.Name}}
	}), volumeMessage),
	Entry("secret, optional", inVolume(func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: ref.Name, Optional: new(true)}}
	}), volumeMessage),
	Entry("scaleIO", inVolume(func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{ScaleIO: &corev1.ScaleIOVolumeSource{
			Gateway: "https://gateway.invalid", System: "s", VolumeName: "v", SecretRef: ref,
		}}
	}), volumeMessage),
	Entry("iscsi", inVolume(func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{ISCSI: &corev1.ISCSIVolumeSource{
			TargetPortal: "10.0.0.1", IQN: "iqn.2015-02.example.com:test", SecretRef: ref,
		}}
	}), volumeMessage),
	Entry("storageos", inVolume(func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{StorageOS: &corev1.StorageOSVolumeSource{VolumeName: "v", SecretRef: ref}}
	}), volumeMessage),
	Entry("csi", inVolume(func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "example.com", NodePublishSecretRef: ref}}
	}), volumeMessage),
	Entry("volumeAttributes of csi", inVolume(func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{
			Driver: "example.com", VolumeAttributes: map[string]string{"secretName": ref.Name},
		}}
	}), volumeMessage),
	Entry("options of flexVolume", inVolume(func(ref *corev1.LocalObjectReference) corev1.VolumeSource {
		return corev1.VolumeSource{FlexVolume: &corev1.FlexVolumeSource{
			Driver: "example/driver", Options: map[string]string{"secretName": ref.Name},
		}}
	}), volumeMessage),
}

var _ = Describe("A pod", func() {
	var namespace string

	BeforeEach(func(ctx context.Context) {
		namespace = newNamespace(ctx)
	})

	DescribeTable("names no projection but its own", func(ctx context.Context, name naming, wantMessage string) {
		plain := pod(namespace, "plain")
		name(plain, "usersecret-of-alice")
		Expect(as(bob).Create(ctx, plain)).To(beDenied(podSecretNamesPolicy, wantMessage))

		injected := injectedPod(namespace, "injected", bob, "usersecret-mine")
		name(injected, "usersecret-of-alice")
		Expect(as(bob).Create(ctx, injected)).To(beDenied(podSecretNamesPolicy, wantMessage))

		injected = injectedPod(namespace, "injected", bob, "usersecret-mine")
		name(injected, "usersecret-mine")
		Expect(as(bob).Create(ctx, injected)).To(Succeed())

		plain = pod(namespace, "plain")
		name(plain, "other")
		Expect(as(bob).Create(ctx, plain)).To(Succeed())
	}, waysToName)

	DescribeTable("gets no ephemeral container that names another's projection",
		func(ctx context.Context, name func(*corev1.Container, string), wantMessage string) {
			running := injectedPod(namespace, "running", bob, "usersecret-mine")
			Expect(as(bob).Create(ctx, running)).To(Succeed())
			debug := func(secret string) error {
				c := corev1.Container{Name: "debug", Image: "example.invalid/debug"}
				name(&c, secret)
				p := running.DeepCopy()
				p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{
					EphemeralContainerCommon: corev1.EphemeralContainerCommon(c),
				}}
				return as(bob).SubResource("ephemeralcontainers").Update(ctx, p)
			}
			Expect(debug("usersecret-of-alice")).To(beDenied(podSecretNamesPolicy, wantMessage))
			Expect(debug("usersecret-mine")).To(Succeed())
		},
		Entry("env", inEnv, envMessage),
		Entry("envFrom", inEnvFrom, envFromMessage),
	)

	It("gets no other's projection from its ServiceAccount", func(ctx context.Context) {
		account := &corev1.ServiceAccount{
			ObjectMeta:       metav1.ObjectMeta{Name: "puller", Namespace: namespace},
			ImagePullSecrets: []corev1.LocalObjectReference{{Name: "usersecret-of-alice"}},
			Secrets:          []corev1.ObjectReference{{Name: "usersecret-of-alice"}},
		}
		Expect(as(bob).Create(ctx, account)).To(Succeed())
		puller := pod(namespace, "puller")
		puller.Spec.ServiceAccountName = account.Name
		Expect(as(bob).Create(ctx, puller)).To(beDenied(podSecretNamesPolicy, imagePullSecretsMessage))
	})

	It("may be as large as they get", func(ctx context.Context) {
		large := pod(namespace, "large")
		large.Spec.Containers = nil
		for i := range 100 {
			large.Spec.Containers = append(large.Spec.Containers, containerWithVariables(fmt.Sprintf("c%d", i), 100))
		}
		Expect(as(bob).Create(ctx, large.DeepCopy(), client.DryRunAll)).To(Succeed())

		large.Spec.Containers[99].Env[99].ValueFrom.SecretKeyRef.Name = "usersecret-of-alice"
		Expect(as(bob).Create(ctx, large, client.DryRunAll)).To(beDenied(podSecretNamesPolicy, envMessage))
	})

	It("that was there before the policy can still be labelled and finished", func(ctx context.Context) {
		earlier := pod(namespace, "earlier")
		inEnv(&earlier.Spec.Containers[0], "usersecret-of-mine")
		without(ctx, podSecretNamesPolicy, func() {
			Eventually(func() error { return as(bob).Create(ctx, earlier) }).
				WithTimeout(enforcementTimeout).WithPolling(enforcementPoll).Should(Succeed())
		})
		earlier.Labels = map[string]string{"team": "b"}
		Expect(as(bob).Update(ctx, earlier)).To(Succeed())
		earlier.Status.Phase = corev1.PodSucceeded
		Expect(as(bob).Status().Update(ctx, earlier)).To(Succeed())
		Expect(as(bob).Delete(ctx, earlier)).To(Succeed())
	})
})

// containerWithVariables is a container with n variables, each from a Secret of the user's own.
func containerWithVariables(name string, n int) corev1.Container {
	c := corev1.Container{Name: name, Image: "example.invalid/step"}
	inEnv(&c, "settings")
	one := c.Env[0]
	c.Env = nil
	for i := range n {
		variable := *one.DeepCopy()
		variable.Name = fmt.Sprintf("KEY_%d", i)
		c.Env = append(c.Env, variable)
	}
	return c
}
