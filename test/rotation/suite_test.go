// Package rotation_test shows the life of encryption keys on a real control plane:
// rotation, manifests that somebody keeps, deletion, root keys, damage, and the
// day on which the cluster is lost.
package rotation_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/test/lab"
	"usersecrets.dev/operator/test/rig"
)

const (
	// startTime bounds what includes compiling and starting a control plane.
	startTime = 10 * time.Minute
	// soon bounds what the operator does by itself after an event.
	soon = 30 * time.Second
	// awhile is how long something must keep not happening.
	awhile   = 2 * time.Second
	interval = 50 * time.Millisecond
)

func TestRotation(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Rotation")
}

var _ = BeforeSuite(func() {
	ctrllog.SetLogger(zap.New(zap.WriteTo(GinkgoWriter)))
	SetDefaultEventuallyTimeout(soon)
	SetDefaultEventuallyPollingInterval(interval)
	SetDefaultConsistentlyDuration(awhile)
	SetDefaultConsistentlyPollingInterval(interval)
})

// startRig starts a product of its own for the specs of a container.
func startRig() *rig.Rig {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	product, err := rig.Start(ctx, rig.Options{Say: func(format string, args ...any) { GinkgoWriter.Printf(format+"\n", args...) }})
	Expect(err).NotTo(HaveOccurred())
	return product
}

func stopRig(product *rig.Rig) {
	GinkgoHelper()
	if product == nil {
		return
	}
	if CurrentSpecReport().Failed() && product.Operator != nil {
		log := product.Operator.Log()
		GinkgoWriter.Println(log[max(0, len(log)-16<<10):])
	}
	Expect(product.Stop()).To(Succeed())
}

func onboard(ctx context.Context, product *rig.Rig, name string) *rig.Person {
	GinkgoHelper()
	person, err := product.Onboard(ctx, name, name)
	Expect(err).NotTo(HaveOccurred())
	return person
}

// store has an owner store a value sealed, as the plugin does: nobody keeps it.
func store(ctx context.Context, product *rig.Rig, owner *rig.Person, name, value string) *v1alpha1.UserSecret {
	GinkgoHelper()
	us, err := product.Sealed(ctx, owner, name, "custom", v1alpha1.TypeCustom, value)
	Expect(err).NotTo(HaveOccurred())
	Expect(owner.Client.Create(ctx, us, client.FieldOwner("kubectl-usersecret"))).To(Succeed())
	return observed(ctx, product, us)
}

// observed waits until the operator has said what it thinks of a UserSecret.
func observed(ctx context.Context, product *rig.Rig, us *v1alpha1.UserSecret) *v1alpha1.UserSecret {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(product.Client.Get(ctx, client.ObjectKeyFromObject(us), us)).To(Succeed())
		g.Expect(us.Status.ObservedGeneration).To(Equal(us.Generation))
		g.Expect(us.Status.Conditions).NotTo(BeEmpty())
	}).Should(Succeed())
	return us
}

// admin runs the plugin as an administrator.
func admin(ctx context.Context, product *rig.Rig, args ...string) lab.Result {
	return product.Kubectl(ctx, product.AdminKubeconfig, nil, append([]string{"usersecret"}, args...)...)
}

func mustAdmin(ctx context.Context, product *rig.Rig, args ...string) string {
	GinkgoHelper()
	result := admin(ctx, product, args...)
	Expect(result.Err()).NotTo(HaveOccurred())
	return result.Stdout
}

func rotate(ctx context.Context, product *rig.Rig) string {
	GinkgoHelper()
	return mustAdmin(ctx, product, "keys", "rotate", "--watch", "--timeout", soon.String())
}

func encryptionKey(ctx context.Context, product *rig.Rig, name string) *v1alpha1.EncryptionKey {
	GinkgoHelper()
	key := &v1alpha1.EncryptionKey{}
	// A leader that has just begun may still have to make it.
	Eventually(func(g Gomega) {
		g.Expect(product.Client.Get(ctx, types.NamespacedName{Name: name}, key)).To(Succeed())
		g.Expect(key.Status.KeyID).NotTo(BeEmpty())
	}).Should(Succeed())
	return key
}

// phases are those of all EncryptionKeys, by name.
func phases(ctx context.Context, product *rig.Rig) map[string]v1alpha1.KeyPhase {
	GinkgoHelper()
	list := &v1alpha1.EncryptionKeyList{}
	Expect(product.Client.List(ctx, list)).To(Succeed())
	out := map[string]v1alpha1.KeyPhase{}
	for i := range list.Items {
		out[list.Items[i].Name] = list.Items[i].Status.Phase
	}
	return out
}

// reasonOf is the reason of one of a UserSecret's conditions; empty without it.
func reasonOf(us *v1alpha1.UserSecret, condition string) string {
	if c := meta.FindStatusCondition(us.Status.Conditions, condition); c != nil {
		return c.Reason
	}
	return ""
}

func sealedReason(us *v1alpha1.UserSecret) string { return reasonOf(us, v1alpha1.ConditionSealed) }

func keyReason(key *v1alpha1.EncryptionKey) string {
	if c := meta.FindStatusCondition(key.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		return c.Reason
	}
	return ""
}

// opener is a keyring of the test's own, with the operator's root key: it opens
// what is stored as the operator would.
func opener(ctx context.Context, product *rig.Rig) *keyring.Keyring {
	GinkgoHelper()
	roots, err := keyring.ParseRootKeys(product.RootKey())
	Expect(err).NotTo(HaveOccurred())
	keys := keyring.New(keyring.Config{Client: product.Client, Namespace: v1alpha1.OperatorNamespace, Roots: roots})
	Expect(keys.Reload(ctx)).To(Succeed())
	return keys
}

// valueOf opens a sealed value of an owner whose namespace has their name.
func valueOf(ctx context.Context, keys *keyring.Keyring, us *v1alpha1.UserSecret, sealed string) string {
	GinkgoHelper()
	value, err := keys.OpenText(ctx, sealed, envelope.Binding{Owner: us.Namespace, Namespace: us.Namespace, Name: us.Name})
	Expect(err).NotTo(HaveOccurred())
	return string(value.Bytes())
}

// served starts a pod and waits for what it gets.
func served(ctx context.Context, product *rig.Rig, namespace, name, inject string) *corev1.Secret {
	GinkgoHelper()
	pod := rig.WorkflowPod(namespace, name, inject)
	Expect(product.Client.Create(ctx, pod)).To(Succeed())
	secret := &corev1.Secret{}
	Eventually(func() error {
		return product.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: pod.Annotations[v1alpha1.ProjectionAnnotation]}, secret)
	}).Should(Succeed())
	return secret
}

// file writes a file that goes with the spec, and returns its path.
func file(name, content string) string {
	GinkgoHelper()
	path := filepath.Join(GinkgoT().TempDir(), name)
	Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
	return path
}

func lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

// manifest is what somebody keeps in git.
func manifest(us *v1alpha1.UserSecret, sealed string) string {
	return fmt.Sprintf(`# kept in git
apiVersion: usersecrets.dev/v1alpha1
kind: UserSecret
metadata:
  name: %s
  namespace: %s
spec:
  provider: custom
  type: custom
  encryptedValue: %s # sealed
`, us.Name, us.Namespace, sealed)
}
