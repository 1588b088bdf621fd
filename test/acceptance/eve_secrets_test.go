package acceptance_test

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/inject"
	"usersecrets.dev/operator/test/rig"
)

const (
	secretsReserved = "Secrets of type usersecrets.dev/projection, and Secrets whose name starts with usersecret-, are " +
		"reserved to the UserSecret operator: choose another name and type. A pod gets values by its annotation " +
		"usersecrets.dev/inject."
	ownersStay = "the owner references of a projection never change, since it lives and dies with its pod: delete the pod, " +
		"and the projection goes with it."
	runningStays = "whoever puts another image or container into a pod that was issued values can read them: that takes the " +
		"right to create pods in its namespace."
)

// She may write Secrets there as an editor may; so projections are her nearest aim.
var _ = Describe("eve, an editor who may write Secrets in alice's namespace", Ordered, ContinueOnFailure, func() {
	var alice *estate
	var eve *rig.Person
	var waiting *corev1.Pod

	BeforeAll(func(ctx SpecContext) {
		alice = newEstate(ctx)
		eve = newMeddler(ctx, alice.Namespace)
		waiting = start(ctx, workflowPod(alice.Namespace, "waiting", "name:later=LATER"))
	})

	AfterEach(func(ctx SpecContext) { alice.untouched(ctx) })

	DescribeTable("puts nothing in the place of a projection to come",
		func(ctx SpecContext, edit func(*corev1.Secret), because string) {
			claimed := &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: alice.Namespace, Name: projectionKey(waiting).Name},
				Data:       map[string][]byte{"LATER": []byte("eves-value-0123456789")},
			}
			edit(claimed)
			alice.refuses(eve.Client.Create(ctx, claimed), byPolicy("projections")+because)
			alice.refuses(eve.Client.Create(ctx, claimed, client.DryRunAll), byPolicy("projections")+because)
			alice.refuses(applySecret(ctx, eve, claimed), byPolicy("projections")+because)
		},
		Entry("by its name", func(*corev1.Secret) {}, secretsReserved),
		Entry("by name and type", func(s *corev1.Secret) { s.Type = v1alpha1.ProjectionSecretType }, secretsReserved),
		Entry("just as the operator would make it", func(s *corev1.Secret) {
			s.Type = v1alpha1.ProjectionSecretType
			s.Annotations = map[string]string{v1alpha1.PodNameAnnotation: waiting.Name, v1alpha1.PodUIDAnnotation: string(waiting.UID)}
			s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: waiting.Name, UID: waiting.UID}}
		}, secretsReserved),
		Entry("by any name of the kind", func(s *corev1.Secret) { s.Name = "usersecret-eves" }, secretsReserved),
		Entry("by the type alone", func(s *corev1.Secret) { s.Name, s.Type = "eves", v1alpha1.ProjectionSecretType }, secretsReserved),
	)

	It("puts nothing there under a name that the API server makes up", func(ctx SpecContext) {
		generated := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: alice.Namespace, GenerateName: v1alpha1.ProjectionNamePrefix}}
		alice.refuses(eve.Client.Create(ctx, generated), byPolicy("projections")+secretsReserved)
	})

	It("copies no projection as one", func(ctx SpecContext) {
		another := alice.projection.DeepCopy()
		another.ObjectMeta = metav1.ObjectMeta{Namespace: alice.Namespace, Name: "copied"}
		alice.refuses(eve.Client.Create(ctx, another), byPolicy("projections")+secretsReserved)
	})

	DescribeTable("changes nothing of a projection",
		func(ctx SpecContext, patch func() client.Patch, because string) {
			alice.refuses(eve.Client.Patch(ctx, alice.projection.DeepCopy(), patch(), client.FieldOwner("eve")), byPolicy("projections")+because)
			alice.refuses(eve.Client.Patch(ctx, alice.projection.DeepCopy(), patch(), client.FieldOwner("eve"), client.DryRunAll), byPolicy("projections")+because)
		},
		Entry("a value", given(`{"stringData":{"OPENAI_API_KEY":"eves-value-0123456789"}}`), secretsReserved),
		Entry("a value more", given(`{"data":{"MORE":"ZXZl"}}`), secretsReserved),
		Entry("all values", given(`{"data":null}`), secretsReserved),
		Entry("a label", given(`{"metadata":{"labels":{"eve":"here"}}}`), secretsReserved),
		Entry("an annotation", given(`{"metadata":{"annotations":{"eve":"here"}}}`), secretsReserved),
		Entry("where its values come from", given(`{"metadata":{"annotations":{"usersecrets.dev/sources":"{}"}}}`), secretsReserved),
		Entry("its pod's UID", given(fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.PodUIDAnnotation, nobodysUID)), secretsReserved),
		Entry("a finalizer, to outlive its pod", given(`{"metadata":{"finalizers":["example.com/keep"]}}`), secretsReserved),
		Entry("immutability, to keep its value", given(`{"immutable":true}`), secretsReserved),
		Entry("no owner, to outlive its pod", given(`{"metadata":{"ownerReferences":null}}`), ownersStay),
		Entry("another owner", given(fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"eves","uid":%q}]}}`, nobodysUID)), ownersStay),
		Entry("a pod of hers as one more owner", func() client.Patch {
			return client.RawPatch(types.StrategicMergePatchType, fmt.Appendf(nil,
				`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":%q,"uid":%q}]}}`, waiting.Name, waiting.UID))
		}, ownersStay),
		Entry("a value, by server-side apply", func() client.Patch {
			return client.RawPatch(types.ApplyPatchType, fmt.Appendf(nil,
				`{"apiVersion":"v1","kind":"Secret","metadata":{"name":%q},"data":{"MORE":"ZXZl"}}`, alice.projection.Name))
		}, secretsReserved),
	)

	It("deletes no projection", func(ctx SpecContext) {
		for what, err := range map[string]error{
			"by name":         eve.Client.Delete(ctx, alice.projection.DeepCopy()),
			"with dependents": eve.Client.Delete(ctx, alice.projection.DeepCopy(), client.PropagationPolicy(metav1.DeletePropagationForeground)),
			"in a collection": eve.Client.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(alice.Namespace)),
		} {
			By(what)
			alice.refuses(err, byPolicy("projections")+secretsReserved)
		}
	})

	It("has a pod of hers name alice's in no place", func(ctx SpecContext) {
		for _, r := range references {
			if r.copied {
				continue // taken for a copy, which gets one of its own
			}
			By(r.place)
			pod := plainPod(alice.Namespace, "eves")
			r.put(pod, alice.projection.Name)
			alice.refuses(eve.Client.Create(ctx, pod), byPolicy("pod-secret-names")+r.because)
		}
	})

	It("has a container that joins a pod of hers name alice's in no place", func(ctx SpecContext) {
		pod := plainPod(alice.Namespace, "eves-running")
		Expect(eve.Client.Create(ctx, pod)).To(Succeed())
		for place, e := range ephemeral {
			By(place)
			joined, c := pod.DeepCopy(), debugContainer()
			e.put(&c, alice.projection.Name)
			joined.Spec.EphemeralContainers = []corev1.EphemeralContainer{c}
			alice.refuses(eve.Client.SubResource("ephemeralcontainers").Update(ctx, joined), byPolicy("pod-secret-names")+e.because)
		}
	})

	It("changes no mark of alice's pod", func(ctx SpecContext) {
		for _, patch := range []string{
			`{"metadata":{"annotations":{"usersecrets.dev/projection":"usersecret-eves"}}}`,
			`{"metadata":{"annotations":{"usersecrets.dev/requested-by":"eve"}}}`,
			`{"metadata":{"annotations":{"usersecrets.dev/ttl":"24h"}}}`,
			`{"metadata":{"annotations":{"usersecrets.dev/inject":null}}}`,
			`{"metadata":{"labels":{"usersecrets.dev/injected":null}}}`,
		} {
			alice.refuses(eve.Client.Patch(ctx, alice.pod.DeepCopy(), mergePatch(patch)), byPolicy("pod-metadata")+marksStay)
			alice.refuses(eve.Client.Status().Patch(ctx, alice.pod.DeepCopy(), mergePatch(patch)), byPolicy("pod-metadata")+marksStay)
		}
	})

	// Orphaning takes the owner reference off what the pod owns, which the policy
	// refuses the garbage collector too.
	It("cuts no projection loose from its pod", func(ctx SpecContext) {
		store(ctx, alice.Person, userSecret(ctx, alice.Person, "brief", "custom", v1alpha1.TypeCustom, "brief-value-0123456789"))
		pod := start(ctx, workflowPod(alice.Namespace, "orphaning", "name:brief=BRIEF"))
		projection := projectionOf(ctx, pod)
		Expect(eve.Client.Delete(ctx, pod.DeepCopy(), client.PropagationPolicy(metav1.DeletePropagationOrphan))).To(Succeed())
		Eventually(func() error { return product.Client.Get(ctx, client.ObjectKeyFromObject(pod), pod) }).
			Should(MatchError(apierrors.IsNotFound, "the pod is gone"))
		Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(projection), projection)).
			To(MatchError(apierrors.IsNotFound, "its Secret went first"))
	})

	It("leaves the pod that waits to what alice stores", func(ctx SpecContext) {
		store(ctx, alice.Person, userSecret(ctx, alice.Person, "later", "webhook", v1alpha1.TypeWebhookSecret, "whsec-alices-own-0123456789"))
		Expect(projectionOf(ctx, waiting).Data).To(Equal(map[string][]byte{"LATER": []byte("whsec-alices-own-0123456789")}))
	})
})

// The kubelet starts what changed in a pod with the volumes that it has. So a
// right to change pods would be one to alice's values, were it not for the policy.
var _ = Describe("eve, who may change pods in alice's namespace and not create them", Ordered, ContinueOnFailure, func() {
	var alice *estate
	var eve *rig.Person

	BeforeAll(func(ctx SpecContext) {
		alice = newEstate(ctx)
		var err error
		eve, err = product.Person(fmt.Sprintf("eve-%d", serial.Add(1)), alice.Namespace)
		Expect(err).NotTo(HaveOccurred())
		grant(ctx, "acceptance-pod-patcher", rbacv1.PolicyRule{
			APIGroups: []string{""}, Verbs: []string{"get", "update", "patch"},
			Resources: []string{"pods", "pods/status", "pods/ephemeralcontainers", "pods/resize"},
		})
		allow(ctx, eve, alice.Namespace, "acceptance-pod-patcher")
		awaitGrant(ctx, eve, authorizationv1.ResourceAttributes{Namespace: alice.Namespace, Verb: "patch", Resource: "pods"})
	})

	AfterEach(func(ctx SpecContext) {
		alice.untouched(ctx)
		after := &corev1.Pod{}
		Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(alice.pod), after)).To(Succeed())
		Expect(after.Spec).To(Equal(alice.pod.Spec), "the pod was written")
	})

	DescribeTable("has nothing of hers run with alice's value",
		func(ctx SpecContext, try func(ctx context.Context, pod *corev1.Pod) error) {
			alice.refuses(try(ctx, alice.pod.DeepCopy()), byPolicy("pod-metadata")+runningStays)
		},
		Entry("in place of a container's image", func(ctx context.Context, pod *corev1.Pod) error {
			pod.Spec.Containers[0].Image = "example.invalid/eves"
			return eve.Client.Update(ctx, pod)
		}),
		Entry("in place of a container's image, by a patch", func(ctx context.Context, pod *corev1.Pod) error {
			return eve.Client.Patch(ctx, pod, client.RawPatch(types.StrategicMergePatchType, []byte(`{"spec":{"containers":[{"name":"main","image":"example.invalid/eves"}]}}`)))
		}),
		Entry("in place of a container's image, by server-side apply", func(ctx context.Context, pod *corev1.Pod) error {
			return eve.Client.Patch(ctx, pod, client.RawPatch(types.ApplyPatchType,
				[]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"step"},"spec":{"containers":[{"name":"main","image":"example.invalid/eves"}]}}`)),
				client.FieldOwner("eve"), client.ForceOwnership)
		}),
		Entry("in place of a container's image, by kubectl set image", func(ctx context.Context, pod *corev1.Pod) error {
			return eve.Kubectl(ctx, "", "set", "image", "pod/"+pod.Name, "main=example.invalid/eves", "-n", pod.Namespace).Err()
		}),
		Entry("in an ephemeral container with the pod's own projection", func(ctx context.Context, pod *corev1.Pod) error {
			c := debugContainer()
			c.VolumeMounts = []corev1.VolumeMount{{Name: inject.VolumeName, MountPath: "/stolen"}}
			pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{c}
			return eve.Client.SubResource("ephemeralcontainers").Update(ctx, pod)
		}),
		Entry("in an ephemeral container that looks into another's processes", func(ctx context.Context, pod *corev1.Pod) error {
			c := debugContainer()
			c.TargetContainerName = "main"
			pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{c}
			return eve.Client.SubResource("ephemeralcontainers").Update(ctx, pod)
		}),
	)

	It("is told that it takes the right to create pods, and with it may", func(ctx SpecContext) {
		pod := start(ctx, workflowPod(alice.Namespace, "another", "openai"))
		projectionOf(ctx, pod)
		Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(alice.userSecret), alice.userSecret)).To(Succeed())
		creator := newMeddler(ctx, alice.Namespace)
		pod.Spec.Containers[0].Image = "example.invalid/newer"
		alice.refuses(eve.Client.Update(ctx, pod.DeepCopy()), byPolicy("pod-metadata")+runningStays)
		Expect(creator.Client.Update(ctx, pod)).To(Succeed())
	})
})

func given(text string) func() client.Patch { return func() client.Patch { return mergePatch(text) } }

// applySecret has a server-side apply create or change a Secret.
func applySecret(ctx context.Context, person *rig.Person, secret *corev1.Secret) error {
	GinkgoHelper()
	return person.Client.Patch(ctx, secret.DeepCopy(), client.RawPatch(types.ApplyPatchType, []byte(manifestOf(secret))), client.FieldOwner("eve"), client.ForceOwnership)
}
