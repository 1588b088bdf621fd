package projection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// errTaken means that a Secret of the projection's name belongs to another pod.
// Names are random and reserved, so this is not chance.
var errTaken = errors.New("a Secret of the projection's name belongs to another pod")

func (r *Reconciler) carryOut(ctx context.Context, s *scope, p plan) error {
	switch p.step {
	case wait:
		r.sayWaiting(s, p.why)
		return nil
	case issue:
		return r.issue(ctx, s, p)
	case refresh:
		return r.refresh(ctx, s, p)
	case remove:
		return r.remove(ctx, s)
	default:
		return nil
	}
}

// issue records the uses and then creates the Secret.
func (r *Reconciler) issue(ctx context.Context, s *scope, p plan) error {
	if gone, err := r.recordUses(ctx, s, p); err != nil || gone {
		return err
	}
	secret := newSecret(s, p)
	err := r.Client.Create(ctx, secret)
	switch {
	case apierrors.IsAlreadyExists(err):
		// An answer was lost on the way, or the name is not ours.
		secret, err = r.lookAt(ctx, s.pod.Namespace, s.projection())
		if err == nil && (secret == nil || secret.Annotations[v1alpha1.PodUIDAnnotation] != string(s.pod.UID)) {
			err = errTaken
		}
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	}
	if err != nil {
		return fmt.Errorf("issuing projection %q: %w", s.projection(), err)
	}
	r.issued.put(fromSecret(s.podName(), s.pod.UID, secret))
	r.settle(s.pod.UID)
	r.sayIssued(s, p)
	return nil
}

// recordUses records one use a UserSecret, one after the other in the order of
// their UIDs: pods that share several never wait for each other in a circle.
// gone says that a UserSecret is no longer there; its deletion is an event that
// brings the pod back.
func (r *Reconciler) recordUses(ctx context.Context, s *scope, p plan) (gone bool, err error) {
	uses := slices.SortedFunc(slices.Values(p.uses), func(a, b part) int {
		return strings.Compare(string(a.choice.UserSecret.UID), string(b.choice.UserSecret.UID))
	})
	for _, use := range uses {
		us := use.choice.UserSecret
		of := subject{name: client.ObjectKeyFromObject(us), uid: us.UID}
		counted, err := r.ledger.record(ctx, of, s.access())
		if errors.Is(err, errUserSecretGone) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if counted {
			r.auditUse(s, use)
		}
	}
	return false, nil
}

func (s *scope) access() v1alpha1.Access {
	return v1alpha1.Access{
		Time: metav1.NewMicroTime(s.now), Type: v1alpha1.AccessUse, Actor: s.actor(),
		Workflow: s.request.Workflow, Node: s.request.Node, Pod: s.pod.Name, PodUID: string(s.pod.UID),
	}
}

// actor is who created the pod, as stamped at admission.
func (s *scope) actor() string {
	const longest = 512
	actor := s.pod.Annotations[v1alpha1.RequestedByAnnotation]
	return strings.ToValidUTF8(actor[:min(len(actor), longest)], "")
}

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

// refresh changes the data of a Secret that is there. With its UID in the patch
// it never meets, nor makes, another.
func (r *Reconciler) refresh(ctx context.Context, s *scope, p plan) error {
	if gone, err := r.recordUses(ctx, s, p); err != nil || gone {
		return err
	}
	data := make(map[string]any, len(p.set)+len(p.unset))
	for key, value := range p.set {
		data[key] = value
	}
	for _, key := range p.unset {
		data[key] = nil
	}
	sources := p.sourcesOf(s)
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": s.current.uid, "annotations": map[string]any{v1alpha1.SourcesAnnotation: writeSources(sources)}},
		"data":     data,
	})
	if err != nil {
		return fmt.Errorf("encoding the new data of projection %q: %w", s.projection(), err)
	}
	secret := emptySecret(s.pod.Namespace, s.projection())
	err = r.Client.Patch(ctx, secret, client.RawPatch(types.MergePatchType, patch))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		// It was deleted under us; the next look issues another for a pod that lives.
		r.issued.drop(s.podName())
		return fmt.Errorf("projection %q is not there any more: %w", s.projection(), err)
	}
	if err != nil {
		return fmt.Errorf("refreshing projection %q: %w", s.projection(), err)
	}
	r.issued.put(fromSecret(s.podName(), s.pod.UID, secret))
	r.sayRefreshed(s, p)
	return nil
}

func (r *Reconciler) remove(ctx context.Context, s *scope) error {
	if err := r.deleteSecret(ctx, s.current); err != nil {
		return err
	}
	after := *s.current
	after.gone, after.digests = true, nil
	r.issued.put(&after)
	r.settle(s.pod.UID)
	return nil
}

func (r *Reconciler) deleteSecret(ctx context.Context, old *issued) error {
	if old.gone {
		return nil
	}
	secret := emptySecret(old.podName.Namespace, old.name)
	err := r.Client.Delete(ctx, secret, client.Preconditions{UID: &old.uid})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // gone, or its name belongs to another Secret by now
	}
	if err != nil {
		return fmt.Errorf("deleting projection %q: %w", old.name, err)
	}
	return nil
}

// lookAt returns a projection, or nil where there is none. The operator may not
// get Secrets; a dry run of a patch that changes nothing answers with the object.
func (r *Reconciler) lookAt(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	if !strings.HasPrefix(name, v1alpha1.ProjectionNamePrefix) {
		return nil, nil
	}
	secret := emptySecret(namespace, name)
	err := r.Client.Patch(ctx, secret, client.RawPatch(types.MergePatchType, []byte(`{}`)), client.DryRunAll)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking at projection %q: %w", name, err)
	}
	return secret, nil
}

func emptySecret(namespace, name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

// keys lists the keys that a plan sets, for people.
func (p plan) keys() string {
	return strings.Join(slices.Sorted(maps.Keys(p.set)), ", ")
}
