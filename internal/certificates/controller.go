package certificates

import (
	"context"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

const (
	// longestSleep bounds what is late when timers stop, as they do while a machine is suspended.
	longestSleep  = time.Hour
	shortestSleep = time.Second

	// Retries come often: while the API server is away nobody calls us, and when it is back it does.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// Creating cannot be limited to a name, and list and watch are allowed because
// the watches select one name (the API server's authorizer reads it from the field selector).
//
// +kubebuilder:rbac:groups="",namespace=usersecrets-system,resources=secrets,verbs=create
// +kubebuilder:rbac:groups="",namespace=usersecrets-system,resources=secrets,resourceNames=webhook-ca,verbs=get;list;watch;update
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=mutatingwebhookconfigurations;validatingwebhookconfigurations,resourceNames=usersecret-operator,verbs=get;list;watch;patch

// Reconcile brings the CA, the serving certificate and the bundles up to date, and
// sleeps until time makes a difference. The request says nothing: there is one CA.
func (r *Rotator) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	next, err := r.settle(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	sleep := next.Sub(r.clock.Now())
	return reconcile.Result{RequeueAfter: min(max(sleep, shortestSleep), longestSleep)}, nil
}

// SetupWithManager runs the rotator on every replica of the manager, leader or not.
func (r *Rotator) SetupWithManager(mgr ctrl.Manager) error {
	watched, err := r.narrowCache(mgr)
	if err != nil {
		return fmt.Errorf("preparing the watches of the webhook CA: %w", err)
	}
	if err := mgr.Add(leaderless{watched}); err != nil {
		return err
	}
	b := ctrl.NewControllerManagedBy(mgr).
		Named("webhook-certificates").
		WithOptions(controller.Options{
			NeedLeaderElection: new(false),
			RateLimiter:        workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry),
		}).
		WatchesRawSource(source.Func(ringAtStart))
	for _, object := range watchedObjects() {
		b = b.WatchesRawSource(source.Kind(watched, object, handler.TypedEnqueueRequestsFromMapFunc(ring)))
	}
	return b.Complete(r)
}

// narrowCache watches our three objects by name, apart from the manager's cache:
// so no setting of the manager's can widen it to other Secrets, and the CA's key is not kept in a second place.
func (r *Rotator) narrowCache(mgr ctrl.Manager) (cache.Cache, error) {
	byName := func(name string) fields.Selector { return fields.OneTermEqualSelector("metadata.name", name) }
	return cache.New(mgr.GetConfig(), cache.Options{
		HTTPClient: mgr.GetHTTPClient(),
		Scheme:     mgr.GetScheme(),
		Mapper:     mgr.GetRESTMapper(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}: {Namespaces: map[string]cache.Config{
				r.options.Namespace: {FieldSelector: byName(r.options.SecretName)},
			}},
			&admissionv1.MutatingWebhookConfiguration{}:   {Field: byName(r.options.ConfigurationName)},
			&admissionv1.ValidatingWebhookConfiguration{}: {Field: byName(r.options.ConfigurationName)},
		},
	})
}

// watchedObjects are watched by their metadata alone: an event only rings a bell,
// and every turn reads what it needs from the API server.
func watchedObjects() []*metav1.PartialObjectMetadata {
	var objects []*metav1.PartialObjectMetadata
	for _, kind := range []schema.GroupVersionKind{
		corev1.SchemeGroupVersion.WithKind("Secret"),
		admissionv1.SchemeGroupVersion.WithKind("MutatingWebhookConfiguration"),
		admissionv1.SchemeGroupVersion.WithKind("ValidatingWebhookConfiguration"),
	} {
		object := &metav1.PartialObjectMetadata{}
		object.SetGroupVersionKind(kind)
		objects = append(objects, object)
	}
	return objects
}

// theOne stands for the CA and all that depends on it.
var theOne = reconcile.Request{NamespacedName: types.NamespacedName{Name: "webhook-certificates"}}

func ring(context.Context, *metav1.PartialObjectMetadata) []reconcile.Request {
	return []reconcile.Request{theOne}
}

// ringAtStart serves where none of the watched objects exists, so that no event comes.
func ringAtStart(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	queue.Add(theOne)
	return nil
}

// leaderless is a cache that every replica starts.
type leaderless struct{ cache.Cache }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (leaderless) NeedLeaderElection() bool { return false }
