package acceptance_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

var _ = Describe("The main job", func() {
	It("stores a sealed value, hands it to one pod, records the use, and takes it away", func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		us := store(ctx, alice, userSecret(ctx, alice, "openai", "openai", v1alpha1.TypeAPIKey, "sk-proj-main-job-0123456789"))
		Expect(us.Status.Owner).To(Equal(alice.Name))
		Expect(us.Status.Masked).To(HaveSuffix("6789"))
		Expect(us.Annotations).To(HaveKeyWithValue(v1alpha1.CreatedByAnnotation, alice.Name))

		pod := start(ctx, workflowPod(alice.Namespace, "step", "openai"))
		secret := projectionOf(ctx, pod)
		Expect(secret.Type).To(Equal(corev1.SecretType(v1alpha1.ProjectionSecretType)))
		Expect(secret.Data).To(Equal(map[string][]byte{"OPENAI_API_KEY": []byte("sk-proj-main-job-0123456789")}))
		Expect(secret.Annotations).To(HaveKeyWithValue(v1alpha1.PodUIDAnnotation, string(pod.UID)))
		Expect(secret.OwnerReferences).To(HaveLen(1))
		Expect(secret.OwnerReferences[0].UID).To(Equal(pod.UID))

		// The use stands there already: it is recorded before the Secret exists.
		Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(us), us)).To(Succeed())
		Expect(us.Status.Usage.Count).To(BeEquivalentTo(1))
		Expect(us.Status.Usage.LastUsedBy).To(Equal(&v1alpha1.LastUse{Workflow: "step-wf", Node: "step.step", Pod: "step"}))
		Expect(us.Status.RecentAccesses).To(HaveLen(1))
		Expect(us.Status.RecentAccesses[0].PodUID).To(Equal(string(pod.UID)))

		finish(ctx, pod)
		Eventually(func() error { return product.Client.Get(ctx, client.ObjectKeyFromObject(secret), secret) }).
			Should(MatchError(apierrors.IsNotFound, "the Secret is gone"))
	})
})
