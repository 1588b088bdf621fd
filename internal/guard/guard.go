// Package guard makes sure that the admission policies are in place before the
// operator issues anything.
//
// Without them every user of a namespace could name another pod's projection.
// The operator starts without them, so that the order of an install does not
// matter, but it is not ready and issues nothing until they are there.
package guard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Policies are the names of the policies, each with a binding of the same name.
var Policies = []string{
	"usersecrets-last-applied",
	"usersecrets-namespace-owner",
	"usersecrets-operator-secrets",
	"usersecrets-pod-bindings",
	"usersecrets-pod-metadata",
	"usersecrets-pod-secret-names",
	"usersecrets-projections",
	"usersecrets-sealing-keys",
	"usersecrets-status",
}

// ErrNotInPlace means that a policy or its binding is missing or weakened.
var ErrNotInPlace = errors.New("admission policies are not in place: apply config/policy")

const (
	lookPeriod = 2 * time.Second
	lookLimit  = 30 * time.Second
)

// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingadmissionpolicies;validatingadmissionpolicybindings,verbs=get

// Guard looks for the policies until it has seen all of them.
type Guard struct {
	live client.Reader
	// seen holds the last answer; nil inside once all are in place.
	seen atomic.Pointer[error]
}

// New returns a Guard that reads live.
func New(live client.Reader) *Guard {
	g := &Guard{live: live}
	notYet := fmt.Errorf("%w: not looked yet", ErrNotInPlace)
	g.seen.Store(&notYet)
	return g
}

// Check returns nil once every policy was seen in place.
func (g *Guard) Check() error { return *g.seen.Load() }

// Ready is Check as a readiness check.
func (g *Guard) Ready(*http.Request) error { return g.Check() }

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica looks.
func (g *Guard) NeedLeaderElection() bool { return false }

// Start looks until all is in place or ctx ends.
func (g *Guard) Start(ctx context.Context) error {
	_ = wait.PollUntilContextCancel(ctx, lookPeriod, true, func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, lookLimit)
		defer cancel()
		err := g.look(ctx)
		g.seen.Store(&err)
		return err == nil, nil
	})
	return nil
}

func (g *Guard) look(ctx context.Context) error {
	for _, name := range Policies {
		if err := g.lookAt(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (g *Guard) lookAt(ctx context.Context, name string) error {
	var policy admissionregistrationv1.ValidatingAdmissionPolicy
	var binding admissionregistrationv1.ValidatingAdmissionPolicyBinding
	for what, object := range map[string]client.Object{"policy": &policy, "binding": &binding} {
		err := g.live.Get(ctx, types.NamespacedName{Name: name}, object)
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("%w: %s %q is missing", ErrNotInPlace, what, name)
		}
		if err != nil {
			return fmt.Errorf("reading %s %q: %w", what, name, err)
		}
	}
	return weakened(name, &policy, &binding)
}

// weakened tells a policy that is there but does not deny everywhere.
func weakened(name string, policy *admissionregistrationv1.ValidatingAdmissionPolicy, binding *admissionregistrationv1.ValidatingAdmissionPolicyBinding) error {
	switch {
	case policy.Spec.FailurePolicy != nil && *policy.Spec.FailurePolicy != admissionregistrationv1.Fail:
		return fmt.Errorf("%w: policy %q does not fail closed", ErrNotInPlace, name)
	case binding.Spec.PolicyName != name:
		return fmt.Errorf("%w: binding %q binds another policy", ErrNotInPlace, name)
	case !slices.Contains(binding.Spec.ValidationActions, admissionregistrationv1.Deny):
		return fmt.Errorf("%w: binding %q does not deny", ErrNotInPlace, name)
	case binding.Spec.MatchResources != nil:
		return fmt.Errorf("%w: binding %q holds for some objects only", ErrNotInPlace, name)
	default:
		return nil
	}
}
