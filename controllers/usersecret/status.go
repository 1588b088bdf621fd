package usersecret

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/catalogue"
	"usersecrets.dev/operator/internal/selection"
)

// ownConditions are the condition types that this controller writes.
var ownConditions = []string{v1alpha1.ConditionSealed, v1alpha1.ConditionExpired, v1alpha1.ConditionReady}

// report turns the facts into status, on every path and from nothing but the
// facts; times of transition, and the newest value that opened, alone come from
// the status before.
func report(s *scope) *v1alpha1.UserSecretStatus {
	us := s.userSecret
	after := us.Status.DeepCopy()
	after.ObservedGeneration = us.Generation
	after.Owner, after.KeyID, after.Masked = s.owner, s.keyID, s.masked
	// A value that does not open for now is none that changed: the newest that
	// opened stays known.
	if s.valueID != "" && s.valueID != after.ValueID {
		after.ValueID, after.ValueUpdatedAt = s.valueID, &metav1.Time{Time: s.now.Truncate(time.Second)}
	}
	after.ResealedValue, after.ResealedKeyID = s.resealed, s.newestKey()
	for _, c := range []metav1.Condition{sealedCondition(s), expiredCondition(s), readyCondition(s)} {
		c.ObservedGeneration = us.Generation
		c.LastTransitionTime = metav1.Time{Time: s.now.Truncate(time.Second)}
		meta.SetStatusCondition(&after.Conditions, c)
	}
	return after
}

func sealedCondition(s *scope) metav1.Condition {
	status := metav1.ConditionFalse
	if s.opens() {
		status = metav1.ConditionTrue
	}
	return metav1.Condition{Type: v1alpha1.ConditionSealed, Status: status, Reason: s.sealReason, Message: s.sealMessage}
}

func expiredCondition(s *scope) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionExpired, Status: metav1.ConditionFalse}
	at := s.userSecret.Spec.ExpiresAt
	if at == nil {
		c.Reason, c.Message = v1alpha1.ReasonNoExpiry, "The value does not expire"
		return c
	}
	when := at.UTC().Format(time.RFC3339)
	left := at.Sub(s.now)
	switch {
	case left <= 0:
		c.Status, c.Reason = metav1.ConditionTrue, v1alpha1.ReasonExpired
		c.Message = fmt.Sprintf("The value expired at %s; store a new one with a later expiresAt", when)
	case left <= warnings[1]:
		c.Reason, c.Message = v1alpha1.ReasonExpiresWithinDay, fmt.Sprintf("The value expires at %s, within a day", when)
	case left <= warnings[0]:
		c.Reason, c.Message = v1alpha1.ReasonExpiresWithinWeek, fmt.Sprintf("The value expires at %s, within 7 days", when)
	default:
		c.Reason, c.Message = v1alpha1.ReasonNotExpired, fmt.Sprintf("The value expires at %s", when)
	}
	return c
}

// readyCondition names the first thing that keeps the value from being given
// out, in the order in which a person would mend them.
func readyCondition(s *scope) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse}
	usable := selection.Usable(s.userSecret, s.now)
	switch {
	case !s.opens():
		c.Reason, c.Message = s.sealReason, s.sealMessage
	case errors.Is(s.catalogue, catalogue.ErrUnknownProvider):
		c.Reason, c.Message = v1alpha1.ReasonUnknownProvider, s.catalogue.Error()
	case s.catalogue != nil:
		c.Reason, c.Message = v1alpha1.ReasonUnknownType, s.catalogue.Error()
	case errors.Is(usable, selection.ErrInactive):
		c.Reason, c.Message = v1alpha1.ReasonInactive, "spec.active is false: no pod gets the value"
	case usable != nil:
		c.Reason, c.Message = v1alpha1.ReasonExpired, usable.Error()
	case s.rival != "":
		c.Reason = v1alpha1.ReasonDuplicate
		c.Message = fmt.Sprintf("UserSecret %q is older, has the same provider and type, and is the one that pods get; switch one of the two off", s.rival)
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonReady, "Workflow pods of this namespace can get the value"
	}
	return c
}

// applyStatus writes the controller's own part by server-side apply, and
// nothing where nothing changed. The error is a conflict where the UserSecret is
// not what was observed any more: what was written meanwhile may be the same, and
// is announced only once. It is not-found where the UserSecret is gone.
func (r *Reconciler) applyStatus(ctx context.Context, us *v1alpha1.UserSecret, before, after *v1alpha1.UserSecretStatus) error {
	if equality.Semantic.DeepEqual(before, after) {
		return nil
	}
	own := &v1alpha1.UserSecretStatus{
		ObservedGeneration: after.ObservedGeneration,
		Owner:              after.Owner,
		KeyID:              after.KeyID,
		ValueID:            after.ValueID,
		Masked:             after.Masked,
		ValueUpdatedAt:     after.ValueUpdatedAt,
		ResealedValue:      after.ResealedValue,
		ResealedKeyID:      after.ResealedKeyID,
	}
	for _, name := range ownConditions {
		if c := condition(after.Conditions, name); c != nil {
			own.Conditions = append(own.Conditions, *c)
		}
	}
	status, err := runtime.DefaultUnstructuredConverter.ToUnstructured(own)
	if err != nil {
		return fmt.Errorf("encoding status: %w", err)
	}
	patch := &unstructured.Unstructured{Object: map[string]any{"status": status}}
	patch.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("UserSecret"))
	patch.SetNamespace(us.Namespace)
	patch.SetName(us.Name)
	// With the UID, a UserSecret that was deleted meanwhile is not met by its
	// namesake's status.
	patch.SetUID(us.UID)
	patch.SetResourceVersion(us.ResourceVersion)
	return r.Client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(patch), client.FieldOwner(FieldManager), client.ForceOwnership)
}

func condition(conditions []metav1.Condition, name string) *metav1.Condition {
	return meta.FindStatusCondition(conditions, name)
}
