package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/owner"
)

// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=usersecrets-system,resources=leases,verbs=get;create;update

func newManager(cfg *rest.Config, p *parts) (manager.Manager, error) {
	o := p.options
	server, err := p.webhookServer()
	if err != nil {
		return nil, err
	}
	lease := max(o.leaseDuration, 3*time.Second)
	renew, retry := lease*2/3, lease/7
	lock, err := leaseLock(cfg, o.namespace, renew)
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:                        scheme(),
		Cache:                         cacheOptions(),
		WebhookServer:                 server,
		HealthProbeBindAddress:        o.healthAddress,
		Metrics:                       metricsserver.Options{BindAddress: o.metricsAddress},
		PprofBindAddress:              o.pprofAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionReleaseOnCancel: true, // main returns right after Start
		LeaseDuration:                 &lease,
		RenewDeadline:                 &renew,
		RetryPeriod:                   &retry,

		LeaderElectionResourceLockInterface: lock,
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the manager: %w", err)
	}
	return mgr, nil
}

// leaseLock is the Lease that the leader holds, without the Event that client-go
// otherwise writes about it: the Lease itself says who leads, and an operator
// that restarts has nothing to write.
func leaseLock(cfg *rest.Config, namespace string, renew time.Duration) (resourcelock.Interface, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.Timeout = max(renew/2, time.Second)
	api, err := kubernetes.NewForConfig(rest.AddUserAgent(cfg, "leader-election"))
	if err != nil {
		return nil, fmt.Errorf("preparing leader election: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("naming this replica: %w", err)
	}
	identity := resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())}
	return resourcelock.New(resourcelock.LeasesResourceLock, namespace, v1alpha1.OperatorName, api.CoreV1(), api.CoordinationV1(), identity)
}

// cacheOptions keep memory to what is the operator's own: pods by their label,
// namespaces by their metadata, and nothing that nobody asked for. Reading
// another kind from the cache is an error, so that no informer starts by accident.
func cacheOptions() cache.Options {
	return cache.Options{
		ReaderFailOnMissingInformer: true,
		DefaultTransform:            cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}: {
				Label:     labels.SelectorFromSet(labels.Set{v1alpha1.InjectedLabel: "true"}),
				Transform: slimPod,
			},
			&v1alpha1.UserSecret{}: {Transform: slimUserSecret},
			owner.Metadata():       {Transform: slimNamespace},
		},
	}
}

// slimPod keeps what decides about a projection: metadata, the names of
// containers, and the phase.
func slimPod(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	slim := &corev1.Pod{ObjectMeta: pod.ObjectMeta}
	slim.ManagedFields = nil
	slim.Spec.InitContainers, slim.Spec.Containers = slimContainers(pod.Spec.InitContainers), slimContainers(pod.Spec.Containers)
	slim.Status.Phase = pod.Status.Phase
	return slim, nil
}

func slimContainers(full []corev1.Container) []corev1.Container {
	slim := make([]corev1.Container, 0, len(full))
	for i := range full {
		slim = append(slim, corev1.Container{Name: full[i].Name})
	}
	return slim
}

// slimUserSecret drops what is only ever read live (recentAccesses) or by people.
func slimUserSecret(object any) (any, error) {
	if us, ok := object.(*v1alpha1.UserSecret); ok {
		us.ManagedFields = nil
		us.Status.RecentAccesses = nil
		us.Spec.Description = ""
		delete(us.Annotations, corev1.LastAppliedConfigAnnotation)
	}
	return object, nil
}

func slimNamespace(object any) (any, error) {
	if ns, ok := object.(*metav1.PartialObjectMetadata); ok {
		ns.ManagedFields = nil
		ns.Labels = nil
		delete(ns.Annotations, corev1.LastAppliedConfigAnnotation)
	}
	return object, nil
}

// setupCaches starts the informers that admission reads from, on every replica.
func (p *parts) setupCaches(ctx context.Context) error {
	for _, object := range []client.Object{&v1alpha1.UserSecret{}, &v1alpha1.SecretProvider{}, &v1alpha1.EncryptionKey{}, owner.Metadata(), &corev1.Pod{}} {
		if _, err := p.manager.GetCache().GetInformer(ctx, object, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("watching %T: %w", object, err)
		}
	}
	return nil
}

// cachesSynced is started by the manager once the caches are.
type cachesSynced struct{ synced atomic.Bool }

// Start implements manager.Runnable.
func (c *cachesSynced) Start(ctx context.Context) error {
	c.synced.Store(true)
	<-ctx.Done()
	return nil
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (c *cachesSynced) NeedLeaderElection() bool { return false }

func (c *cachesSynced) check(*http.Request) error {
	if !c.synced.Load() {
		return errors.New("caches are not filled yet")
	}
	return nil
}
