package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/rig"
)

// floorWorkers are those of a floor that gathers nothing: more than the API server
// serves at once, so that a further one would only wait there.
const floorWorkers = 64

// The numbers of the operator (controllers/projection/controller.go), for the
// floor that gathers uses as it does. A worker waits until its use stands in the
// status, so with fewer workers or more writes at once a group is one use.
const (
	operatorWorkers        = 512
	operatorStatusWrites   = 4
	operatorSecretRequests = 32
)

// floor is the least that a client can do: it watches pods and creates a Secret
// for each. It does not throttle itself, opens nothing, and remembers nothing.
type floor struct {
	// group is how many uses go into one status write before the Secrets are
	// created; 0 means that no use is recorded.
	group int
	// workers are the pods worked on at once; writes and creates bound the status
	// writes and the creations of Secrets under way, where they are not 0.
	workers, writes, creates int

	client  client.Client
	pods    cache.Cache
	queue   workqueue.TypedInterface[types.NamespacedName]
	records *records
	secrets places
	failed  atomic.Pointer[error]
}

// start runs the floor until what it returns is called, which says what went wrong.
func (f *floor) start(ctx context.Context, cfg *rest.Config) (func() error, error) {
	ctx, cancel := context.WithCancel(ctx)
	var err error
	if f.client, err = client.New(cfg, client.Options{Scheme: rig.Scheme()}); err != nil {
		cancel()
		return nil, err
	}
	if f.group > 0 {
		f.records = newRecords(f.client, f.group, f.writes)
	}
	f.secrets = newPlaces(f.creates)
	f.queue = workqueue.NewTyped[types.NamespacedName]()
	if f.pods, err = startWatch(ctx, cfg, &corev1.Pod{}, cache.ByObject{Label: labels.SelectorFromSet(labels.Set{floorLabel: "true"})}, f.enqueue); err != nil {
		cancel()
		return nil, err
	}
	var workers sync.WaitGroup
	for range f.workers {
		workers.Go(func() { f.work(ctx) })
	}
	return func() error {
		f.queue.ShutDown()
		workers.Wait()
		cancel()
		if failed := f.failed.Load(); failed != nil {
			return *failed
		}
		if f.group > 1 {
			say("%s", f.records)
		}
		return nil
	}, nil
}

func (f *floor) enqueue(object client.Object) { f.queue.Add(client.ObjectKeyFromObject(object)) }

func (f *floor) work(ctx context.Context) {
	for {
		key, over := f.queue.Get()
		if over {
			return
		}
		if err := f.serve(ctx, key); err != nil {
			f.failed.CompareAndSwap(nil, &err)
		}
		f.queue.Done(key)
	}
}

func (f *floor) serve(ctx context.Context, key types.NamespacedName) error {
	pod := &corev1.Pod{}
	if err := f.pods.Get(ctx, key, pod); err != nil {
		return fmt.Errorf("reading pod %s: %w", key, err)
	}
	if f.records != nil {
		if err := f.records.record(ctx, pod); err != nil {
			return err
		}
	}
	defer f.secrets.take()()
	if err := f.client.Create(ctx, f.secret(pod)); err != nil {
		return fmt.Errorf("creating the Secret of pod %s: %w", key, err)
	}
	return nil
}

// secret has the size of a projection. The bare floor's says no more than which
// pod it is of; the honest one's has the owner and the annotations as well.
func (f *floor) secret(pod *corev1.Pod) *corev1.Secret {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace, Name: "floor-" + strings.ToLower(string(pod.UID)),
			Annotations: map[string]string{v1alpha1.PodNameAnnotation: pod.Name},
		},
		Type: floorSecretType,
		Data: map[string][]byte{valueKey: []byte(newValue())},
	}
	if f.records == nil {
		secret.Annotations[floorGroup+"/filler"] = strings.Repeat("x", fillerSize)
		return secret
	}
	no := false
	secret.Labels = map[string]string{"app.kubernetes.io/managed-by": "floor"}
	secret.Annotations[v1alpha1.PodUIDAnnotation] = string(pod.UID)
	secret.Annotations[v1alpha1.SourcesAnnotation] = fmt.Sprintf(`{%q:{"name":%q,"uid":%q}}`, valueKey, pod.Annotations[recordAnnotation], pod.UID)
	secret.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID, Controller: &no, BlockOwnerDeletion: &no,
	}}
	return secret
}

// fillerSize is about what owner reference, label and annotations of a
// projection take in bytes.
const fillerSize = 320

// startWatch runs an informer on one kind, and returns when it has its first
// list. added is called for every object that comes.
func startWatch(ctx context.Context, cfg *rest.Config, object client.Object, of cache.ByObject, added func(client.Object)) (cache.Cache, error) {
	c, err := cache.New(cfg, cache.Options{Scheme: rig.Scheme(), ByObject: map[client.Object]cache.ByObject{object: of}})
	if err != nil {
		return nil, fmt.Errorf("preparing a watch: %w", err)
	}
	go func() { _ = c.Start(ctx) }() // ends with ctx
	informer, err := c.GetInformer(ctx, object)
	if err != nil {
		return nil, fmt.Errorf("watching %T: %w", object, err)
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: func(o any) {
		if object, ok := o.(client.Object); ok {
			added(object)
		}
	}})
	if err != nil {
		return nil, fmt.Errorf("watching %T: %w", object, err)
	}
	return c, nil
}
