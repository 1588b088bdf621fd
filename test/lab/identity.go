package lab

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// tokenLifetime outlives every suite and a day's work in the development set-up.
const tokenLifetime = 12 * time.Hour

// Admin is a cluster administrator's configuration, a copy for each caller, without client-side rate limits.
func (l *Lab) Admin() *rest.Config { return rest.CopyConfig(l.admin) }

// User gives name a client certificate, good for a week, with the groups given; the API server adds
// system:authenticated. Nothing is created in the cluster, and rights are RBAC's to give.
func (l *Lab) User(name string, groups ...string) (*rest.Config, error) {
	// envtest's authority counts serial numbers without a lock.
	l.mu.Lock()
	defer l.mu.Unlock()
	user, err := l.env.AddUser(envtest.User{Name: name, Groups: groups}, nil)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate for %s: %w", name, err)
	}
	return tidy(user.Config()), nil
}

// ServiceAccountConfig acts as a ServiceAccount, which must exist, with a token that the API server issues for 12 hours.
func (l *Lab) ServiceAccountConfig(ctx context.Context, namespace, name string) (*rest.Config, error) {
	client, err := kubernetes.NewForConfig(l.admin)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	seconds := int64(tokenLifetime / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	token, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("requesting a token for ServiceAccount %s/%s: %w", namespace, name, err)
	}
	cfg := rest.AnonymousClientConfig(l.admin)
	cfg.BearerToken = token.Status.Token
	return cfg, nil
}
