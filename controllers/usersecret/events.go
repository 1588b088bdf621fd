package usersecret

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/api/v1alpha1"
)

const (
	actionObserve = "Observe"
	noteValue     = "The value changed; it is now %s, sealed with key %s"
)

// announce emits Events for what the status just written says anew. What it
// said before is not said again, also not after a restart.
func (r *Reconciler) announce(us *v1alpha1.UserSecret, before, after *v1alpha1.UserSecretStatus) {
	// Events of equal reason and action are counted as one, with the first one's
	// note: the value's id keeps two values apart.
	if after.ValueID != "" && before.ValueID != after.ValueID {
		r.Events.Eventf(us, nil, corev1.EventTypeNormal, "ValueStored", actionObserve+" "+after.ValueID, noteValue, after.Masked, after.KeyID)
	}
	for _, name := range ownConditions {
		was, is := condition(before.Conditions, name), condition(after.Conditions, name)
		if is == nil || (was != nil && was.Reason == is.Reason) {
			continue
		}
		if alarming(is) {
			r.Events.Eventf(us, nil, corev1.EventTypeWarning, is.Reason, actionObserve, "%s", is.Message)
		}
	}
}

// alarming says whether somebody should look. Ready repeats the reasons of the
// other two, so only the reasons of its own count.
func alarming(c *metav1.Condition) bool {
	switch c.Type {
	case v1alpha1.ConditionSealed:
		return c.Status != metav1.ConditionTrue || c.Reason == v1alpha1.ReasonStaleKey
	case v1alpha1.ConditionExpired:
		return c.Reason == v1alpha1.ReasonExpired || c.Reason == v1alpha1.ReasonExpiresWithinWeek || c.Reason == v1alpha1.ReasonExpiresWithinDay
	default:
		return c.Reason == v1alpha1.ReasonDuplicate || c.Reason == v1alpha1.ReasonUnknownProvider || c.Reason == v1alpha1.ReasonUnknownType
	}
}
