package projection

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

// Workers wait for status writes, which are committed in groups: many at once
// cost little and make the groups larger.
const workers = 64

// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=create;patch;delete
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
	issued  issuedProjections
	inherit inheritance
	waiting reasons
}

// New returns a Reconciler that has issued nothing yet.
func New(cfg Config) *Reconciler {
	r := &Reconciler{Config: cfg}
	r.ledger = newLedger(cfg.Client, r.inherit.open)
	return r
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("projection").
		For(&corev1.Pod{}).
		Watches(&v1alpha1.UserSecret{}, handler.EnqueueRequestsFromMapFunc(r.podsOfUserSecret), builder.WithPredicates(predicate.GenerationChangedPredicate{}, afterStart())).
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
		r.waiting.swap(req.NamespacedName, "")
		return ctrl.Result{}, r.forget(ctx, req.NamespacedName, "")
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("reading pod %q: %w", req.NamespacedName, err)
	}
	// A pod of the same name may have been replaced between two looks.
	if err := r.forget(ctx, req.NamespacedName, pod.UID); err != nil {
		return ctrl.Result{}, err
	}
	return r.reconcilePod(ctx, pod)
}

func (r *Reconciler) reconcilePod(ctx context.Context, pod *corev1.Pod) (ctrl.Result, error) {
	s := &scope{pod: pod, now: r.Clock.Now()}
	if err := r.observe(ctx, s); err != nil {
		return ctrl.Result{}, err
	}
	p := decide(s)
	if err := r.carryOut(ctx, s, p); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: p.again}, nil
}

// forget deletes what was issued to a pod that is gone, unless it is the one of
// this UID, and drops everything remembered about it.
func (r *Reconciler) forget(ctx context.Context, name types.NamespacedName, except types.UID) error {
	old := r.issued.get(name)
	if old == nil || old.podUID == except {
		return nil
	}
	if err := r.deleteSecret(ctx, old); err != nil {
		return err
	}
	r.issued.drop(name)
	r.inherit.settle(old.podUID)
	r.ledger.forget(old.podUID)
	return nil
}

// settle notes that a pod's Secret is known to exist.
func (r *Reconciler) settle(pod types.UID) {
	r.inherit.settle(pod)
	r.ledger.served(pod)
}

// done says whether a pod will never run a container again. A pod whose grace
// period is over is held by finalizers alone; one of them, orphan, waits for its
// projection to go.
func done(pod *corev1.Pod) bool {
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	grace := pod.DeletionGracePeriodSeconds
	return ended || !pod.DeletionTimestamp.IsZero() && grace != nil && *grace == 0
}
