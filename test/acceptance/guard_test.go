package acceptance_test

import (
	"context"
	"io"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
)

var _ = Describe("An operator that starts where a policy's binding is missing", Serial, Ordered, func() {
	const missing = "usersecrets-pod-secret-names"
	var binding *admissionregistrationv1.ValidatingAdmissionPolicyBinding
	var pod *corev1.Pod
	started := make(chan error, 1)

	BeforeAll(func(ctx SpecContext) {
		alice := newUser(ctx, "alice")
		store(ctx, alice, userSecret(ctx, alice, "openai", "openai", v1alpha1.TypeAPIKey, "sk-proj-guarded-0123456789"))
		binding = &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}
		Expect(product.Client.Get(ctx, types.NamespacedName{Name: missing}, binding)).To(Succeed())
		Expect(product.StopOperator()).To(Succeed())
		DeferCleanup(backAgain)
		Expect(product.Client.Delete(ctx, binding)).To(Succeed())
		DeferCleanup(restore, binding)
		background, cancel := context.WithTimeout(context.Background(), 2*soon)
		DeferCleanup(cancel)
		go func() { started <- product.StartOperator(background) }()
		Eventually(func() (int, error) { code, _, err := readiness(ctx, "/webhook-server"); return code, err }).
			Should(Equal(http.StatusOK), "it answers pods")
		pod = start(ctx, workflowPod(alice.Namespace, "step", "openai"))
	})

	It("is not ready, and says which", func(ctx SpecContext) {
		Eventually(func() (string, error) { _, said, err := readiness(ctx, "/policies"); return said, err }).
			Should(ContainSubstring(`admission policies are not in place: binding "usersecrets-pod-secret-names" is missing: apply config/policy`))
		code, said, err := readiness(ctx, "")
		Expect(err).NotTo(HaveOccurred())
		Expect(code).To(Equal(http.StatusInternalServerError))
		Expect(said).To(ContainSubstring("[-]policies failed"))
	})

	It("issues nothing, nor counts anything", func(ctx SpecContext) {
		// The same replica leads: what it could have issued, it would have by now.
		Consistently(func() error { return product.Client.Get(ctx, projectionKey(pod), &corev1.Secret{}) }).
			WithTimeout(2 * awhile).Should(MatchError(apierrors.IsNotFound, "nothing is issued"))
		us := &v1alpha1.UserSecret{}
		Expect(product.Client.Get(ctx, types.NamespacedName{Namespace: pod.Namespace, Name: "openai"}, us)).To(Succeed())
		Expect(us.Status.Usage).To(BeNil())
	})

	It("serves the pod that waited once the binding is there again", func(ctx SpecContext) {
		restore(ctx, binding)
		Eventually(started).Should(Receive(BeNil()), "it becomes ready")
		Expect(projectionOf(ctx, pod).Data).To(Equal(map[string][]byte{"OPENAI_API_KEY": []byte("sk-proj-guarded-0123456789")}))
	})
})

// restore makes a binding again, where it is not there, and waits until it is enforced.
func restore(ctx SpecContext, binding *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
	GinkgoHelper()
	again := binding.DeepCopy()
	again.ResourceVersion, again.UID = "", ""
	if err := product.Client.Create(ctx, again); err != nil {
		Expect(err).To(MatchError(apierrors.IsAlreadyExists, "it is there"))
		return
	}
	Expect(product.AwaitAdmission(ctx)).To(Succeed())
}

// readiness is what the operator answers about itself, or about one of its checks.
func readiness(ctx context.Context, check string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, product.Replica(0).ReadyURL()+check, nil)
	if err != nil {
		return 0, "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	said, err := io.ReadAll(answer.Body)
	return answer.StatusCode, strings.TrimSpace(string(said)), err
}
