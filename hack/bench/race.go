package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/lab"
)

// outcome is what came of one contender's turn.
type outcome struct {
	// latencies are from the API server's answer to a pod's creation until its
	// Secret arrived at a watch.
	latencies latencies
	// rate is of Secrets a second, from the first pod created to the last Secret seen.
	rate float64
	// spent is the processor time of all that took part, until it was cleared up.
	spent spent
	// asked are the operator's requests until the last Secret was seen.
	asked requests
}

// schedule calls create for every pod, in its own order and time.
type schedule func(ctx context.Context, create func(pod int) error) error

// paced creates pods at a steady rate, however long each takes.
func paced(rate int, during time.Duration) (int, schedule) {
	n := int(during.Seconds() * float64(rate))
	return n, func(ctx context.Context, create func(int) error) error {
		ticker := time.NewTicker(time.Second / time.Duration(rate))
		defer ticker.Stop()
		var failed atomic.Pointer[error]
		var all sync.WaitGroup
		for i := range n {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			all.Go(func() {
				if err := create(i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			})
		}
		all.Wait()
		if err := failed.Load(); err != nil {
			return *err
		}
		return nil
	}
}

// atOnce creates pods as fast as creators can.
func atOnce(n int) (int, schedule) {
	return n, func(_ context.Context, create func(int) error) error {
		return inParallel(n, creators, create)
	}
}

// turns tells the pods of different turns apart.
var turns atomic.Int64

// take gives one contender its turn with n pods, and leaves nothing behind.
func (b *bed) take(ctx context.Context, c contender, p *population, n int, run schedule) (_ outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stop, err := c.start(ctx)
	if err != nil {
		return outcome{}, err
	}
	seen := &sightings{at: make(map[types.NamespacedName]time.Time, n), want: n, all: make(chan struct{})}
	selected := cache.ByObject{Field: fields.OneTermEqualSelector("type", string(c.secretType))}
	secrets, err := startWatch(ctx, b.Admin(), &corev1.Secret{}, selected, seen.note)
	if err != nil {
		return outcome{}, errors.Join(err, stop())
	}
	before := spentSoFar()
	offset, err := size(b.AuditLog())
	if err != nil {
		return outcome{}, errors.Join(err, stop())
	}
	created, names := make([]time.Time, n), make([]types.NamespacedName, n)
	turn := turns.Add(1)
	err = run(ctx, func(i int) error {
		from := p.source(i)
		pod := c.pod(from, fmt.Sprintf("bench-%d-%d", turn, i))
		names[i] = client.ObjectKeyFromObject(pod)
		if err := b.Client.Create(ctx, pod); err != nil {
			return fmt.Errorf("creating pod %s: %w", names[i], err)
		}
		created[i] = time.Now()
		return nil
	})
	if err == nil {
		err = seen.await(ctx)
	}
	err = errors.Join(err, stop())
	if err != nil {
		return outcome{}, fmt.Errorf("%s: %w", c.name, err)
	}
	o := seen.outcome(created, names)
	if o.asked, err = requestsSince(b.AuditLog(), offset); err != nil {
		return outcome{}, err
	}
	settle(ctx, b.settings.sizes.calm) // Events come after
	o.spent = spentSoFar().since(before)
	return o, b.clear(ctx, c, p, secrets)
}

// sightings are when each pod's Secret was seen first.
type sightings struct {
	mu   sync.Mutex
	at   map[types.NamespacedName]time.Time
	want int
	all  chan struct{}
}

func (s *sightings) note(object client.Object) {
	now := time.Now()
	pod := types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetAnnotations()[v1alpha1.PodNameAnnotation]}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, again := s.at[pod]; again {
		return
	}
	s.at[pod] = now
	if len(s.at) == s.want {
		close(s.all)
	}
}

func (s *sightings) await(ctx context.Context) error {
	select {
	case <-s.all:
		return nil
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		return fmt.Errorf("%d of %d Secrets were seen: %w", len(s.at), s.want, ctx.Err())
	}
}

func (s *sightings) outcome(created []time.Time, names []types.NamespacedName) outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, last := created[0], s.at[names[0]]
	all := make(latencies, 0, len(created))
	for i, name := range names {
		all = append(all, s.at[name].Sub(created[i]))
		if created[i].Before(first) {
			first = created[i]
		}
		if s.at[name].After(last) {
			last = s.at[name]
		}
	}
	return outcome{latencies: all, rate: float64(len(created)) / last.Sub(first).Seconds()}
}

// clear deletes a turn's pods and waits until their Secrets are gone too: the
// operator's by the operator, a floor's here.
func (b *bed) clear(ctx context.Context, c contender, p *population, secrets client.Reader) error {
	err := inParallel(len(p.users), setUpWorkers, func(i int) error {
		in := client.InNamespace(p.users[i])
		if err := b.Client.DeleteAllOf(ctx, &corev1.Pod{}, in, client.HasLabels{podLabel}, client.GracePeriodSeconds(0)); err != nil {
			return err
		}
		if c.secretType != floorSecretType {
			return nil
		}
		return b.Client.DeleteAllOf(ctx, &corev1.Secret{}, in, client.MatchingFields{"type": floorSecretType})
	})
	if err != nil {
		return fmt.Errorf("clearing up: %w", err)
	}
	return lab.Await(ctx, "the Secrets to be gone", func(ctx context.Context) (bool, error) {
		var left corev1.SecretList
		err := secrets.List(ctx, &left, client.UnsafeDisableDeepCopy)
		return len(left.Items) == 0, err
	})
}
