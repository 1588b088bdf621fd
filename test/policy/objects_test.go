package policy

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
)

// newNamespace makes a namespace with the ServiceAccount that a pod needs to be admitted.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "policy-"}}
	Expect(admin.Create(ctx, namespace)).To(Succeed())
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: namespace.Name}}
	Expect(admin.Create(ctx, account)).To(Succeed())
	return namespace.Name
}

const podUID = types.UID("4a4ff2e5-5d1f-4a8e-9f0b-4b1d1a6f2c11")

// projection is a Secret as the operator issues it.
func projection(namespace, name string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name:      name,
			Namespace: namespace,
			Annotations: map[string]string{
				v1alpha1.PodNameAnnotation: "step",
				v1alpha1.PodUIDAnnotation:  string(podUID),
			},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "step", UID: podUID}},
		},
		Type: v1alpha1.ProjectionSecretType,
		Data: map[string][]byte{"OPENAI_API_KEY": []byte("not a real key")},
	}
}

// secret is one that has nothing to do with this project.
func secret(namespace, name string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Type:       corev1.SecretTypeOpaque,
		Data:       map[string][]byte{"password": []byte("not a real password")},
	}
}

// pod is one that asks for nothing.
func pod(namespace, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(false),
			Containers:                   []corev1.Container{{Name: "main", Image: "example.invalid/step"}},
		},
	}
}

// injectedPod is one as the webhook leaves it, created by username.
func injectedPod(namespace, name, username, projection string) *corev1.Pod {
	p := pod(namespace, name)
	p.Labels = map[string]string{v1alpha1.InjectedLabel: "true"}
	p.Annotations = map[string]string{
		v1alpha1.InjectAnnotation:      "openai",
		v1alpha1.ProjectionAnnotation:  projection,
		v1alpha1.RequestedByAnnotation: username,
	}
	return p
}

// userSecret is a sealed one; nothing here opens it.
func userSecret(namespace, name string) *v1alpha1.UserSecret {
	return &v1alpha1.UserSecret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: v1alpha1.UserSecretSpec{
			Provider:       "openai",
			Type:           v1alpha1.TypeAPIKey,
			EncryptedValue: "us1.v1-3f9a2c1b.AAAA",
		},
	}
}

func sealingKey(namespace string) *v1alpha1.SealingKey {
	return &v1alpha1.SealingKey{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SealingKeyName, Namespace: namespace},
		Spec: v1alpha1.SealingKeySpec{
			Owner: alice, KeyID: "v1-3f9a2c1b", PublicKey: []byte("public"), Fingerprint: "fingerprint",
		},
	}
}

// makeOperatorNamespace makes it where an earlier test has not.
func makeOperatorNamespace(ctx context.Context) {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.OperatorNamespace}}
	if err := admin.Create(ctx, namespace); !apierrors.IsAlreadyExists(err) {
		Expect(err).NotTo(HaveOccurred())
	}
}
