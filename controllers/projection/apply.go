package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// errTaken means that a Secret of the projection's name is there already. Names
// are random and reserved: it is ours, or this is not chance.
var errTaken = errors.New("a Secret of the projection's name is there already, and does not belong to this pod: delete the pod and create it again")

// errReplaced means that the Secret that was issued is not there any more.
var errReplaced = errors.New("the Secret that was issued is gone")

func (r *Reconciler) carryOut(ctx context.Context, s *scope, p plan) error {
	switch p.step {
	case issue:
		return r.issue(ctx, s, p)
	case refresh:
		return r.refresh(ctx, s, p)
	case remove:
		return r.remove(ctx, s)
	case wait:
		r.sayWaiting(s, p.why)
	}
	switch {
	case s.finished():
		r.finish(s.pod.UID)
	case s.current != nil && r.inherit.open(s.pod.UID):
		r.settle(s.pod.UID)
	}
	return nil
}

// issue records the uses and then creates the Secret.
func (r *Reconciler) issue(ctx context.Context, s *scope, p plan) error {
	if err := r.probe(ctx, s); err != nil {
		return err
	}
	fresh, gone, err := r.recordUses(ctx, s, p)
	if err != nil || gone {
		r.sayUsed(s, fresh)
		return err
	}
	secret := newSecret(s, p)
	err = r.create(ctx, secret)
	r.sayUsed(s, fresh)
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	if err != nil {
		// It may be there now, or have been there before; what it holds may be
		// older than what was decided here. The next look asks.
		r.inherit.doubt(s.pod.UID)
		return fmt.Errorf("issuing projection %q: %w", s.projection(), r.explain(s, err))
	}
	r.refusals.over(s.pod.Namespace)
	r.known.issued(s.podName(), fromSecret(secret))
	r.settle(s.pod.UID)
	r.sayIssued(s, p)
	return nil
}

// explain says what an error of a creation means.
func (r *Reconciler) explain(s *scope, err error) error {
	switch {
	case apierrors.IsAlreadyExists(err):
		return errTaken
	case refused(err):
		return r.refuse(s, err)
	default:
		return err
	}
}

func (r *Reconciler) create(ctx context.Context, secret *corev1.Secret, opts ...client.CreateOption) error {
	return r.inTurn(ctx, func(ctx context.Context) error { return r.Client.Create(ctx, secret, opts...) })
}

// recordUses records one use a UserSecret, one after the other in the order of
// their UIDs: pods that share several never wait for each other in a circle.
// fresh are those that no Event speaks of yet. gone says that a UserSecret is no
// longer there; its deletion is an event that brings the pod back. What expired
// while the others were written is not given out: the error is errDecideAgain.
func (r *Reconciler) recordUses(ctx context.Context, s *scope, p plan) (fresh []part, gone bool, err error) {
	uses := slices.SortedFunc(slices.Values(p.uses), func(a, b part) int {
		return strings.Compare(string(a.choice.UserSecret.UID), string(b.choice.UserSecret.UID))
	})
	for _, use := range uses {
		us := use.choice.UserSecret
		of := subject{name: client.ObjectKeyFromObject(us), uid: us.UID}
		first, err := r.ledger.record(ctx, of, basisOf(us), s.access())
		if errors.Is(err, errUserSecretGone) {
			return fresh, true, nil
		}
		if err != nil {
			return fresh, false, err
		}
		if first {
			r.logUse(s, use)
			fresh = append(fresh, use)
		}
	}
	if s.expired(r.Clock.Now()) {
		return fresh, false, errDecideAgain
	}
	return fresh, false, nil
}

func basisOf(us *v1alpha1.UserSecret) basis {
	on := basis{generation: us.Generation}
	if us.Spec.ExpiresAt != nil {
		on.expires = us.Spec.ExpiresAt.Time
	}
	return on
}

// expired says whether a value that is at hand has expired since the look began.
func (s *scope) expired(now time.Time) bool {
	for _, part := range s.parts {
		if part.err == nil && basisOf(part.choice.UserSecret).over(now) {
			return true
		}
	}
	return false
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

// refresh changes the data of a Secret that is there. It is looked at first,
// since not all that it holds need be at hand now.
func (r *Reconciler) refresh(ctx context.Context, s *scope, p plan) error {
	fresh, gone, err := r.recordUses(ctx, s, p)
	if err != nil || gone {
		r.sayUsed(s, fresh)
		return err
	}
	r.logRefreshed(s, p, fresh)
	secret, err := r.rewrite(ctx, s, p)
	r.sayUsed(s, fresh)
	if err != nil {
		// It may be changed all the same, or not be there any more. The next
		// look asks, and issues another for a pod that lives.
		r.known.issued(s.podName(), nil)
		r.inherit.doubt(s.pod.UID)
		return fmt.Errorf("refreshing projection %q: %w", s.projection(), err)
	}
	r.known.issued(s.podName(), fromSecret(secret))
	r.settle(s.pod.UID)
	r.sayRefreshed(s, p, secret.ResourceVersion)
	return nil
}

// rewrite writes the Secret that was looked at back, changed. With its UID and
// resource version it never meets, nor makes, another.
func (r *Reconciler) rewrite(ctx context.Context, s *scope, p plan) (*corev1.Secret, error) {
	secret, err := r.lookAt(ctx, s.pod.Namespace, s.projection())
	if err != nil {
		return nil, err
	}
	if secret == nil || secret.UID != s.current.uid {
		return nil, errReplaced
	}
	p.carry(s, secret)
	return secret, r.inTurn(ctx, func(ctx context.Context) error { return r.Client.Update(ctx, secret) })
}

func (r *Reconciler) remove(ctx context.Context, s *scope) error {
	if err := r.deleteSecret(ctx, s.current); err != nil {
		return err
	}
	after := *s.current
	after.gone, after.holds = true, nil
	r.known.issued(s.podName(), &after)
	r.finish(s.pod.UID)
	return nil
}
