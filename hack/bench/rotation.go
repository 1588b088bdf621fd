package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/test/lab"
	"usersecrets.dev/operator/test/rig"
)

// resealWorkers are as many as the operator reseals with.
const resealWorkers = 8

// runRotation is section (f): a rotation of many UserSecrets, beside a bare client
// that updates as many objects of the same schema and size, which no admission of
// ours knows, with as many workers: once each, and with a status write each, as
// the operator makes.
func runRotation(ctx context.Context, s *settings) (*report, error) {
	return onBed(ctx, s, func(b *bed) (*report, error) {
		users := s.sizes.users
		p, err := b.populate(ctx, shape{name: "rotated", users: users, secrets: s.sizes.rotated / users})
		if err != nil {
			return nil, err
		}
		if err := b.recordsFor(ctx, p); err != nil {
			return nil, err
		}
		n := len(p.users) * p.secrets
		t := table{
			title:   fmt.Sprintf("(f) Rotation of %s, all sealed again", p),
			columns: []string{"turn", "rotation", "a second", "floor: update", "operator's rate to this", "floor: update and status", "operator's rate to this"},
		}
		for turn := range s.sizes.rounds {
			took, floors, err := b.rotateBeside(ctx, p, turn)
			if err != nil {
				return nil, err
			}
			cells := []string{fmt.Sprint(turn + 1), seconds(took), fmt.Sprintf("%.0f", float64(n)/took.Seconds())}
			for _, floor := range floors {
				cells = append(cells, seconds(floor), ratio(float64(floor), float64(took)))
			}
			t.add(cells...)
		}
		t.notes = append(t.notes, fmt.Sprintf("From the creation of an EncryptionKey until every UserSecret is sealed with it and its status says so; %d workers, the operator's and the floors' alike. 1 × would be as fast. Load average at the end: %s.", resealWorkers, load()))
		return &report{tables: []table{t}}, nil
	})
}

// rotateBeside measures one rotation and the floors after it.
func (b *bed) rotateBeside(ctx context.Context, p *population, turn int) (time.Duration, []time.Duration, error) {
	settle(ctx, b.settings.sizes.calm)
	say("rotation %d", turn+1)
	took, err := b.rotation(ctx, p, fmt.Sprintf("bench-%d", turn))
	if err != nil {
		return 0, nil, err
	}
	var floors []time.Duration
	for _, status := range []bool{false, true} {
		settle(ctx, b.settings.sizes.calm)
		floor, err := b.updateAll(ctx, status)
		if err != nil {
			return 0, nil, err
		}
		floors = append(floors, floor)
	}
	return took, floors, nil
}

// rotation makes a key and waits until everything is sealed with it. What is
// waited for is watched, so that looking costs the API server nothing.
func (b *bed) rotation(ctx context.Context, p *population, name string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	watching, err := startLook(ctx, b)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	key := &v1alpha1.EncryptionKey{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := b.Client.Create(ctx, key); err != nil {
		return 0, fmt.Errorf("making the key: %w", err)
	}
	err = lab.Await(ctx, "the rotation", func(ctx context.Context) (bool, error) {
		list := &v1alpha1.UserSecretList{}
		if err := watching.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return false, err
		}
		done := 0
		for i := range list.Items {
			us := &list.Items[i]
			if id := envelope.KeyIDOf(us.Spec.EncryptedValue); id.Name() == name && us.Status.KeyID == string(id) {
				done++
			}
		}
		return done == len(p.users)*p.secrets, nil
	})
	return time.Since(began), err
}

// startLook watches UserSecrets as an administrator.
func startLook(ctx context.Context, b *bed) (client.Reader, error) {
	return startWatch(ctx, b.Admin(), &v1alpha1.UserSecret{}, cache.ByObject{}, func(client.Object) {})
}

// updateAll is the floor: every record gets another text, and where asked another
// status after it.
func (b *bed) updateAll(ctx context.Context, status bool) (time.Duration, error) {
	as, err := client.New(b.floor, client.Options{Scheme: rig.Scheme()})
	if err != nil {
		return 0, err
	}
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(floorKind)
	if err := as.List(ctx, list); err != nil {
		return 0, fmt.Errorf("listing records: %w", err)
	}
	began := time.Now()
	err = inParallel(len(list.Items), resealWorkers, func(i int) error {
		object := &list.Items[i]
		before, _, err := unstructured.NestedString(object.Object, "spec", "encryptedValue")
		if err != nil {
			return err
		}
		if err := updateOne(ctx, as, object, before, status); err != nil {
			return fmt.Errorf("updating record %s: %w", client.ObjectKeyFromObject(object), err)
		}
		return nil
	})
	return time.Since(began), err
}

// updateOne sends what the operator sends, with a text of the same length.
func updateOne(ctx context.Context, as client.Client, object *unstructured.Unstructured, before string, status bool) error {
	text := []byte(before)
	text[len(text)-2] ^= 1
	patch, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": object.GetUID()},
		{"op": "test", "path": "/spec/encryptedValue", "value": before},
		{"op": "replace", "path": "/spec/encryptedValue", "value": string(text)},
	})
	if err != nil {
		return err
	}
	after := object.DeepCopy()
	if err := as.Patch(ctx, after, client.RawPatch(types.JSONPatchType, patch), client.FieldOwner("floor")); err != nil || !status {
		return err
	}
	said := &unstructured.Unstructured{Object: map[string]any{"status": object.Object["status"]}}
	said.SetGroupVersionKind(floorKind)
	said.SetNamespace(object.GetNamespace())
	said.SetName(object.GetName())
	if err := unstructured.SetNestedField(said.Object, after.GetGeneration(), "status", "observedGeneration"); err != nil {
		return err
	}
	return as.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(said), client.FieldOwner("floor-observer"), client.ForceOwnership)
}
