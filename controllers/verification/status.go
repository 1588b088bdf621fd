package verification

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// report says what status is to show. A verdict on another value than the present
// one is none: it is taken back, and what was asked for stays known.
func report(s *scope) (*v1alpha1.VerificationStatus, *metav1.Condition) {
	switch {
	case s.mode == v1alpha1.VerifyDisabled:
		return s.answeredOnly(), nil
	case !s.known():
		return s.record, nil
	}
	verdict := *s.verdict
	if was := verdictOf(s.userSecret); was != nil && was.Status == verdict.Status {
		verdict.LastTransitionTime = was.LastTransitionTime
	}
	return s.record, &verdict
}

// answeredOnly is what stays known of a value that is not to be tested: the
// request that was answered last, which is not to be answered again later.
func (f facts) answeredOnly() *v1alpha1.VerificationStatus {
	if f.record == nil || f.record.RequestedAt == nil {
		return nil
	}
	return &v1alpha1.VerificationStatus{RequestedAt: f.record.RequestedAt}
}

// applyStatus writes the controller's own part by server-side apply, and nothing
// where nothing changed. The error is a conflict where the UserSecret is not what
// was observed any more, and not-found where it is gone.
func (r *Reconciler) applyStatus(ctx context.Context, us *v1alpha1.UserSecret, record *v1alpha1.VerificationStatus, verdict *metav1.Condition) error {
	if equality.Semantic.DeepEqual(us.Status.Verification, record) && equality.Semantic.DeepEqual(verdictOf(us), verdict) {
		return nil
	}
	own := &v1alpha1.UserSecretStatus{Verification: record}
	if verdict != nil {
		own.Conditions = []metav1.Condition{*verdict}
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
