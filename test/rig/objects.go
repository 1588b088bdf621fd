package rig

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
)

// Seal seals a value as anybody can, with the key published in the owner's
// namespace.
func (r *Rig) Seal(ctx context.Context, owner *Person, name, value string) (string, error) {
	key := &v1alpha1.SealingKey{}
	if err := r.Client.Get(ctx, types.NamespacedName{Namespace: owner.Namespace, Name: v1alpha1.SealingKeyName}, key); err != nil {
		return "", fmt.Errorf("reading the sealing key: %w", err)
	}
	public, err := envelope.NewPublicKey(envelope.KeyID(key.Spec.KeyID), key.Spec.PublicKey)
	if err != nil {
		return "", err
	}
	return public.Seal(envelope.Binding{Owner: owner.Name, Namespace: owner.Namespace, Name: name}, secretvalue.FromString(value))
}

// Sealed is a UserSecret with a value sealed for its owner.
func (r *Rig) Sealed(ctx context.Context, owner *Person, name, provider string, t v1alpha1.SecretType, value string) (*v1alpha1.UserSecret, error) {
	sealed, err := r.Seal(ctx, owner, name, value)
	return &v1alpha1.UserSecret{
		ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: name},
		Spec:       v1alpha1.UserSecretSpec{Provider: provider, Type: t, EncryptedValue: sealed},
	}, err
}

// WorkflowPod asks for secrets as a step of an Argo workflow does.
func WorkflowPod(namespace, name, inject string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name,
			Annotations: map[string]string{v1alpha1.InjectAnnotation: inject, "workflows.argoproj.io/node-name": name + ".step"},
			Labels:      map[string]string{"workflows.argoproj.io/workflow": name + "-wf"},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.invalid/step"}}},
	}
}
