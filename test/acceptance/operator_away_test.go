package acceptance_test

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

var _ = Describe("While the operator is away", Serial, Ordered, func() {
	var alice *absence

	BeforeAll(func(ctx SpecContext) {
		alice = beforeAbsence(ctx)
		DeferCleanup(backAgain)
		Expect(product.StopOperator()).To(Succeed())
	})

	DescribeTable("no UserSecret is written",
		func(ctx SpecContext, write func(context.Context) error) {
			alice.refuses(write(ctx), "Internal error occurred: "+unreachable("seal"))
			alice.untouched(ctx)
			Expect(product.Client.Get(ctx, types.NamespacedName{Namespace: alice.Namespace, Name: "more"}, &v1alpha1.UserSecret{})).
				To(MatchError(apierrors.IsNotFound, "nothing was stored"))
		},
		Entry("sealed", func(ctx context.Context) error {
			return alice.Client.Create(ctx, userSecret(ctx, alice.Person, "more", "custom", v1alpha1.TypeCustom, alice.value))
		}),
		Entry("in the clear", func(ctx context.Context) error {
			return alice.Client.Create(ctx, plaintext(alice.Person, "more", "custom", v1alpha1.TypeCustom, alice.value))
		}),
		Entry("in the clear, by kubectl apply", func(ctx context.Context) error {
			return applyManifest(ctx, alice.Person, plaintext(alice.Person, "more", "custom", v1alpha1.TypeCustom, alice.value)).Err()
		}),
		Entry("in the clear, by server-side apply", func(ctx context.Context) error {
			return applyManifest(ctx, alice.Person, plaintext(alice.Person, "more", "custom", v1alpha1.TypeCustom, alice.value), "--server-side").Err()
		}),
		Entry("over what is there", func(ctx context.Context) error {
			return alice.Client.Patch(ctx, alice.userSecret.DeepCopy(), mergePatch(fmt.Sprintf(`{"spec":{"value":%q}}`, alice.value)))
		}),
		Entry("switched off", func(ctx context.Context) error {
			return alice.Client.Patch(ctx, alice.userSecret.DeepCopy(), mergePatch(`{"spec":{"active":false}}`))
		}),
		Entry("by an administrator", func(ctx context.Context) error {
			return product.Client.Create(ctx, userSecret(ctx, alice.Person, "more", "custom", v1alpha1.TypeCustom, alice.value))
		}),
	)

	It("not even a webhook that was told to be ignored lets plaintext be stored", func(ctx SpecContext) {
		ignoreWebhooks(ctx)
		for what, err := range map[string]error{
			"created": alice.Client.Create(ctx, plaintext(alice.Person, "more", "custom", v1alpha1.TypeCustom, alice.value)),
			"applied": applyManifest(ctx, alice.Person, plaintext(alice.Person, "more", "custom", v1alpha1.TypeCustom, alice.value), "--server-side").Err(),
			"patched": alice.Client.Patch(ctx, alice.userSecret.DeepCopy(), mergePatch(fmt.Sprintf(`{"spec":{"value":%q}}`, alice.value))),
		} {
			By(what)
			alice.refuses(err, "value is never stored: the admission webhook that seals it did not run. Seal it with "+
				"'kubectl usersecret seal', or ask the administrator whether the UserSecret operator is running")
		}
		By("applied by the client, which repeats it in an annotation")
		err := applyManifest(ctx, alice.Person, plaintext(alice.Person, "more", "custom", v1alpha1.TypeCustom, alice.value)).Err()
		alice.refuses(err, "value is never stored")
		Expect(product.Client.Get(ctx, types.NamespacedName{Namespace: alice.Namespace, Name: "more"}, &v1alpha1.UserSecret{})).
			To(MatchError(apierrors.IsNotFound, "nothing was stored"))
	})

	It("pods that ask for nothing start at once", func(ctx SpecContext) {
		quickly, cancel := context.WithTimeout(ctx, atOnce)
		defer cancel()
		plain := plainPod(alice.bob.Namespace, "plain")
		Expect(alice.bob.Client.Create(quickly, plain)).To(Succeed())
		own := plainPod(alice.bob.Namespace, "with-secrets-of-its-own")
		own.Annotations = map[string]string{"example.com/note": "usersecrets.dev/inject"}
		own.Spec.Containers[0].EnvFrom = envFromAll("settings")
		own.Spec.Containers[0].Env = envFromKey("settings")
		Expect(alice.bob.Client.Create(quickly, own)).To(Succeed())
		Expect(own.Spec.Volumes).To(HaveLen(1), "the token of its ServiceAccount, and nothing of ours")
	})

	It("pods that ask, or name what was issued, are refused", func(ctx SpecContext) {
		alice.refuses(product.Client.Create(ctx, workflowPod(alice.Namespace, "asks", "openai")), unreachable("inject"))
		copied := plainPod(alice.Namespace, "copied")
		copied.Spec.Containers[0].EnvFrom = envFromAll(alice.projection.Name)
		alice.refuses(alice.eve.Client.Create(ctx, copied), unreachable("inject"))
	})

	It("the catalogue is applied again, and loses what nobody wants, but does not change", func(ctx SpecContext) {
		openai := &v1alpha1.SecretProvider{}
		Expect(product.Client.Get(ctx, types.NamespacedName{Name: "openai"}, openai)).To(Succeed())
		again := product.Kubectl(ctx, product.AdminKubeconfig, nil, "apply", "--server-side", "--force-conflicts", "-f", product.ProjectFile("config/providers/openai.yaml"))
		Expect(again.Err()).NotTo(HaveOccurred())
		alice.refuses(product.Client.Patch(ctx, openai.DeepCopy(), mergePatch(`{"spec":{"displayName":"Open"}}`)), unreachable("validate.secretproviders"))
		alice.refuses(product.Client.Create(ctx, weather()), unreachable("validate.secretproviders"))
		Expect(product.Client.Delete(ctx, alice.unwanted)).To(Succeed())
	})

	It("policies hold", func(ctx SpecContext) {
		for _, r := range references {
			By("a pod that names a projection: " + r.place)
			pod := plainPod(alice.Namespace, "naming")
			r.put(pod, alice.projection.Name)
			err := alice.eve.Client.Create(ctx, pod)
			if r.copied || r.place == "secret" { // asked about first, as a copy might be
				alice.refuses(err, unreachable("inject"))
				continue
			}
			alice.refuses(err, byPolicy("pod-secret-names")+r.because)
		}
		for what, refusal := range map[string]struct {
			err     error
			because string
		}{
			"a forged pod": {alice.eve.Client.Create(ctx, forgedPod(alice.estate)), byPolicy("pod-metadata") + marksStamped},
			"a running pod's marks": {
				alice.eve.Client.Patch(ctx, alice.pod.DeepCopy(), mergePatch(`{"metadata":{"annotations":{"usersecrets.dev/projection":"usersecret-eves"}}}`)),
				byPolicy("pod-metadata") + marksStay,
			},
			"a claimed projection": {
				alice.eve.Client.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: alice.Namespace, Name: projectionKey(alice.waiter).Name}}),
				byPolicy("projections") + secretsReserved,
			},
			"a changed projection": {alice.eve.Client.Patch(ctx, alice.projection.DeepCopy(), mergePatch(`{"data":{"MORE":"ZXZl"}}`)), byPolicy("projections") + secretsReserved},
			"a projection's end":   {alice.eve.Client.Delete(ctx, alice.projection.DeepCopy()), byPolicy("projections") + secretsReserved},
			"the sealing key": {
				alice.eve.Client.Delete(ctx, &v1alpha1.SealingKey{ObjectMeta: metav1.ObjectMeta{Namespace: alice.Namespace, Name: v1alpha1.SealingKeyName}}),
				byPolicy("sealing-keys") + sealingKeyByOperator,
			},
			"the record of uses": {
				alice.eve.Client.Status().Patch(ctx, alice.userSecret.DeepCopy(), mergePatch(`{"status":{"usage":{"count":0}}}`)),
				byPolicy("status") + statusByOperator,
			},
			"a foreign Secret, by the operator's own account": {operatorWritesForeign(ctx, alice.bob.Namespace), byPolicy("operator-secrets") + projectionsAlone},
		} {
			By(what)
			alice.refuses(refusal.err, refusal.because)
		}
		alice.untouched(ctx)
	})

	It("a namespace's owner is not changed", func(ctx SpecContext) {
		allowNamespaces(ctx, alice.bob)
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: alice.Namespace}}
		patch := mergePatch(fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.OwnerAnnotation, alice.bob.Name))
		alice.refuses(alice.bob.Client.Patch(ctx, ns, patch), byPolicy("namespace-owner"), askForOwner)
	})

	It("running pods keep what they have", func(ctx SpecContext) {
		Consistently(func() (map[string][]byte, error) {
			secret := &corev1.Secret{}
			err := product.Client.Get(ctx, client.ObjectKeyFromObject(alice.projection), secret)
			return secret.Data, err
		}).Should(Equal(map[string][]byte{"OPENAI_API_KEY": []byte(alice.value)}))
		Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(alice.pod), &corev1.Pod{})).To(Succeed())
	})

	It("a UserSecret can be deleted", func(ctx SpecContext) {
		Expect(alice.Client.Delete(ctx, alice.copyFor(alice.Namespace, "slack"))).To(Succeed())
		Expect(product.Client.Get(ctx, types.NamespacedName{Namespace: alice.Namespace, Name: "slack"}, &v1alpha1.UserSecret{})).
			To(MatchError(apierrors.IsNotFound, "it is gone at once"))
	})

	It("a pod takes its projection along", func(ctx SpecContext) {
		Expect(product.Client.Delete(ctx, alice.dropped.DeepCopy())).To(Succeed())
		Eventually(func() error { return product.Client.Get(ctx, projectionKey(alice.dropped), &corev1.Secret{}) }).
			Should(MatchError(apierrors.IsNotFound, "the garbage collector deleted it"))
	})

	It("a namespace goes with all that is in it", func(ctx SpecContext) {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: alice.doomed.Namespace}}
		Expect(product.Client.Delete(ctx, ns)).To(Succeed())
		Eventually(func() error { return product.Client.Get(ctx, client.ObjectKeyFromObject(ns), ns) }).
			Should(MatchError(apierrors.IsNotFound, "nothing holds it"))
		Expect(product.Client.Get(ctx, projectionKey(alice.doomedPod), &corev1.Secret{})).To(MatchError(apierrors.IsNotFound, "nor is its projection left"))
	})

	When("it is back", func() {
		BeforeAll(func(ctx SpecContext) {
			finish(ctx, alice.finisher)
			backAgain(ctx)
		})

		It("takes away what was deleted meanwhile", func(ctx SpecContext) {
			secret := &corev1.Secret{}
			Eventually(func(g Gomega) {
				g.Expect(product.Client.Get(ctx, projectionKey(alice.leaver), secret)).To(Succeed())
				g.Expect(secret.Data).To(BeEmpty())
			}).Should(Succeed())
		})

		It("deletes the projection of a pod that ended meanwhile", func(ctx SpecContext) {
			Eventually(func() error { return product.Client.Get(ctx, projectionKey(alice.finisher), &corev1.Secret{}) }).
				Should(MatchError(apierrors.IsNotFound, "it is gone"))
		})

		It("serves the pod that was waiting before", func(ctx SpecContext) {
			store(ctx, alice.Person, userSecret(ctx, alice.Person, "later", "webhook", v1alpha1.TypeWebhookSecret, "whsec-later-0123456789"))
			Expect(projectionOf(ctx, alice.waiter).Data).To(Equal(map[string][]byte{"LATER": []byte("whsec-later-0123456789")}))
		})

		It("has counted nothing twice, nor written what stayed as it was", func(ctx SpecContext) {
			alice.untouched(ctx)
			again := start(ctx, workflowPod(alice.Namespace, "again", "openai"))
			projectionOf(ctx, again)
			us := &v1alpha1.UserSecret{}
			Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(alice.userSecret), us)).To(Succeed())
			Expect(us.Status.Usage.Count).To(BeEquivalentTo(4))
			Expect(us.Status.RecentAccesses).To(HaveLen(4))
			Expect(us.Status.RecentAccesses[1:]).To(Equal(alice.userSecret.Status.RecentAccesses))
		})

		It("accepts writes again", func(ctx SpecContext) {
			Expect(alice.Client.Patch(ctx, alice.copyFor(alice.Namespace, "openai"), mergePatch(`{"spec":{"active":false}}`))).To(Succeed())
			Eventually(func(g Gomega) {
				g.Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(alice.projection), alice.projection)).To(Succeed())
				g.Expect(alice.projection.Data).To(BeEmpty())
			}).Should(Succeed())
		})
	})
})
