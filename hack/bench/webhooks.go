package main

import (
	"context"
	"errors"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

// removeWebhooks takes our webhook configurations away, and returns when the API
// server calls nobody. restore puts them back as they were and hands on the
// error that it is given.
func (b *bed) removeWebhooks(ctx context.Context) (restore func(error) error, err error) {
	kept := []client.Object{&admissionregistrationv1.MutatingWebhookConfiguration{}, &admissionregistrationv1.ValidatingWebhookConfiguration{}}
	for _, configuration := range kept {
		if err := b.Client.Get(ctx, types.NamespacedName{Name: v1alpha1.OperatorName}, configuration); err != nil {
			return nil, fmt.Errorf("reading the webhook configurations: %w", err)
		}
	}
	for _, configuration := range kept {
		if err := b.Client.Delete(ctx, configuration); err != nil {
			return nil, fmt.Errorf("removing the webhook configurations: %w", err)
		}
	}
	b.webhooksOff = true
	return func(err error) error { return errors.Join(err, b.restoreWebhooks(ctx, kept)) }, b.AwaitAdmission(ctx)
}

func (b *bed) restoreWebhooks(ctx context.Context, kept []client.Object) error {
	for _, configuration := range kept {
		configuration.SetResourceVersion("")
		configuration.SetUID("")
		if err := b.Client.Create(ctx, configuration); err != nil {
			return fmt.Errorf("putting the webhook configurations back: %w", err)
		}
	}
	b.webhooksOff = false
	return b.AwaitAdmission(ctx)
}

// letMakePods gives a user the rights of a workflow engine in the user's namespace.
func (b *bed) letMakePods(ctx context.Context, user string) error {
	return b.Client.Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: user, Name: "pods"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	})
}
