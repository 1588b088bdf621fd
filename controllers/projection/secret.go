package projection

import (
	"context"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// newSecret is the projection: owned by its pod, so that it goes with it even
// while the operator is away.
func newSecret(s *scope, p plan) *corev1.Secret {
	no := false
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.pod.Namespace,
			Name:      s.projection(),
			Labels:    map[string]string{"app.kubernetes.io/managed-by": v1alpha1.OperatorName},
			Annotations: map[string]string{
				v1alpha1.PodNameAnnotation: s.pod.Name,
				v1alpha1.PodUIDAnnotation:  string(s.pod.UID),
				v1alpha1.SourcesAnnotation: writeSources(p.sourcesOf(s)),
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "v1", Kind: "Pod", Name: s.pod.Name, UID: s.pod.UID,
				Controller: &no, BlockOwnerDeletion: &no,
			}},
		},
		Type: v1alpha1.ProjectionSecretType,
		Data: p.set,
	}
}

// deleteSecret deletes a projection, and no other Secret of its name.
func (r *Reconciler) deleteSecret(ctx context.Context, old *issued) error {
	if old.gone {
		return nil
	}
	err := r.inTurn(ctx, func(ctx context.Context) error {
		return r.Client.Delete(ctx, emptySecret(old.namespace, old.name), client.Preconditions{UID: &old.uid})
	})
	if apierrors.IsConflict(err) {
		// Its name belongs to another Secret by now, or somebody wrote it at the
		// same moment: the API server gives both the same name.
		there, looked := r.lookAt(ctx, old.namespace, old.name)
		if looked == nil && (there == nil || there.UID != old.uid) {
			return nil
		}
	}
	if err := client.IgnoreNotFound(err); err != nil {
		return fmt.Errorf("deleting projection %q: %w", old.name, err)
	}
	return nil
}

// lookAt returns a projection, or nil where there is none.
func (r *Reconciler) lookAt(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	if !strings.HasPrefix(name, v1alpha1.ProjectionNamePrefix) {
		return nil, nil
	}
	var secret *corev1.Secret
	err := r.inTurn(ctx, func(ctx context.Context) (err error) {
		secret, err = r.Look(ctx, types.NamespacedName{Namespace: namespace, Name: name})
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking at projection %q: %w", name, err)
	}
	return secret, nil
}

// inTurn makes one request about a Secret when it is its turn. An answer that
// never comes must keep neither the turn nor the worker.
func (r *Reconciler) inTurn(ctx context.Context, request func(context.Context) error) error {
	defer r.secrets.begin()()
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return request(ctx)
}

// carry changes the data of a Secret to what a plan says, and nothing else of it.
func (p plan) carry(s *scope, secret *corev1.Secret) {
	if secret.Data == nil {
		secret.Data = make(map[string][]byte, len(p.set))
	}
	maps.Copy(secret.Data, p.set)
	for _, key := range p.unset {
		delete(secret.Data, key)
	}
	metav1.SetMetaDataAnnotation(&secret.ObjectMeta, v1alpha1.SourcesAnnotation, writeSources(p.sourcesOf(s)))
}

func emptySecret(namespace, name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}
