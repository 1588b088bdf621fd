// Package guard makes sure that the admission policies are in place before the
// operator issues anything.
//
// Without them every user of a namespace could name another pod's projection.
// In place means: each policy is there as this version ships it, written for the
// account, namespace and annotation that this operator goes by; its binding denies
// everywhere; and the API server enforces what is written there. The operator
// starts without that, so that the order of an install does not matter, but it is
// not ready and issues nothing until all is in place.
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

// ErrNotInPlace means that a policy or its binding is missing, is not what this
// operator needs, or is not enforced. What wraps it says which, and what to do.
var ErrNotInPlace = errors.New("admission policies are not in place")

const (
	lookPeriod = 2 * time.Second
	lookLimit  = 30 * time.Second
)

// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingadmissionpolicies;validatingadmissionpolicybindings,verbs=get

// Guard looks for the policies until it has seen all of them.
type Guard struct {
	live   client.Client
	goesBy Installation
	// seen holds the last answer; nil inside once all are in place.
	seen atomic.Pointer[error]
}

// New returns a Guard for an operator that goes by what is given. It reads live,
// and writes nothing.
func New(live client.Client, goesBy Installation) *Guard {
	g := &Guard{live: live, goesBy: goesBy}
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
	for _, policy := range shipped() {
		if err := g.lookAt(ctx, policy); err != nil {
			return err
		}
	}
	return g.probe(ctx)
}

func (g *Guard) lookAt(ctx context.Context, ships *policy) error {
	var live policy
	var binding admissionregistrationv1.ValidatingAdmissionPolicyBinding
	for _, part := range []struct {
		what   string
		object client.Object
	}{{"policy", &live}, {"binding", &binding}} {
		err := g.live.Get(ctx, types.NamespacedName{Name: ships.Name}, part.object)
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("%w: %s %q is missing: apply config/policy", ErrNotInPlace, part.what, ships.Name)
		}
		if err != nil {
			return fmt.Errorf("reading %s %q: %w", part.what, ships.Name, err)
		}
	}
	if what := g.goesBy.amiss(ships, &live); what != "" {
		return fmt.Errorf("%w: policy %q %s", ErrNotInPlace, ships.Name, what)
	}
	if what := loose(&binding); what != "" {
		return fmt.Errorf("%w: binding %q %s: apply config/policy", ErrNotInPlace, ships.Name, what)
	}
	return nil
}

// loose says how a binding does not deny everywhere; nothing where it does. What it
// does besides, such as writing to the audit log, is the administrator's to choose,
// and so are further bindings, which can only deny more.
func loose(binding *admissionregistrationv1.ValidatingAdmissionPolicyBinding) string {
	switch {
	case binding.Spec.PolicyName != binding.Name:
		return "binds another policy"
	case !slices.Contains(binding.Spec.ValidationActions, admissionregistrationv1.Deny):
		return "does not deny"
	case binding.Spec.MatchResources != nil:
		return "holds for some objects only"
	case binding.Spec.ParamRef != nil:
		return "depends on parameters"
	default:
		return ""
	}
}
