package acceptance_test

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/inject"
	"usersecrets.dev/operator/test/rig"
)

const (
	issuedToAnother = "names a Secret that was issued to another pod: leave it out, and ask with the annotation usersecrets.dev/inject"
	marksStamped    = "the label usersecrets.dev/injected and the annotations usersecrets.dev/projection and " +
		"usersecrets.dev/requested-by are stamped at admission on pods that ask for values: remove them, or name the " +
		"values in the annotation usersecrets.dev/inject."
	marksStay = "the labels and annotations usersecrets.dev/* of a pod never change after its creation: create another " +
		"pod with the ones that you want."
	nothingInBindings = "a Binding may not carry labels or annotations usersecrets.dev/*, which would be merged into the pod: remove them."
)

var _ = Describe("a pod of bob's", Ordered, ContinueOnFailure, func() {
	var alice *estate
	var bob *rig.Person

	BeforeAll(func(ctx SpecContext) {
		alice, bob = newEstate(ctx), newUser(ctx, "bob")
		allowMeddling(ctx, bob, bob.Namespace)
		store(ctx, bob, userSecret(ctx, bob, "slack", "slack", v1alpha1.TypeOAuthToken, "xoxb-bobs-own-0123456789"))
	})

	AfterEach(func(ctx SpecContext) { alice.untouched(ctx) })

	It("that asks for what alice has waits for one of his, and cannot tell that she has it", func(ctx SpecContext) {
		ask := func(name string) string {
			result := applyManifest(ctx, bob, workflowPod(bob.Namespace, "asks-"+name, "name:"+name+"=KEY"))
			Expect(result.Err()).NotTo(HaveOccurred())
			alice.untold(result.Stderr)
			return strings.ReplaceAll(result.Stderr, name, "NAME")
		}
		Expect(ask("openai")).To(ContainSubstring(`Warning: name:NAME: no such UserSecret yet: "NAME"; the namespace's owner makes it with ` +
			`'kubectl usersecret create NAME'; the pod waits for it`))
		Expect(ask("openai2")).To(Equal(ask("nothing")))
		asking := &corev1.Pod{}
		Expect(product.Client.Get(ctx, client.ObjectKey{Namespace: bob.Namespace, Name: "asks-openai"}, asking)).To(Succeed())
		Consistently(func() error { return product.Client.Get(ctx, projectionKey(asking), &corev1.Secret{}) }).
			Should(MatchError(apierrors.IsNotFound, "nothing is issued"))
	})

	It("names no projection, be it alice's or nobody's, in any place", func(ctx SpecContext) {
		for _, r := range references {
			By(r.place)
			try := func(secret string) string {
				pod := plainPod(bob.Namespace, "naming")
				r.put(pod, secret)
				err := bob.Client.Create(ctx, pod)
				if pod.Spec.Volumes != nil && pod.Spec.Volumes[0].Secret != nil || r.copied {
					alice.refuses(err, byWebhook("inject"), issuedToAnother)
				} else {
					alice.refuses(err, byPolicy("pod-secret-names")+r.because)
				}
				return strings.ReplaceAll(err.Error(), secret, "SECRET")
			}
			Expect(try(alice.projection.Name)).To(Equal(try("usersecret-nobodys")))
		}
	})

	It("that may have his own value names no other projection beside its own", func(ctx SpecContext) {
		for _, r := range references {
			By(r.place)
			pod := workflowPod(bob.Namespace, "greedy", "slack")
			r.put(pod, alice.projection.Name)
			alice.refuses(bob.Client.Create(ctx, pod), byPolicy("pod-secret-names")+r.because)
		}
	})

	It("names none through its ServiceAccount", func(ctx SpecContext) {
		account := &corev1.ServiceAccount{
			ObjectMeta:       metav1.ObjectMeta{Namespace: bob.Namespace, Name: "puller"},
			ImagePullSecrets: []corev1.LocalObjectReference{{Name: alice.projection.Name}},
		}
		Expect(bob.Client.Create(ctx, account)).To(Succeed())
		pod := plainPod(bob.Namespace, "puller")
		pod.Spec.ServiceAccountName = account.Name
		alice.refuses(bob.Client.Create(ctx, pod), byPolicy("pod-secret-names")+pullReserved)
	})

	It("names none through a container that joins it later", func(ctx SpecContext) {
		running := plainPod(bob.Namespace, "running")
		Expect(bob.Client.Create(ctx, running)).To(Succeed())
		for place, e := range ephemeral {
			By(place)
			joined, c := running.DeepCopy(), debugContainer()
			e.put(&c, alice.projection.Name)
			joined.Spec.EphemeralContainers = []corev1.EphemeralContainer{c}
			alice.refuses(bob.Client.SubResource("ephemeralcontainers").Update(ctx, joined), byPolicy("pod-secret-names")+e.because)
		}
	})

	It("names none through a template, and whoever made the template is told why", func(ctx SpecContext) {
		pod := plainPod(bob.Namespace, "templated")
		pod.Spec.Containers[0].Env = envFromKey(alice.projection.Name)
		pod.Labels = map[string]string{"app": "templated"}
		template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: pod.Spec}
		meta := metav1.ObjectMeta{Namespace: bob.Namespace, Name: "templated"}
		selector := &metav1.LabelSelector{MatchLabels: pod.Labels}
		jobTemplate := *template.DeepCopy()
		jobTemplate.Spec.RestartPolicy = corev1.RestartPolicyNever
		for kind, owner := range map[string]client.Object{
			"ReplicaSet":  &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Selector: selector, Template: template}},
			"StatefulSet": &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: template}},
			"Job":         &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Template: jobTemplate}},
		} {
			By(kind)
			Expect(bob.Client.Create(ctx, owner)).To(Succeed())
			Eventually(func() (string, error) { return failedCreate(ctx, bob, kind) }).
				Should(And(ContainSubstring(byPolicy("pod-secret-names")), ContainSubstring(envReserved)))
		}
		pods := &corev1.PodList{}
		Expect(product.Client.List(ctx, pods, client.InNamespace(bob.Namespace), client.MatchingLabels(pod.Labels))).To(Succeed())
		Expect(pods.Items).To(BeEmpty())
	})

	DescribeTable("carries no forged mark without asking",
		func(ctx SpecContext, forge func(*corev1.Pod)) {
			pod := plainPod(bob.Namespace, "forged")
			pod.Labels, pod.Annotations = map[string]string{}, map[string]string{}
			forge(pod)
			alice.refuses(bob.Client.Create(ctx, pod), byPolicy("pod-metadata")+marksStamped)
		},
		Entry("the label", func(p *corev1.Pod) { p.Labels[v1alpha1.InjectedLabel] = "true" }),
		Entry("alice's projection", func(p *corev1.Pod) { p.Annotations[v1alpha1.ProjectionAnnotation] = alice.projection.Name }),
		Entry("alice's projection, and names it", func(p *corev1.Pod) {
			p.Annotations[v1alpha1.ProjectionAnnotation] = alice.projection.Name
			p.Spec.Containers[0].Env = envFromKey(alice.projection.Name)
		}),
		Entry("who asked", func(p *corev1.Pod) { p.Annotations[v1alpha1.RequestedByAnnotation] = alice.Name }),
		Entry("all of them", func(p *corev1.Pod) {
			p.Labels[v1alpha1.InjectedLabel] = "true"
			p.Annotations[v1alpha1.ProjectionAnnotation] = alice.projection.Name
			p.Annotations[v1alpha1.RequestedByAnnotation] = alice.Name
			p.Annotations[v1alpha1.InjectAnnotation+"-not"] = "openai"
		}),
	)

	It("that asks gets a projection of its own in place of one that it claims", func(ctx SpecContext) {
		pod := workflowPod(bob.Namespace, "claims", "slack")
		pod.Labels[v1alpha1.InjectedLabel] = "true"
		pod.Annotations[v1alpha1.ProjectionAnnotation] = alice.projection.Name
		pod.Annotations[v1alpha1.RequestedByAnnotation] = alice.Name
		pod.Spec.Volumes = []corev1.Volume{{Name: inject.VolumeName, VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: alice.projection.Name},
		}}}
		pod.Spec.Containers[0].EnvFrom = envFromAll(alice.projection.Name)
		Expect(bob.Client.Create(ctx, pod)).To(Succeed())
		for _, named := range inject.SecretNames(pod) {
			Expect(named.Name).NotTo(Equal(alice.projection.Name), named.Path)
		}
		Expect(pod.Annotations).To(HaveKeyWithValue(v1alpha1.RequestedByAnnotation, bob.Name))
		Expect(projectionOf(ctx, pod).Data).To(Equal(map[string][]byte{"SLACK_BOT_TOKEN": []byte("xoxb-bobs-own-0123456789")}))
	})

	It("keeps its marks once it is there", func(ctx SpecContext) {
		pod := workflowPod(bob.Namespace, "running-marked", "slack")
		Expect(bob.Client.Create(ctx, pod)).To(Succeed())
		hers := fmt.Sprintf("%q", alice.projection.Name)
		for key, value := range map[string]string{
			v1alpha1.ProjectionAnnotation: hers, v1alpha1.RequestedByAnnotation: fmt.Sprintf("%q", alice.Name),
			v1alpha1.InjectAnnotation: `"slack, openai"`, v1alpha1.TTLAnnotation: `"1h"`, v1alpha1.ContainersAnnotation: `"main"`,
		} {
			patch := mergePatch(fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, key, value))
			alice.refuses(bob.Client.Patch(ctx, pod.DeepCopy(), patch), byPolicy("pod-metadata")+marksStay)
			alice.refuses(bob.Client.Status().Patch(ctx, pod.DeepCopy(), patch), byPolicy("pod-metadata")+marksStay)
		}
		for _, patch := range []string{
			fmt.Sprintf(`{"metadata":{"annotations":{%q:null}}}`, v1alpha1.ProjectionAnnotation),
			fmt.Sprintf(`{"metadata":{"labels":{%q:null}}}`, v1alpha1.InjectedLabel),
			fmt.Sprintf(`{"metadata":{"labels":{%q:"false"}}}`, v1alpha1.InjectedLabel),
		} {
			alice.refuses(bob.Client.Patch(ctx, pod.DeepCopy(), mergePatch(patch)), byPolicy("pod-metadata")+marksStay)
		}
	})

	It("is stamped with nothing by a binding", func(ctx SpecContext) {
		pod := plainPod(bob.Namespace, "bound")
		Expect(bob.Client.Create(ctx, pod)).To(Succeed())
		binding := &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: pod.Namespace, Name: pod.Name,
				Annotations: map[string]string{v1alpha1.ProjectionAnnotation: alice.projection.Name},
			},
			Target: corev1.ObjectReference{Kind: "Node", Name: "somewhere"},
		}
		alice.refuses(bob.Client.SubResource("binding").Create(ctx, pod, binding.DeepCopy()), byPolicy("pod-bindings")+nothingInBindings)
		alice.refuses(bob.Client.Create(ctx, binding), byPolicy("pod-bindings")+nothingInBindings)
	})
})

// plainPod asks for nothing.
func plainPod(namespace, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.invalid/step"}}},
	}
}

// failedCreate is what the newest Event says about a pod that a controller could
// not create, as the owner of the namespace reads it.
func failedCreate(ctx context.Context, person *rig.Person, kind string) (string, error) {
	events := &corev1.EventList{}
	if err := person.Client.List(ctx, events, client.InNamespace(person.Namespace)); err != nil {
		return "", err
	}
	for i := range events.Items {
		if e := &events.Items[i]; e.Reason == "FailedCreate" && e.InvolvedObject.Kind == kind {
			return e.Message, nil
		}
	}
	return "", nil
}
