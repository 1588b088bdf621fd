package kms_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/internal/kms"
	"usersecrets.dev/operator/internal/secretvalue"
)

var place = envelope.Binding{Owner: "alice", Namespace: "alice-flows", Name: "openai"}

// cluster is where key material lies; its API server is a fake.
type cluster struct {
	client client.Client
	clock  *clocktesting.FakeClock
}

func makeCluster() *cluster {
	GinkgoHelper()
	scheme := runtime.NewScheme()
	Expect(corev1.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	return &cluster{client: fake.NewClientBuilder().WithScheme(scheme).Build(), clock: clocktesting.NewFakeClock(time.Now())}
}

// keyring is that of an operator that starts now.
func (c *cluster) keyring(roots ...keyring.Root) *keyring.Keyring {
	return keyring.New(keyring.Config{Client: c.client, Namespace: v1alpha1.OperatorNamespace, Roots: roots, Clock: c.clock})
}

// started is the keyring of an operator that is up.
func (c *cluster) started(ctx context.Context, roots ...keyring.Root) *keyring.Keyring {
	GinkgoHelper()
	k := c.keyring(roots...)
	Expect(k.Bootstrap(ctx)).To(Succeed())
	return k
}

// secrets are those with key material.
func (c *cluster) secrets(ctx context.Context) []corev1.Secret {
	GinkgoHelper()
	var list corev1.SecretList
	Expect(c.client.List(ctx, &list)).To(Succeed())
	return list.Items
}

// wrappedBy counts the Secrets with key material by the root key that wraps it.
func (c *cluster) wrappedBy(ctx context.Context) map[string]int {
	GinkgoHelper()
	count := map[string]int{}
	for _, secret := range c.secrets(ctx) {
		count[string(secret.Data[keyring.RootKeyField])]++
	}
	return count
}

// put puts other bytes in the place of an encryption key's wrapped material, and
// says what was there.
func (c *cluster) put(ctx context.Context, key string, wrapped []byte) (before []byte) {
	GinkgoHelper()
	secret := &corev1.Secret{}
	Expect(c.client.Get(ctx, types.NamespacedName{Namespace: v1alpha1.OperatorNamespace, Name: keyring.SecretPrefix + key}, secret)).To(Succeed())
	before = secret.Data[keyring.WrappedField]
	secret.Data[keyring.WrappedField] = wrapped
	Expect(c.client.Update(ctx, secret)).To(Succeed())
	return before
}

// open prepares a root key as the operator does.
func open(ctx context.Context, url string) *kms.Root {
	GinkgoHelper()
	root, err := kms.Open(ctx, url)
	Expect(err).NotTo(HaveOccurred())
	return root
}

// localRoot is a root key such as VAULT_ENCRYPTION_KEY holds.
func localRoot() keyring.Root {
	GinkgoHelper()
	key := make([]byte, keyring.KeySize)
	_, _ = rand.Read(key) // never fails
	root, err := keyring.ParseRootKey(hex.EncodeToString(key))
	Expect(err).NotTo(HaveOccurred())
	return root
}

func seal(k *keyring.Keyring, value string) string {
	GinkgoHelper()
	text, err := k.Seal(place, secretvalue.FromString(value))
	Expect(err).NotTo(HaveOccurred())
	return text
}

func expectOpens(ctx context.Context, k *keyring.Keyring, text, value string) {
	GinkgoHelper()
	opened, err := k.OpenText(ctx, text, place)
	Expect(err).NotTo(HaveOccurred())
	Expect(opened.Bytes()).To(BeEquivalentTo(value))
}
