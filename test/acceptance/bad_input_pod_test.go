package acceptance_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
)

// podEdit changes a pod that would be let through.
type podEdit func(*corev1.Pod)

func annotated(key, text string) podEdit {
	return func(pod *corev1.Pod) { pod.Annotations[key] = text }
}

var _ = Describe("Bad input: a pod", Ordered, ContinueOnFailure, func() {
	var c *people

	BeforeAll(func(ctx SpecContext) {
		c = newPeople(ctx)
		off := userSecret(ctx, c.alice.Person, "off", "slack", "oauth_token", "xoxb-bad-input-0123456789")
		off.Spec.Active = new(bool)
		Expect(c.alice.client.Create(ctx, off)).To(Succeed())
		Eventually(func() string { return readyReason(asStored(ctx, off)) }).Should(Equal(v1alpha1.ReasonInactive))
		store(ctx, c.alice.Person, userSecret(ctx, c.alice.Person, "openai", "openai", v1alpha1.TypeAPIKey, pasted))
		for name, value := range map[string]string{"one": "first-of-custom", "two": "second-of-custom", "nul": "with\x00inside", "latin1": "caf\xe9"} {
			store(ctx, c.alice.Person, userSecret(ctx, c.alice.Person, name, "custom", v1alpha1.TypeCustom, value))
		}
	})

	// asking is a pod that asks for a list.
	asking := func(inject, want string, edits ...podEdit) func(context.Context) attempt {
		return func(context.Context) attempt {
			pod := workflowPod(c.alice.Namespace, fmt.Sprintf("step-%d", serial.Add(1)), inject)
			for _, change := range edits {
				change(pod)
			}
			return attempt{by: c.admin, write: creating(pod), want: want}
		}
	}
	// with is a pod that asks for what is there, and is wrong elsewhere.
	with := func(change podEdit, want string) func(context.Context) attempt {
		return asking("openai", injecting+want, change)
	}

	DescribeTable("is refused", func(ctx SpecContext, prepare func(context.Context) attempt) {
		expectRefusal(ctx, prepare(ctx))
	},
		Entry("in a namespace without owner", func(ctx context.Context) attempt {
			namespace := unowned(ctx)
			Eventually(func() error {
				return product.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "default"}, &corev1.ServiceAccount{})
			}).Should(Succeed())
			return attempt{by: c.admin, write: creating(workflowPod(namespace, "step", "openai")),
				want: injecting + fmt.Sprintf("namespace has no owner: %q carries no annotation usersecrets.dev/owner; an administrator sets it with 'kubectl usersecret onboard'", namespace)}
		}),

		Entry("an empty list", asking("", listTold(`the list is empty: name at least one secret, as in "openai", "slack/oauth_token" or "name:prod-db=DATABASE_URL"`))),
		Entry("an empty element", asking("openai,,slack", listTold("element 2 is empty: remove the extra comma"))),
		Entry("a comma at the end", asking("openai,", listTold("element 2 is empty: remove the extra comma"))),
		Entry("an unknown provider", asking("openai, nosuch",
			injecting+`annotation usersecrets.dev/inject, nosuch: unknown provider "nosuch": 'kubectl get secretproviders' lists the catalogue, and 'custom' takes anything`)),
		Entry("what cannot be a provider", asking("Open AI", listTold(notProviderTold))),
		Entry("a type that the provider does not have", asking("openai/oauth_token",
			injecting+`annotation usersecrets.dev/inject, openai/oauth_token: unknown type "oauth_token" for provider "openai": it has api_key`)),
		Entry("a bad environment name", asking("openai=2ND_KEY", listTold(`element 1: after "openai=": malformed key: `+keyTold))),
		Entry("a value in place of the environment name", asking("openai="+pasted, listTold(`element 1: after "openai=": malformed key: `+keyTold))),
		Entry("a value in place of the list", func(ctx context.Context) attempt {
			const value = "sk-proj-Bad-Input-0123456789"
			a := asking(value, listTold(notProviderTold))(ctx)
			a.secret = value
			return a
		}),
		Entry("the same element twice", asking("openai, slack, openai", listTold("elements 1 and 3 are the same: remove one"))),
		Entry("the same key twice", asking("openai=KEY, name:one=KEY",
			listTold(`the same key twice: elements 1 and 2 ask for it: give one of them another "=KEY"`))),
		Entry("the same key twice, by default", asking("name:one, name:two",
			injecting+`the same key twice: name:one and name:two both go to CUSTOM_SECRET: give one of them another, as in "name:one=OTHER_KEY"`)),
		Entry("200 elements", asking(strings.TrimSuffix(strings.Repeat("openai,", 200), ","),
			listTold("200 elements, and at most 64 are allowed: ask for fewer, or share the work between pods"))),

		Entry("several that are meant equally", asking("custom",
			injecting+"annotation usersecrets.dev/inject, custom: several UserSecrets match: ask for one by name, as in name:latin1 or name:nul or name:one")),
		Entry("one that is inactive", asking("slack",
			injecting+`annotation usersecrets.dev/inject, slack: UserSecret is inactive: "off"; its owner sets spec.active to true again`)),
		Entry("one that is inactive, by name", asking("name:off",
			injecting+`annotation usersecrets.dev/inject, name:off: UserSecret is inactive: "off"; its owner sets spec.active to true again`)),

		Entry("neither a volume nor the environment", with(annotated(v1alpha1.InjectAsAnnotation, "file"),
			`malformed annotation usersecrets.dev/inject-as: it must be "volume" (files, the default) or "env" (environment variables)`)),
		Entry("a value with NUL as environment variable", asking("name:nul",
			injecting+`UserSecret "nul": value cannot be an environment variable: it holds a NUL byte: take it as a file, with usersecrets.dev/inject-as: "volume"`,
			annotated(v1alpha1.InjectAsAnnotation, "env"))),
		Entry("a value that is not UTF-8 as environment variable", asking("name:latin1",
			injecting+`UserSecret "latin1": value cannot be an environment variable: it is not UTF-8 text: take it as a file, with usersecrets.dev/inject-as: "volume"`,
			annotated(v1alpha1.InjectAsAnnotation, "env"))),
		Entry("an environment variable that the container sets itself", asking("openai",
			injecting+`colliding environment variable: container "main" sets OPENAI_API_KEY itself, which would win over the secret: remove it, choose another key with "=KEY", or leave the container out with usersecrets.dev/containers`,
			annotated(v1alpha1.InjectAsAnnotation, "env"),
			func(pod *corev1.Pod) {
				pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "OPENAI_API_KEY", Value: "x"}}
			})),

		Entry("a negative TTL", with(annotated(v1alpha1.TTLAnnotation, "-5m"), ttlTold("-5m0s is negative: give at least 1s"))),
		Entry("a TTL of zero", with(annotated(v1alpha1.TTLAnnotation, "0s"), ttlTold("zero: give at least 1s, or leave the annotation out"))),
		Entry("a TTL over the limit", with(annotated(v1alpha1.TTLAnnotation, "24h1s"), ttlTold("24h0m1s is over this cluster's limit: give at most 24h0m0s"))),
		Entry("a TTL too short for any kubelet", with(annotated(v1alpha1.TTLAnnotation, "999ms"), ttlTold("999ms is too short: give at least 1s"))),
		Entry("a TTL that is no duration", with(annotated(v1alpha1.TTLAnnotation, "soon"), ttlTold(`no duration: write it as "30m", "90s" or "2h30m"`))),
		Entry("a TTL without a unit", with(annotated(v1alpha1.TTLAnnotation, "30"), ttlTold(`no duration: write it as "30m", "90s" or "2h30m"`))),
		Entry("an empty TTL", with(annotated(v1alpha1.TTLAnnotation, ""), ttlTold(`no duration: write it as "30m", "90s" or "2h30m"`))),

		Entry("a mount path that the pod uses itself", with(mounted("/var/run/usersecrets"), collidingTold("/var/run/usersecrets", "/var/run/usersecrets"))),
		Entry("a mount path within one of the pod's own", with(mounted("/var/run"), collidingTold("/var/run/usersecrets", "/var/run"))),
		Entry("a mount path around one of the pod's own", with(mounted("/run/usersecrets/mine"), collidingTold("/var/run/usersecrets", "/run/usersecrets/mine"))),
		Entry("a mount path around the ServiceAccount's token", with(annotated(v1alpha1.MountPathAnnotation, "/var/run/secrets"),
			collidingTold("/var/run/secrets", "/var/run/secrets/kubernetes.io/serviceaccount"))),
		Entry("a mount path that is relative", with(annotated(v1alpha1.MountPathAnnotation, "secrets"),
			`malformed annotation usersecrets.dev/mount-path: no absolute path: begin it with "/", as in "/var/run/usersecrets"`)),
		Entry("a mount path that hides everything", with(annotated(v1alpha1.MountPathAnnotation, "/"),
			`malformed annotation usersecrets.dev/mount-path: "/" would hide the container's own files: choose a folder, such as "/var/run/usersecrets"`)),
		Entry("a mount path in /proc", with(annotated(v1alpha1.MountPathAnnotation, "/proc/1"),
			"malformed annotation usersecrets.dev/mount-path: /proc belongs to the system: choose a path outside of /proc, /sys and /dev")),
		Entry("a volume of our volume's name", with(func(pod *corev1.Pod) { pod.Spec.Volumes = []corev1.Volume{{Name: "usersecrets"}} },
			"the volume name usersecrets is taken: the pod has a volume of that name: give it another")),

		Entry("a container that is not there", with(annotated(v1alpha1.ContainersAnnotation, "main, sidecar"),
			`malformed annotation usersecrets.dev/containers: element 2 names "sidecar", which the pod does not have: it has ["main"]`)),
		Entry("no container", with(annotated(v1alpha1.ContainersAnnotation, " "),
			"malformed annotation usersecrets.dev/containers: the list is empty: name a container, or leave the annotation out for all")),
		Entry("a misspelt annotation", with(annotated("usersecrets.dev/container", "main"),
			`unknown annotation "usersecrets.dev/container": pods have usersecrets.dev/inject, usersecrets.dev/inject-as, usersecrets.dev/mount-path, usersecrets.dev/ttl, usersecrets.dev/containers, usersecrets.dev/workflow, usersecrets.dev/node`)),

		Entry("our label without asking", func(context.Context) attempt {
			pod := workflowPod(c.alice.Namespace, "forged", "")
			delete(pod.Annotations, v1alpha1.InjectAnnotation)
			pod.Labels[v1alpha1.InjectedLabel] = "true"
			return attempt{by: c.admin, write: creating(pod), want: policyTold("pods", "forged", "usersecrets-pod-metadata",
				"the label usersecrets.dev/injected and the annotations usersecrets.dev/projection and usersecrets.dev/requested-by are stamped at admission on pods that ask for values: remove them, or name the values in the annotation usersecrets.dev/inject.")}
		}),
		Entry("a projection in a volume of its own", func(context.Context) attempt {
			pod := workflowPod(c.alice.Namespace, "thief", "openai")
			pod.Spec.Volumes = []corev1.Volume{{Name: "other", VolumeSource: corev1.VolumeSource{
				Secret: &corev1.SecretVolumeSource{SecretName: "usersecret-of-another"},
			}}}
			return attempt{by: c.admin, write: creating(pod), want: policyTold("pods", "thief", "usersecrets-pod-secret-names",
				"a volume names a Secret whose name starts with usersecret-, which is reserved to the pod that it was issued to: remove it, and ask for values with the annotation usersecrets.dev/inject.")}
		}),
	)

	It("is refused for one that has expired", func(ctx SpecContext) {
		us := userSecret(ctx, c.alice.Person, "brief", "anthropic", v1alpha1.TypeAPIKey, "sk-ant-bad-input-0123456789")
		us.Spec.ExpiresAt = &metav1.Time{Time: time.Now().Add(2 * time.Second)}
		Expect(c.alice.client.Create(ctx, us)).To(Succeed())
		Eventually(func() string { return readyReason(asStored(ctx, us)) }).Should(Equal(v1alpha1.ReasonExpired))
		expectRefusal(ctx, asking("anthropic", injecting+fmt.Sprintf(
			`annotation usersecrets.dev/inject, anthropic: UserSecret has expired: "brief" at %s; its owner stores a new value with a later expiresAt`,
			us.Spec.ExpiresAt.UTC().Format(time.RFC3339)))(ctx))
	})

	It("is refused for 1 MiB in all, and let through for a byte less", func(ctx SpecContext) {
		const many = 1 << 20 / envelope.MaxValueLength
		var names []string
		for i := range many {
			name := fmt.Sprintf("large-%d", i)
			store(ctx, c.alice.Person, plaintext(c.alice.Person, name, "custom", v1alpha1.TypeCustom, strings.Repeat(string(rune('a'+i)), envelope.MaxValueLength)))
			names = append(names, fmt.Sprintf("name:%s=KEY_%d", name, i))
		}
		all := strings.Join(names, "\n")
		expectRefusal(ctx, asking(all, injecting+"values too large: 1048576 bytes together, and at most 1048575 fit: ask for fewer secrets in one pod")(ctx))

		smaller := asStored(ctx, plaintext(c.alice.Person, "large-0", "custom", v1alpha1.TypeCustom, ""))
		smaller.Spec.Value = new(strings.Repeat("a", envelope.MaxValueLength-1))
		smaller.Spec.EncryptedValue = ""
		Expect(c.alice.client.Update(ctx, smaller)).To(Succeed())
		pod := workflowPod(c.alice.Namespace, "full", all)
		Eventually(func() error { return c.admin.client.Create(ctx, pod) }).Should(Succeed())
		Expect(projectionOf(ctx, pod).Data).To(HaveLen(many))
	})

	It("is warned about what does not exist yet, and waits", func(ctx SpecContext) {
		pod := workflowPod(c.alice.Namespace, "early", "postgresql, name:later=LATER")
		c.admin.heard.take()
		Expect(c.admin.client.Create(ctx, pod)).To(Succeed())
		Expect(c.admin.heard.take()).To(Equal([]string{
			"postgresql: no such UserSecret yet: provider \"postgresql\", type connection_string; the namespace's owner makes one with 'kubectl usersecret create'; the pod waits for it",
			"name:later: no such UserSecret yet: \"later\"; the namespace's owner makes it with 'kubectl usersecret create later'; the pod waits for it",
		}))
	})
})

const notProviderTold = `element 1: not a provider's name (lower case letters, digits and "-", at most 63): 'kubectl get secretproviders' lists them`

const keyTold = `a key is the name of an environment variable, such as "OPENAI_API_KEY": letters, digits and "_", no digit first, and never the value itself`

func listTold(found string) string {
	return injecting + "malformed annotation usersecrets.dev/inject: " + found
}

func ttlTold(found string) string { return "malformed annotation usersecrets.dev/ttl: " + found }

func collidingTold(ours, own string) string {
	return fmt.Sprintf(`colliding mount path: values would go to %s, and container "main" uses %q: choose another path with usersecrets.dev/mount-path, or leave the container out with usersecrets.dev/containers`, ours, own)
}

func policyTold(resource, name, policy, message string) string {
	return fmt.Sprintf("%s %q is forbidden: ValidatingAdmissionPolicy '%s' with binding '%s' denied request: %s", resource, name, policy, policy, message)
}

// mounted has a volume of the pod's own at a path.
func mounted(path string) podEdit {
	return func(pod *corev1.Pod) {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "own", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "own", MountPath: path}}
	}
}
