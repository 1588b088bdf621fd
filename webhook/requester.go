package webhook

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// standing is what a requester is to a namespace.
type standing int

const (
	stranger standing = iota
	isOwner
	isDelegate
	isOperator
)

// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

// requesters tells owners, delegates and the operator from everybody else.
type requesters struct {
	client   client.Client
	operator string
}

// standingOf asks the API server only where the username does not decide.
func (r *requesters) standingOf(ctx context.Context, user authenticationv1.UserInfo, owner, namespace, name string) (standing, error) {
	switch user.Username {
	case owner:
		return isOwner, nil
	case r.operator:
		return isOperator, nil
	}
	allowed, err := r.may(ctx, user, v1alpha1.DelegateVerb, namespace, name)
	if err != nil {
		return stranger, err
	}
	if allowed {
		return isDelegate, nil
	}
	return stranger, nil
}

func (r *requesters) may(ctx context.Context, user authenticationv1.UserInfo, verb, namespace, name string) (bool, error) {
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for key, values := range user.Extra {
		extra[key] = authorizationv1.ExtraValue(values)
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: verb, Group: v1alpha1.GroupVersion.Group,
			Version: v1alpha1.GroupVersion.Version, Resource: "usersecrets", Name: name,
		},
	}}
	if err := r.client.Create(ctx, review); err != nil {
		return false, fmt.Errorf("asking whether %q may %s: %w", user.Username, verb, err)
	}
	return review.Status.Allowed, nil
}
