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
	// secretRequests bounds the requests about projections under way, and
	// statusWrites the writes of usage: what is beyond would only wait in the API
	// server, and take from each other there.
	secretRequests = 32
	statusWrites   = 4
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
	// nothing is issued before.
	Guard func() error
}

// Reconciler reconciles pods that were injected.
type Reconciler struct {
	Config

	ledger  *ledger
	secrets turns
	known   memories
	inherit inheritance
}

// New returns a Reconciler that has issued nothing yet.
func New(cfg Config) *Reconciler {
	r := &Reconciler{Config: cfg, secrets: make(turns, secretRequests)}
	r.ledger = newLedger(cfg.Client, r.inherit.open)
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
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(r)
}

// Reconcile makes one pod's projection what it should be.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (ctrl.Result, error) {
	if err := r.Guard(); err != nil {
		ctrl.LoggerFrom(ctx).Info("issuing nothing yet", "because", err.Error())
		return ctrl.Result{RequeueAfter: 2 * time.Second}, nil
	}
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
	if err != nil {
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
