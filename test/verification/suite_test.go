// Package verification_test shows connection tests on a real control plane, with
// providers that are servers of the tests' own.
package verification_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/verify"
	"usersecrets.dev/operator/test/lab"
	"usersecrets.dev/operator/test/rig"
)

const (
	// startTime bounds what includes compiling and starting a control plane.
	startTime = 10 * time.Minute
	// soon bounds a test that begins at once, or 10 s after the one before.
	soon = time.Minute
	// retried bounds the first retry, which comes after 48 to 72 s.
	retried = 2 * time.Minute
	// awhile is how long something must keep not happening.
	awhile   = 3 * time.Second
	interval = 50 * time.Millisecond
)

// product is shared by all specs, as is trust, the file with the certificate of
// all servers.
var (
	product *rig.Rig
	trust   string
)

func TestVerification(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Verification")
}

var _ = BeforeSuite(func() {
	ctrllog.SetLogger(zap.New(zap.WriteTo(GinkgoWriter)))
	SetDefaultEventuallyTimeout(soon)
	SetDefaultEventuallyPollingInterval(interval)
	SetDefaultConsistentlyDuration(awhile)
	SetDefaultConsistentlyPollingInterval(interval)

	trust = filepath.Join(GinkgoT().TempDir(), "trust.pem")
	Expect(os.WriteFile(trust, certificate(), 0o600)).To(Succeed())
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	var err error
	product, err = rig.Start(ctx, rig.Options{
		Verification: true, OperatorEnv: []string{"SSL_CERT_FILE=" + trust},
		Say: func(format string, args ...any) { GinkgoWriter.Printf(format+"\n", args...) },
	})
	Expect(err).NotTo(HaveOccurred())
})

var _ = AfterSuite(func() {
	if product == nil {
		return
	}
	if product.Operator != nil {
		log := product.Operator.Log()
		GinkgoWriter.Println(log[max(0, len(log)-16<<10):])
	}
	Expect(product.Stop()).To(Succeed())
})

func onboard(ctx context.Context, name string) *rig.Person {
	GinkgoHelper()
	person, err := product.Onboard(ctx, name, name)
	Expect(err).NotTo(HaveOccurred())
	return person
}

// store has an owner store a value, sealed.
func store(ctx context.Context, owner *rig.Person, name, provider, value string) *v1alpha1.UserSecret {
	GinkgoHelper()
	us, err := product.Sealed(ctx, owner, name, provider, v1alpha1.TypeAPIKey, value)
	Expect(err).NotTo(HaveOccurred())
	Expect(owner.Client.Create(ctx, us, client.FieldOwner("kubectl-usersecret"))).To(Succeed())
	return us
}

// replace stores another value.
func replace(ctx context.Context, owner *rig.Person, us *v1alpha1.UserSecret, value string) {
	GinkgoHelper()
	sealed, err := product.Seal(ctx, owner, us.Name, value)
	Expect(err).NotTo(HaveOccurred())
	patch(ctx, owner, us, map[string]any{"spec": map[string]any{"encryptedValue": sealed}})
}

// ask has an owner ask for a test.
func ask(ctx context.Context, owner *rig.Person, us *v1alpha1.UserSecret) {
	GinkgoHelper()
	patch(ctx, owner, us, map[string]any{"metadata": map[string]any{"annotations": map[string]any{
		v1alpha1.VerifyRequestedAtAnnotation: verify.FormatRequest(time.Now()),
	}}})
}

func setMode(ctx context.Context, owner *rig.Person, us *v1alpha1.UserSecret, mode v1alpha1.VerificationMode) {
	GinkgoHelper()
	patch(ctx, owner, us, map[string]any{"spec": map[string]any{"verification": map[string]any{"mode": mode}}})
}

// verdict is the reason of Verified; empty without it.
func verdict(ctx context.Context, us *v1alpha1.UserSecret) func() (string, error) {
	return func() (string, error) {
		current := &v1alpha1.UserSecret{}
		err := product.Client.Get(ctx, client.ObjectKeyFromObject(us), current)
		return reasonOf(current, v1alpha1.ConditionVerified), err
	}
}

func reasonOf(us *v1alpha1.UserSecret, name string) string {
	if c := meta.FindStatusCondition(us.Status.Conditions, name); c != nil {
		return c.Reason
	}
	return ""
}

func get(ctx context.Context, us *v1alpha1.UserSecret) *v1alpha1.UserSecret {
	GinkgoHelper()
	current := &v1alpha1.UserSecret{}
	Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(us), current)).To(Succeed())
	return current
}

// versions are the resource versions of a namespace's UserSecrets: what stays as it
// is was not written.
func versions(ctx context.Context, namespace string) func() (map[types.NamespacedName]string, error) {
	return func() (map[types.NamespacedName]string, error) {
		var list v1alpha1.UserSecretList
		err := product.Client.List(ctx, &list, client.InNamespace(namespace))
		found := map[types.NamespacedName]string{}
		for i := range list.Items {
			found[client.ObjectKeyFromObject(&list.Items[i])] = list.Items[i].ResourceVersion
		}
		return found, err
	}
}

// plugin runs the plugin as somebody, who trusts the servers.
func plugin(ctx context.Context, who *rig.Person, args ...string) lab.Result {
	return product.Run(ctx, who.Kubeconfig, nil, "/usr/bin/env", append([]string{"SSL_CERT_FILE=" + trust, "VALUE=" + good, "BAD=" + canary, product.Plugin()}, args...)...)
}

// catalogue adds a provider whose keys a server tests, or none does.
func catalogue(ctx context.Context, name string, test *v1alpha1.ProviderTest) *v1alpha1.SecretProvider {
	GinkgoHelper()
	p := &v1alpha1.SecretProvider{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.SecretProviderSpec{DisplayName: name, Category: "Custom", Types: []v1alpha1.ProviderType{{
			Type: v1alpha1.TypeAPIKey, Key: "API_KEY", AllowMultiple: true, Test: test,
		}}},
	}
	Expect(product.Client.Create(ctx, p)).To(Succeed())
	return p
}
