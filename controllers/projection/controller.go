package projection

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/audit"
	"usersecrets.dev/operator/internal/inject"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/internal/owner"
)

// FieldManager owns the usage part of a UserSecret's status.
const FieldManager = "usersecret-operator/projection"

const (
	// workers are how many pods are worked on at once. Most of them wait for a
	// status write: the more wait, the larger the groups that share one, which
	// costs the API server several times what a Secret does.
	workers = 512
	// secretRequests bounds the requests about projections under way,
	// statusWrites the writes of usage, and ownerReads the readings of whom a
	// namespace belongs to: what is beyond would only wait in the API server, and
	// take from each other there, where waiting here it gathers.
	secretRequests = 32
	statusWrites   = 4
	ownerReads     = 2
	// placeLine bounds the workers that wait for a place in a recentAccesses.
	placeLine = workers * 3 / 4
)

const (
	// A look that fails is repeated after firstRetry, and after twice as long each
	// time that it fails again, up to lastRetry.
	firstRetry = 5 * time.Millisecond
	lastRetry  = 10 * time.Second
	// guardRetry, decideRetry, placeRetry and stuckRetry are when to look again
	// where nothing failed: until the policies are in place; until the cache knows
	// what has changed; for a place in a recentAccesses whose entries come and go,
	// and in one whose entries do not, or a Secret that is refused.
	guardRetry  = 2 * time.Second
	decideRetry = 50 * time.Millisecond
	placeRetry  = 500 * time.Millisecond
	stuckRetry  = 5 * time.Second
)

// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=create;update;delete
// +kubebuilder:rbac:groups=usersecrets.dev,resources=usersecrets,verbs=get;list;watch
// +kubebuilder:rbac:groups=usersecrets.dev,resources=usersecrets/status,verbs=patch
// +kubebuilder:rbac:groups=usersecrets.dev,resources=secretproviders,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Config is what a Reconciler works with.
type Config struct {
	// Cache reads pods, UserSecrets and providers.
	Cache client.Reader
	// Client writes, and reads live. It must not be cached: a cached client
	// would start an informer on Secrets.
	Client client.Client
	// Look reads a projection; see LookThrough.
	Look   func(context.Context, types.NamespacedName) (*corev1.Secret, error)
	Keys   *keyring.Keyring
	Owners *owner.Resolver
	Events events.EventRecorder
	Audit  audit.Sink
	Clock  clock.PassiveClock
	Limits inject.Limits
	// Guard returns an error until the admission policies are in place;
	// nothing is given out before.
	Guard func() error
}

// Reconciler reconciles pods that were injected.
type Reconciler struct {
	Config

	ledger   *ledger
	owners   *ownership
	secrets  turns
	known    memories
	inherit  inheritance
	refusals refusals
}

// New returns a Reconciler that has issued nothing yet.
func New(cfg Config) *Reconciler {
	r := &Reconciler{Config: cfg, secrets: make(turns, secretRequests)}
	r.ledger = newLedger(cfg.Client, r.inherit.open)
	live := owner.Resolver{Live: cfg.Owners.Live, Annotation: cfg.Owners.Annotation}
	r.owners = &ownership{read: live.Of, readings: map[string]*reading{}, turns: make(turns, ownerReads)}
	return r
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("projection").
		For(&corev1.Pod{}).
		Watches(&v1alpha1.UserSecret{}, handler.EnqueueRequestsFromMapFunc(r.podsOfUserSecret), builder.WithPredicates(specChanged(), afterStart())).
		Watches(&v1alpha1.SecretProvider{}, handler.EnqueueRequestsFromMapFunc(r.podsOfProvider), builder.WithPredicates(predicate.GenerationChangedPredicate{}, afterStart())).
		Watches(owner.Metadata(), handler.EnqueueRequestsFromMapFunc(r.podsOfNamespace), builder.OnlyMetadata, builder.WithPredicates(predicate.AnnotationChangedPredicate{}, afterStart())).
		WithOptions(options()).
		Complete(r)
}

// options bound the retries: the default is up to 1000 s, long after the reason
// may have gone, and most reasons raise no event.
func options() controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: workers,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry),
	}
}

// Reconcile makes one pod's projection what it should be.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (ctrl.Result, error) {
	if err := r.inherit.load(ctx, r.Client); err != nil {
		return ctrl.Result{}, err
	}
	pod := &corev1.Pod{}
	err := r.Cache.Get(ctx, req.NamespacedName, pod)
	if apierrors.IsNotFound(err) {
		return ctrl.Result{}, errors.Join(r.forget(ctx, req.NamespacedName, ""), r.disinherit(ctx, req.NamespacedName))
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("reading pod %q: %w", req.NamespacedName, err)
	}
	// A pod of the same name may have been replaced between two looks.
	if err := r.forget(ctx, req.NamespacedName, pod.UID); err != nil {
		return ctrl.Result{}, err
	}
	r.known.meet(req.NamespacedName, pod.UID)
	again, err := r.look(ctx, pod)
	if errors.Is(err, errTaken) {
		// It may be ours, and the answer to its creation was lost: the second
		// look finds out.
		again, err = r.look(ctx, pod)
	}
	switch {
	case errors.Is(err, errDecideAgain):
		again = decideRetry
	case errors.Is(err, errStuck):
		again = stuckRetry
	case errors.Is(err, errNoPlace):
		again = placeRetry
	case err != nil:
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: again}, nil
}

// look observes a pod, decides the next step and takes it. It returns when to
// look again; zero means at the next event.
func (r *Reconciler) look(ctx context.Context, pod *corev1.Pod) (time.Duration, error) {
	s := &scope{pod: pod, now: r.Clock.Now()}
	if err := r.observe(ctx, s); err != nil {
		return 0, err
	}
	p := decide(s)
	if p.gives() {
		if err := r.Guard(); err != nil {
			ctrl.LoggerFrom(ctx).Info("giving out nothing yet", "because", err.Error())
			p = p.withheld()
		}
	}
	if err := r.carryOut(ctx, s, p); err != nil {
		return 0, err
	}
	return p.again, s.unclear
}

// forget deletes what was issued to a pod that is gone, unless it is the one of
// this UID, and drops everything remembered about it.
func (r *Reconciler) forget(ctx context.Context, name types.NamespacedName, except types.UID) error {
	old := r.known.of(name)
	if old.pod == "" || old.pod == except {
		return nil
	}
	if old.issued != nil {
		if err := r.deleteSecret(ctx, old.issued); err != nil {
			return err
		}
	}
	r.known.drop(name)
	r.finish(old.pod)
	return nil
}

// disinherit settles a pod that was there before this process led and was gone
// before its first look. The cache may lag, so the API server is asked.
func (r *Reconciler) disinherit(ctx context.Context, name types.NamespacedName) error {
	uid, open := r.inherit.named(name)
	if !open {
		return nil
	}
	pod := &metav1.PartialObjectMetadata{}
	pod.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	err := r.Client.Get(ctx, name, pod)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("looking for pod %q: %w", name, err)
	}
	if err != nil || pod.UID != uid {
		r.finish(uid)
	}
	return nil
}

// settle notes that the pod's Secret is known to hold all that was recorded.
func (r *Reconciler) settle(pod types.UID) {
	r.inherit.settle(pod)
	r.ledger.served(pod)
}

// finish notes that nothing will be issued to the pod any more.
func (r *Reconciler) finish(pod types.UID) {
	r.inherit.settle(pod)
	r.refusals.forget(pod)
	r.ledger.forget(pod)
}

// done says whether a pod will never run a container again. A pod whose grace
// period is over is held by finalizers alone; one of them, orphan, waits for its
// projection to go.
func done(pod *corev1.Pod) bool {
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	grace := pod.DeletionGracePeriodSeconds
	return ended || !pod.DeletionTimestamp.IsZero() && grace != nil && *grace == 0
}
