// Package certificates_test holds internal/certificates against a real API
// server, as the operator's own user with no more rights than the package asks for.
package certificates_test

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/lab"
)

const (
	namespace    = v1alpha1.OperatorNamespace
	service      = "usersecret-operator-webhook"
	operatorUser = "system:serviceaccount:" + namespace + ":" + v1alpha1.OperatorName
)

// Bounds for what other processes do in their own time.
const (
	eventually = 30 * time.Second
	polling    = 20 * time.Millisecond
)

var (
	admin          client.Client
	operatorConfig *rest.Config
)

func TestCertificates(t *testing.T) {
	ctrllog.SetLogger(logr.Discard())
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(eventually)
	SetDefaultEventuallyPollingInterval(polling)
	RunSpecs(t, "Certificates")
}

var _ = BeforeSuite(func(ctx context.Context) {
	control, err := lab.Start(ctx, lab.Options{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(control.Stop()).To(Succeed()) })
	admin, err = client.New(control.Admin(), client.Options{Scheme: scheme.Scheme})
	Expect(err).NotTo(HaveOccurred())
	operatorConfig, err = control.User(operatorUser)
	Expect(err).NotTo(HaveOccurred())
	Expect(admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
	grant(ctx)
})

var _ = BeforeEach(func(ctx context.Context) {
	for _, object := range []client.Object{caSecret(), mutating(), validating()} {
		Expect(client.IgnoreNotFound(admin.Delete(ctx, object))).To(Succeed())
	}
})

func caSecret() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "webhook-ca"}}
}

// mutating and validating are the two configurations as their manifests have them: without a caBundle.
func mutating() *admissionv1.MutatingWebhookConfiguration {
	hook := func(name string) admissionv1.MutatingWebhook {
		return admissionv1.MutatingWebhook{
			Name: name, Rules: rules(), SideEffects: new(admissionv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
			FailurePolicy: new(admissionv1.Ignore), ReinvocationPolicy: new(admissionv1.NeverReinvocationPolicy),
			ClientConfig: admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: namespace, Name: service, Path: new("/mutate")}},
		}
	}
	return &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.OperatorName},
		Webhooks:   []admissionv1.MutatingWebhook{hook("first.usersecrets.dev"), hook("second.usersecrets.dev")},
	}
}

func validating() *admissionv1.ValidatingWebhookConfiguration {
	return &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.OperatorName},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name: "first.usersecrets.dev", Rules: rules(), SideEffects: new(admissionv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
			FailurePolicy: new(admissionv1.Ignore),
			ClientConfig:  admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: namespace, Name: service, Path: new("/validate")}},
		}},
	}
}

// rules match a resource that no spec writes except to see whether the webhook is called.
func rules() []admissionv1.RuleWithOperations {
	return []admissionv1.RuleWithOperations{{
		Operations: []admissionv1.OperationType{admissionv1.Create},
		Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
	}}
}

func createConfigurations(ctx context.Context) {
	GinkgoHelper()
	Expect(admin.Create(ctx, mutating())).To(Succeed())
	Expect(admin.Create(ctx, validating())).To(Succeed())
}
