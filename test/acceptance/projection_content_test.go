package acceptance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/inject"
)

var _ = Describe("What a pod gets", func() {
	It("is a read-only folder in each of its containers", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		storeOpenAI(ctx, alice, "files")
		allowPods(ctx, alice, alice.Namespace)
		pod := threeContainers(alice.Namespace, "step", "openai")
		Expect(alice.Client.Create(ctx, pod)).To(Succeed())

		Expect(pod.Labels).To(HaveKeyWithValue(v1alpha1.InjectedLabel, "true"))
		Expect(pod.Annotations).To(HaveKeyWithValue(v1alpha1.RequestedByAnnotation, alice.Name))
		Expect(injectedVolume(pod)).To(Equal(&corev1.SecretVolumeSource{
			SecretName: projectionKey(pod).Name, DefaultMode: ptr.To[int32](0o444),
		}), "all keys, and never optional: the pod waits for it")
		Expect(injectedMounts(pod)).To(Equal(map[string]string{
			"prepare": v1alpha1.DefaultMountPath, "main": v1alpha1.DefaultMountPath, "sidecar": v1alpha1.DefaultMountPath,
		}))
		Expect(envSources(pod)).To(BeEmpty())
		gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("files")})
	})

	It("is a set of environment variables where it asks for that", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		storeOpenAI(ctx, alice, "variables")
		pod := threeContainers(alice.Namespace, "step", "openai")
		pod.Annotations[v1alpha1.InjectAsAnnotation] = "env"
		start(ctx, pod)

		own := projectionKey(pod).Name
		Expect(envSources(pod)).To(Equal(map[string]string{"prepare": own, "main": own, "sidecar": own}))
		Expect(injectedVolume(pod)).To(BeNil())
		Expect(injectedMounts(pod)).To(BeEmpty())
		gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("variables")})
	})

	It("goes to the containers and the path that it names", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		storeOpenAI(ctx, alice, "chosen")
		pod := threeContainers(alice.Namespace, "step", "openai")
		pod.Annotations[v1alpha1.ContainersAnnotation] = "main, prepare"
		pod.Annotations[v1alpha1.MountPathAnnotation] = "/etc/keys"
		start(ctx, pod)
		Expect(injectedMounts(pod)).To(Equal(map[string]string{"prepare": "/etc/keys", "main": "/etc/keys"}))

		env := threeContainers(alice.Namespace, "env", "openai")
		env.Annotations[v1alpha1.ContainersAnnotation] = "sidecar"
		env.Annotations[v1alpha1.InjectAsAnnotation] = "env"
		start(ctx, env)
		Expect(envSources(env)).To(Equal(map[string]string{"sidecar": projectionKey(env).Name}))
	})

	It("is what each element of its list means, under that element's key", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		storeOpenAI(ctx, alice, "list")
		store(ctx, alice, userSecret(ctx, alice, "bot", "slack", v1alpha1.TypeOAuthToken, "xoxb-0123456789-list"))
		store(ctx, alice, userSecret(ctx, alice, "signing", "slack", v1alpha1.TypeWebhookSecret, strings.Repeat("0f", 16)))
		store(ctx, alice, userSecret(ctx, alice, "prod-db", "postgresql", v1alpha1.TypeConnectionString, "postgres://u:p@db/prod"))
		store(ctx, alice, userSecret(ctx, alice, "test-db", "postgresql", v1alpha1.TypeConnectionString, "postgres://u:p@db/test"))

		pod := start(ctx, asking(alice.Namespace, "step",
			"openai, openai=SECOND_KEY\nslack\nslack/webhook_secret,name:prod-db=PROD_URL, name:test-db"))
		gets(ctx, pod, values{
			"OPENAI_API_KEY": openAIKey("list"), "SECOND_KEY": openAIKey("list"),
			"SLACK_BOT_TOKEN": "xoxb-0123456789-list", "SLACK_SIGNING_SECRET": strings.Repeat("0f", 16),
			"PROD_URL": "postgres://u:p@db/prod", "DATABASE_URL": "postgres://u:p@db/test",
		})
	})

	It("is nothing until it can be all", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		openai := storeOpenAI(ctx, alice, "half")
		pod := start(ctx, asking(alice.Namespace, "step", "openai, name:later"))
		waits(ctx, pod, "name:later", "no such UserSecret yet", "kubectl usersecret create later")
		Expect(countOf(ctx, openai)).To(BeZero(), "what is not granted is not counted")

		storeCustom(ctx, alice, "later", "the other half")
		gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("half"), "CUSTOM_SECRET": "the other half"})
		Expect(countOf(ctx, openai)).To(Equal(1))
	})

	It("comes from its own namespace, and lies in no other", func(ctx SpecContext) {
		alice, bob := newUser(ctx, "alice"), newUser(ctx, "bob")
		storeOpenAI(ctx, alice, "alices")
		storeOpenAI(ctx, bob, "bobs")
		hers := start(ctx, asking(alice.Namespace, "step", "openai"))
		his := start(ctx, asking(bob.Namespace, "step", "openai"))
		gets(ctx, hers, values{"OPENAI_API_KEY": openAIKey("alices")})
		gets(ctx, his, values{"OPENAI_API_KEY": openAIKey("bobs")})
		Expect(projectionsIn(ctx, alice.Namespace)()).To(ConsistOf(projectionKey(hers).Name))
		Expect(projectionsIn(ctx, bob.Namespace)()).To(ConsistOf(projectionKey(his).Name))
	})

	It("is nothing at all where it does not ask", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		storeOpenAI(ctx, alice, "unasked")
		before := admissionCalls(ctx)
		pod := defaulted(alice.Namespace, "plain")
		sent, err := json.Marshal(pod.Spec)
		Expect(err).NotTo(HaveOccurred())
		start(ctx, pod)
		kept, err := json.Marshal(pod.Spec)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(kept)).To(Equal(string(sent)))
		Expect(pod.Labels).To(BeEmpty())
		Expect(pod.Annotations).To(BeEmpty())
		Expect(admissionCalls(ctx)).To(Equal(before), "the API server did not even ask the operator")
		Consistently(projectionsIn(ctx, alice.Namespace)).Should(BeEmpty())
	})
})

var _ = Describe("A projection's name", func() {
	random := MatchRegexp(`^usersecret-[a-z2-7]{26}$`)

	It("is random, and never used again", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		storeOpenAI(ctx, alice, "names")
		seen := map[string]bool{}
		for round := range 3 {
			pod := start(ctx, asking(alice.Namespace, "step", "openai"))
			name := projectionKey(pod).Name
			Expect(name).To(random)
			Expect(seen).NotTo(HaveKey(name), "round %d", round)
			seen[name] = true
			secret := gets(ctx, pod, values{"OPENAI_API_KEY": openAIKey("names")})
			Expect(product.Client.Delete(ctx, pod)).To(Succeed())
			vanishes(ctx, secret)
		}
	})

	It("is another for a pod that kubectl debug copies", func(ctx SpecContext) {
		for _, how := range []string{"volume", "env"} {
			alice := newUser(ctx, "alice")
			storeOpenAI(ctx, alice, "debug")
			original := asking(alice.Namespace, "step", "openai", map[string]string{v1alpha1.InjectAsAnnotation: how})
			theirs := gets(ctx, start(ctx, original), values{"OPENAI_API_KEY": openAIKey("debug")})
			for name, flags := range map[string][]string{"bare": nil, "kept": {"--keep-annotations", "--keep-labels"}} {
				args := append([]string{"debug", "step", "-n", alice.Namespace, "--copy-to", name, "--image", "example.invalid/tools"}, flags...)
				result := product.Kubectl(ctx, product.AdminKubeconfig, nil, args...)
				Expect(result.Err()).NotTo(HaveOccurred())
				copied := &corev1.Pod{}
				copied.Namespace, copied.Name = alice.Namespace, name
				Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(copied), copied)).To(Succeed())
				isOnItsOwn(copied, original)
				own := gets(ctx, copied, values{"OPENAI_API_KEY": openAIKey("debug")})
				Expect(own.OwnerReferences[0].UID).To(Equal(copied.UID))
			}
			Expect(projectionOf(ctx, original).UID).To(Equal(theirs.UID))
		}
	})

	It("is another for a pod made from the JSON of one", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		openai := storeOpenAI(ctx, alice, "json")
		original := start(ctx, asking(alice.Namespace, "step", "openai"))
		gets(ctx, original, values{"OPENAI_API_KEY": openAIKey("json")})

		copied := &corev1.Pod{Spec: *original.Spec.DeepCopy()}
		copied.Namespace, copied.Name = alice.Namespace, "twin"
		copied.Labels, copied.Annotations = original.Labels, original.Annotations
		start(ctx, copied)
		isOnItsOwn(copied, original)
		gets(ctx, copied, values{"OPENAI_API_KEY": openAIKey("json")})
		Expect(countOf(ctx, openai)).To(Equal(2))
	})
})

// isOnItsOwn expects of a copy that it names a projection of its own and nothing
// of the original's.
func isOnItsOwn(copied, original *corev1.Pod) {
	GinkgoHelper()
	theirs, own := projectionKey(original).Name, projectionKey(copied).Name
	Expect(own).NotTo(BeEmpty())
	Expect(own).NotTo(Equal(theirs))
	Expect(inject.ForeignProjections(copied)).To(BeEmpty())
	text, err := json.Marshal(copied)
	Expect(err).NotTo(HaveOccurred())
	Expect(string(text)).NotTo(ContainSubstring(theirs))
	Expect(string(text)).To(ContainSubstring(own))
}

// threeContainers asks for secrets with an init container and two others.
func threeContainers(namespace, name, list string) *corev1.Pod {
	pod := asking(namespace, name, list)
	pod.Spec.InitContainers = []corev1.Container{{Name: "prepare", Image: "example.invalid/prepare"}}
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "sidecar", Image: "example.invalid/sidecar"})
	return pod
}

// injectedVolume is the Secret of the volume that admission added, or nil.
func injectedVolume(pod *corev1.Pod) *corev1.SecretVolumeSource {
	for _, v := range pod.Spec.Volumes {
		if v.Name == inject.VolumeName {
			return v.Secret
		}
	}
	return nil
}

// injectedMounts are the read-only mounts of that volume: container to path.
func injectedMounts(pod *corev1.Pod) map[string]string {
	paths := map[string]string{}
	for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		for _, m := range c.VolumeMounts {
			if m.Name == inject.VolumeName && m.ReadOnly {
				paths[c.Name] = m.MountPath
			}
		}
	}
	return paths
}

// envSources are the Secrets that containers take variables from, none of them
// optional: container to Secret.
func envSources(pod *corev1.Pod) map[string]string {
	secrets := map[string]string{}
	for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		for _, e := range c.EnvFrom {
			if e.SecretRef != nil && e.SecretRef.Optional == nil {
				secrets[c.Name] = e.SecretRef.Name
			}
		}
	}
	return secrets
}

// defaulted is a pod that leaves the API server nothing to fill in, so that what
// comes back must be what was sent.
func defaulted(namespace, name string) *corev1.Pod {
	tolerate := func(taint string) corev1.Toleration {
		return corev1.Toleration{Key: taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To[int64](300)}
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		Containers: []corev1.Container{{
			Name: "main", Image: "example.invalid/step:1", ImagePullPolicy: corev1.PullIfNotPresent,
			TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		}},
		RestartPolicy: corev1.RestartPolicyAlways, TerminationGracePeriodSeconds: ptr.To[int64](30),
		DNSPolicy: corev1.DNSClusterFirst, SecurityContext: &corev1.PodSecurityContext{},
		ServiceAccountName: "default", DeprecatedServiceAccount: "default", AutomountServiceAccountToken: ptr.To(false),
		SchedulerName: corev1.DefaultSchedulerName, EnableServiceLinks: ptr.To(true),
		Priority: ptr.To[int32](0), PreemptionPolicy: ptr.To(corev1.PreemptLowerPriority),
		Tolerations: []corev1.Toleration{tolerate(corev1.TaintNodeNotReady), tolerate(corev1.TaintNodeUnreachable)},
	}}
	pod.Namespace, pod.Name = namespace, name
	return pod
}

var podAdmissions = regexp.MustCompile(`(?m)^controller_runtime_webhook_requests_total\{[^}]*webhook="/inject-pod"[^}]*\} (\d+)$`)

// admissionCalls are the requests about pods that the operator was ever asked,
// by its own count.
func admissionCalls(ctx context.Context) string {
	GinkgoHelper()
	return fmt.Sprint(podAdmissions.FindAllString(operatorMetrics(ctx), -1))
}

func operatorMetrics(ctx context.Context) string {
	GinkgoHelper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, product.MetricsURL(), nil)
	Expect(err).NotTo(HaveOccurred())
	response, err := http.DefaultClient.Do(request)
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(response.Body.Close()).To(Succeed()) }()
	Expect(response.StatusCode).To(Equal(http.StatusOK))
	text, err := io.ReadAll(response.Body)
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}
