package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/test/rig"
)

// kind is one of the creations whose admission is measured.
type kind struct {
	name string
	make func(name string) (client.Object, error)
	// beside is the kind that it is compared with where webhooks are off;
	// plaintext is refused then.
	beside int
	// dry has it created in a dry run: admission is all there is, and nothing comes
	// of it that would go on beside the next.
	dry bool
	// mark says that what admission adds to it is held against the mark.
	mark bool
}

// warmUp creations come before each block and are not counted.
const warmUp = 30

const maker = "maker"

// runAdmission is section (c): how long creations take with our webhooks and
// without, one after the other, in blocks by turns.
func runAdmission(ctx context.Context, s *settings) (*report, error) {
	return onBed(ctx, s, func(b *bed) (*report, error) {
		person, key, err := b.makeMaker(ctx)
		if err != nil {
			return nil, err
		}
		kinds := admissionKinds(key)
		with, without := make([]latencies, len(kinds)), make([]latencies, len(kinds))
		for range s.sizes.blocks {
			if err := b.createAll(ctx, person, kinds, with); err != nil {
				return nil, err
			}
			restore, err := b.removeWebhooks(ctx)
			if err != nil {
				return nil, err
			}
			err = b.createAll(ctx, person, kinds, without)
			if err := restore(err); err != nil {
				return nil, err
			}
		}
		return admissionReport(kinds, with, without, s), nil
	})
}

// makeMaker is a user with a certificate, who may also make pods.
func (b *bed) makeMaker(ctx context.Context) (*rig.Person, *envelope.PublicKey, error) {
	if err := b.onboard(ctx, maker); err != nil {
		return nil, nil, err
	}
	if err := b.letMakePods(ctx, maker); err != nil {
		return nil, nil, err
	}
	person, err := b.Person(maker, maker)
	if err != nil {
		return nil, nil, err
	}
	key, err := b.sealingKey(ctx, maker)
	if err != nil {
		return nil, nil, err
	}
	wanted, err := sealed(key, maker, "wanted")
	if err != nil {
		return nil, nil, err
	}
	return person, key, person.Client.Create(ctx, wanted)
}

func admissionKinds(key *envelope.PublicKey) []kind {
	return []kind{
		{name: "UserSecret, sealed by its owner", beside: 0, mark: true, make: func(name string) (client.Object, error) { return sealed(key, maker, name) }},
		{name: "UserSecret, plaintext", beside: 0, mark: true, make: func(name string) (client.Object, error) {
			value := newValue()
			return &v1alpha1.UserSecret{
				ObjectMeta: metav1.ObjectMeta{Namespace: maker, Name: name},
				Spec:       v1alpha1.UserSecretSpec{Provider: "custom", Type: v1alpha1.TypeAPIKey, Value: &value},
			}, nil
		}},
		{name: "Pod that asks for a value, in a dry run", beside: 2, mark: true, dry: true, make: askingPod},
		{name: "Pod that asks, while those before it are served", beside: 3, make: askingPod},
		{name: "Pod that does not ask", beside: 4, mark: true, make: func(name string) (client.Object, error) {
			return floorPod(source{namespace: maker, name: "wanted"}, name), nil
		}},
	}
}

func askingPod(name string) (client.Object, error) {
	return theOperator().pod(source{namespace: maker, name: "wanted"}, name), nil
}

// createAll measures a block of every kind, and adds to what was measured. A
// kind that is compared with another has no block where that is not possible.
func (b *bed) createAll(ctx context.Context, person *rig.Person, kinds []kind, into []latencies) error {
	for i, k := range kinds {
		settle(ctx, b.settings.sizes.calm)
		if k.beside != i && b.webhooksOff {
			continue
		}
		block, err := create(ctx, person.Client, k, b.settings.sizes.admissions)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		into[i] = append(into[i], block...)
		if err := b.clearMaker(ctx); err != nil {
			return err
		}
	}
	return nil
}

func create(ctx context.Context, as client.Client, k kind, n int) (latencies, error) {
	turn := turns.Add(1)
	var taken latencies
	var options []client.CreateOption
	if k.dry {
		options = append(options, client.DryRunAll)
	}
	for i := range warmUp + n {
		object, err := k.make(fmt.Sprintf("bench-%d-%d", turn, i))
		if err != nil {
			return nil, err
		}
		object.SetLabels(map[string]string{podLabel: "true"})
		began := time.Now()
		if err := as.Create(ctx, object, options...); err != nil {
			return nil, err
		}
		if i >= warmUp {
			taken = append(taken, time.Since(began))
		}
	}
	return taken, nil
}

func (b *bed) clearMaker(ctx context.Context) error {
	for _, of := range []client.Object{&corev1.Pod{}, &v1alpha1.UserSecret{}} {
		if err := b.Client.DeleteAllOf(ctx, of, client.InNamespace(maker), client.HasLabels{podLabel}, client.GracePeriodSeconds(0)); err != nil {
			return fmt.Errorf("clearing up: %w", err)
		}
	}
	return nil
}

// most is what admission may add at p99.
const mostAdded = 5 * time.Millisecond

func admissionReport(kinds []kind, with, without []latencies, s *settings) *report {
	t := table{
		title:   "(c) What our admission adds to a creation",
		columns: []string{"what is created", "p50 with", "p50 without", "p50 added", "p99 with", "p99 without", "p99 added"},
		notes: []string{fmt.Sprintf("%d creations of each, one after the other, in %d blocks by turns with and without our webhook configurations. Plaintext cannot be stored without webhooks: it stands beside the sealed one. Load average at the end: %s.",
			s.sizes.blocks*s.sizes.admissions, s.sizes.blocks, load())},
	}
	r := &report{}
	for i, k := range kinds {
		on, off := with[i], without[k.beside]
		t.add(k.name, milliseconds(on.at(50)), milliseconds(off.at(50)), milliseconds(on.at(50)-off.at(50)),
			milliseconds(on.at(99)), milliseconds(off.at(99)), milliseconds(on.at(99)-off.at(99)))
		if !k.mark {
			continue
		}
		added := on.at(99) - off.at(99)
		r.marks = append(r.marks, mark{of: k.name + ": added at p99", want: "≤ 5 ms", got: milliseconds(added), reached: added <= mostAdded})
	}
	r.tables = []table{t}
	return r
}
