// Package verification has providers say whether they accept the values that
// users store: condition Verified, set by the test that the catalogue has.
//
// A value is tested when it is new, and when its owner or a delegate asks. What
// was tested stands in status.verification, so that a restart tests nothing again.
// No verdict takes a value away: Ready does not depend on Verified.
//
// Reconcile decides and writes, and never waits for a provider: tests run beside
// it, in a line of their own. What one found is kept in memory until status shows
// it; a process that dies in between tests that value once more.
package verification

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/audit"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/internal/owner"
	"usersecrets.dev/operator/internal/secretvalue"
	"usersecrets.dev/operator/internal/verify"
)

// FieldManager owns the part of status that this controller writes.
const FieldManager = "usersecret-operator/verification"

// workers bounds how many UserSecrets are worked on at once. None of them waits
// for a test.
const workers = 8

// +kubebuilder:rbac:groups=usersecrets.dev,resources=usersecrets,verbs=get;list;watch
// +kubebuilder:rbac:groups=usersecrets.dev,resources=usersecrets/status,verbs=patch
// +kubebuilder:rbac:groups=usersecrets.dev,resources=secretproviders,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Tester runs connection tests. An entry without a test is NotTestable, whatever
// the value.
type Tester interface {
	Test(ctx context.Context, entry *v1alpha1.ProviderType, value secretvalue.Value) verify.Result
}

// Config is what a Reconciler needs.
type Config struct {
	Client client.Client
	Keys   *keyring.Keyring
	Owners *owner.Resolver
	Tester Tester
	Events events.EventRecorder
	Audit  audit.Sink
	Clock  clock.PassiveClock
	// Account is the operator's username, which the access log names.
	Account string
	Limits  Limits
}

// Reconciler reconciles the verification of UserSecrets.
type Reconciler struct {
	Config
	line  *line
	found findings
}

var _ reconcile.ObjectReconciler[*v1alpha1.UserSecret] = (*Reconciler)(nil)

// New returns a Reconciler.
func New(c Config) *Reconciler {
	r := &Reconciler{Config: c, line: newLine(c.Limits)}
	r.line.run = r.test
	return r
}

// SetupWithManager registers the controller, and the line of its tests.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if err := mgr.Add(r.line); err != nil {
		return fmt.Errorf("registering the line of tests: %w", err)
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("verification").
		For(&v1alpha1.UserSecret{}, builder.WithPredicates(mayChangeWhatIsDue())).
		Watches(&v1alpha1.UserSecret{}, handler.Funcs{DeleteFunc: r.forget}).
		Watches(&v1alpha1.SecretProvider{}, handler.EnqueueRequestsFromMapFunc(r.undecidedOf), builder.WithPredicates(predicate.GenerationChangedPredicate{}, afterStart())).
		WatchesRawSource(source.Func(r.takeQueue)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(reconcile.AsReconciler(r.Client, r))
}

// takeQueue has UserSecrets be looked at when their tests have ended.
func (r *Reconciler) takeQueue(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	r.line.lookBy(func(name types.NamespacedName) { queue.Add(reconcile.Request{NamespacedName: name}) })
	return nil
}

// staleRetry is when to look again where the cache was behind the API server: by
// then it has caught up.
const staleRetry = 100 * time.Millisecond

// Reconcile writes what was found, and has the value tested where that is due.
func (r *Reconciler) Reconcile(ctx context.Context, us *v1alpha1.UserSecret) (ctrl.Result, error) {
	if !us.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	if err := r.found.failure(client.ObjectKeyFromObject(us)); err != nil {
		return ctrl.Result{}, err // so that the next try waits for longer each time
	}
	s, err := r.observe(ctx, us)
	if err != nil {
		return ctrl.Result{}, err
	}
	r.settle(ctx, s)
	record, verdict := report(s)
	err = r.applyStatus(ctx, us, record, verdict)
	switch {
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: staleRetry}, nil
	case apierrors.IsNotFound(err):
		return ctrl.Result{}, nil // gone meanwhile: there is nothing to tell of
	case err != nil:
		return ctrl.Result{}, fmt.Errorf("reporting: %w", err)
	}
	r.announce(us, verdict)
	return r.schedule(s), nil
}

// schedule has the value tested now or later, where that is due.
func (r *Reconciler) schedule(s *scope) ctrl.Result {
	at, why := s.due()
	if why == "" {
		return ctrl.Result{}
	}
	if left := at.Sub(s.now); left > 0 {
		return ctrl.Result{RequeueAfter: left}
	}
	r.line.join(job{name: client.ObjectKeyFromObject(s.userSecret), owner: s.owner, host: hostOf(s.entry)})
	return ctrl.Result{}
}
