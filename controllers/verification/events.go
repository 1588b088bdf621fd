package verification

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/api/v1alpha1"
)

const actionVerify = "Verify"

// announce emits an Event for a verdict just written that is another than the one
// before. Events of equal reason and action are counted as one, with the first
// one's note: the value's id keeps two values apart.
func (r *Reconciler) announce(us *v1alpha1.UserSecret, verdict *metav1.Condition) {
	if was := verdictOf(us); verdict == nil || was != nil && was.Reason == verdict.Reason {
		return
	}
	switch verdict.Reason {
	case v1alpha1.ReasonAccepted:
		r.Events.Eventf(us, nil, corev1.EventTypeNormal, verdict.Reason, actionVerify+" "+us.Status.ValueID, "%s", verdict.Message)
	case v1alpha1.ReasonRejected:
		r.Events.Eventf(us, nil, corev1.EventTypeWarning, verdict.Reason, actionVerify+" "+us.Status.ValueID, "%s", verdict.Message)
	}
}
