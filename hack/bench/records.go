package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
)

var floorKind = schema.GroupVersionKind{Group: floorGroup, Version: v1alpha1.GroupVersion.Version, Kind: "Floor"}

// records are the honest floor's status writes: the patch that the operator
// sends, of an object of the same schema and size, one writer for each object.
type records struct {
	client client.Client
	group  int
	writes places
	// written and counted are the writes so far, and the uses in them.
	written, counted atomic.Int64

	mu     sync.Mutex
	byName map[types.NamespacedName]*record
}

// newRecords bounds the writes under way, unless writes is 0.
func newRecords(c client.Client, group, writes int) *records {
	return &records{client: c, group: group, writes: newPlaces(writes), byName: map[types.NamespacedName]*record{}}
}

// String says how large the groups were.
func (r *records) String() string {
	return fmt.Sprintf("%d uses in %d status writes", r.counted.Load(), r.written.Load())
}

// record returns once the pod's use stands in the status.
func (r *records) record(ctx context.Context, pod *corev1.Pod) error {
	name := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Annotations[recordAnnotation]}
	r.mu.Lock()
	of := r.byName[name]
	if of == nil {
		of = &record{records: r, name: name}
		r.byName[name] = of
	}
	r.mu.Unlock()
	u := use{done: make(chan error, 1), access: v1alpha1.Access{
		Time: metav1.NewMicroTime(time.Now()), Type: v1alpha1.AccessUse, Actor: "bench",
		Workflow: pod.Name + "-wf", Node: pod.Name + ".step", Pod: pod.Name, PodUID: string(pod.UID),
	}}
	of.add(ctx, u)
	return <-u.done
}

type use struct {
	access v1alpha1.Access
	done   chan error
}

// record is one object's.
type record struct {
	*records
	name types.NamespacedName

	mu      sync.Mutex
	waiting []use
	writing bool

	// What stands in the status; only the writer touches it.
	uid     types.UID
	version string
	count   int64
	recent  []v1alpha1.Access
}

func (r *record) add(ctx context.Context, u use) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = append(r.waiting, u)
	if !r.writing {
		r.writing = true
		go r.drain(ctx)
	}
}

// drain writes groups until nobody waits. A group is what waits once there is a
// place to write it, as the operator's is: uses gather while others write.
func (r *record) drain(ctx context.Context) {
	for r.busy() {
		leave := r.writes.take()
		group := r.take()
		err := r.write(ctx, group)
		leave()
		for _, u := range group {
			u.done <- err
		}
	}
}

// busy says whether somebody waits, and ends the writing where nobody does.
func (r *record) busy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writing = len(r.waiting) > 0
	return r.writing
}

func (r *record) take() []use {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(r.group, len(r.waiting))
	group := r.waiting[:n:n]
	r.waiting = r.waiting[n:]
	return group
}

// write adds a group to the status where that still has the version known here.
func (r *record) write(ctx context.Context, group []use) error {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(floorKind)
	object.Namespace, object.Name = r.name.Namespace, r.name.Name
	if r.version == "" {
		if err := r.client.Get(ctx, r.name, object); err != nil {
			return fmt.Errorf("reading record %s: %w", r.name, err)
		}
		r.uid, r.version = object.UID, object.ResourceVersion
	}
	for _, u := range group {
		r.recent = slices.Insert(r.recent, 0, u.access)
	}
	r.recent = r.recent[:min(len(r.recent), v1alpha1.MaxRecentAccesses)]
	r.count += int64(len(group))
	last := group[len(group)-1].access
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": r.uid, "resourceVersion": r.version},
		"status": map[string]any{"recentAccesses": r.recent, "usage": v1alpha1.Usage{
			Count: r.count, LastUsedAt: &metav1.Time{Time: last.Time.Time},
			LastUsedBy: &v1alpha1.LastUse{Workflow: last.Workflow, Node: last.Node, Pod: last.Pod},
		}},
	})
	if err != nil {
		return fmt.Errorf("encoding record %s: %w", r.name, err)
	}
	if err := r.client.Status().Patch(ctx, object, client.RawPatch(types.MergePatchType, patch), client.FieldOwner("floor")); err != nil {
		return fmt.Errorf("writing record %s: %w", r.name, err)
	}
	r.version = object.ResourceVersion
	r.written.Add(1)
	r.counted.Add(int64(len(group)))
	return nil
}

// recordsFor makes a record of every UserSecret of a population: the same spec,
// and the status that the operator gave it, written as the operator does.
func (b *bed) recordsFor(ctx context.Context, p *population) error {
	return inParallel(len(p.users), setUpWorkers, func(i int) error {
		var list v1alpha1.UserSecretList
		if err := b.Client.List(ctx, &list, client.InNamespace(p.users[i])); err != nil {
			return err
		}
		for n := range list.Items {
			if err := b.copyToFloor(ctx, &list.Items[n]); err != nil {
				return fmt.Errorf("making the record of %s/%s: %w", list.Items[n].Namespace, list.Items[n].Name, err)
			}
		}
		return nil
	})
}

func (b *bed) copyToFloor(ctx context.Context, us *v1alpha1.UserSecret) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(us)
	if err != nil {
		return err
	}
	object := &unstructured.Unstructured{Object: map[string]any{"spec": content["spec"]}}
	object.SetGroupVersionKind(floorKind)
	object.SetNamespace(us.Namespace)
	object.SetName(us.Name)
	status := object.DeepCopy()
	delete(status.Object, "spec")
	status.Object["status"] = content["status"]
	if err := b.Client.Create(ctx, object); err != nil {
		return err
	}
	return b.Client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(status), client.FieldOwner("floor-observer"), client.ForceOwnership)
}
