package projection

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
)

// stormSeed is the environment variable that gives a seed again: a number.
const stormSeed = "STORM_SEED"

const (
	stormSeeds   = 4
	stormPods    = 160
	stormWaves   = 4
	stormSecrets = 3
	stormLeaders = 20
)

// However often the operator crashes, and whatever the API server answers, every
// pod is counted once with every UserSecret that it was granted, and served
// nothing that is not recorded.
func TestStorm(t *testing.T) {
	chance := rand.Uint64()
	if given := os.Getenv(stormSeed); given != "" {
		var err error
		if chance, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatalf("%s: %v", stormSeed, err)
		}
	}
	t.Logf("%s=%d gives this run's random seed again", stormSeed, chance)
	seeds := []uint64{chance}
	for seed := range uint64(stormSeeds) {
		seeds = append(seeds, seed)
	}
	for _, mortal := range []bool{false, true} {
		for _, seed := range seeds {
			t.Run(fmt.Sprintf("mortal=%t/seed=%d", mortal, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { newStorm(t, seed, mortal).blow() })
			})
		}
	}
}

// storm is a cluster in which nearly everything goes wrong that can.
type storm struct {
	t       *testing.T
	cluster *cluster
	// mortal pods end at any time; others only once they are served.
	mortal bool
	asks   map[string][]string // by pod, the UserSecrets that it asks for
	waves  []int               // in milliseconds: pods come many at once

	mu      sync.Mutex
	random  *rand.Rand
	calm    atomic.Bool
	workers sync.WaitGroup // of all processes
}

func newStorm(t *testing.T, seed uint64, mortal bool) *storm {
	s := &storm{t: t, cluster: newCluster(), mortal: mortal, asks: map[string][]string{}, random: rand.New(rand.NewPCG(seed, 0))}
	var names []string
	for i := range stormSecrets {
		names = append(names, fmt.Sprintf("s%d", i))
		s.cluster.addValue(makeValue(names[i], "value of "+names[i]))
	}
	for i := range stormPods {
		s.random.Shuffle(len(names), func(a, b int) { names[a], names[b] = names[b], names[a] })
		s.asks[fmt.Sprintf("p%02d", i)] = slices.Clone(names[:1+s.random.IntN(2)])
	}
	for range stormWaves {
		s.waves = append(s.waves, s.random.IntN(stormLeaders*100))
	}
	return s
}

// upTo is a random number below n.
func (s *storm) upTo(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.IntN(n)
}

func (s *storm) pause(milliseconds int) {
	after(time.Duration(1+s.upTo(milliseconds)) * time.Millisecond)
}

func (s *storm) blow() {
	weather := make(chan struct{})
	var life, others sync.WaitGroup
	for pod := range s.asks {
		life.Go(func() { s.live(pod) })
	}
	others.Go(func() { s.edit(weather) })
	for range stormLeaders - 1 {
		s.lead(func() { s.pause(200) })
	}
	s.calm.Store(true)
	close(weather)
	others.Wait()
	after(3 * time.Second) // the Lease of the last one: nothing that it sent arrives later
	s.lead(func() {
		life.Wait()
		after(10 * time.Second) // the last pods that end
	})
	s.workers.Wait()
	s.check()
}

// live is the life of one pod: it comes, waits for its Secret, and may end.
func (s *storm) live(name string) {
	after(time.Duration(s.waves[s.upTo(stormWaves)]) * time.Millisecond)
	s.pause(10)
	s.cluster.addPod(makePod(name, "name:"+strings.Join(withKeys(s.asks[name]), ",name:")))
	if s.mortal && s.upTo(3) == 0 {
		s.pause(200)
	} else {
		for s.cluster.secret("usersecret-"+name) == nil {
			s.pause(50)
		}
	}
	switch s.upTo(3) {
	case 0:
		ends(name, corev1.PodSucceeded)(s.cluster)
	case 1:
		s.cluster.do(func() { delete(s.cluster.pods, inNamespace(name)) })
	}
}

func withKeys(names []string) []string {
	var items []string
	for _, name := range names {
		items = append(items, name+"="+strings.ToUpper(name))
	}
	return items
}

// edit has owners write their UserSecrets all the time.
func (s *storm) edit(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(1+s.upTo(100)) * time.Millisecond):
		}
		name := fmt.Sprintf("s%d", s.upTo(stormSecrets))
		value := sealed(name, fmt.Sprintf("value %d", s.upTo(1000)))
		s.cluster.changeValue(name, func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = value })
	}
}

// lead runs a process that leads until then returns, and crashes it. What it had
// sent by then may still arrive.
func (s *storm) lead(then func()) {
	l := s.cluster.lead()
	crashed := make(chan struct{})
	l.process.fault = func(_ context.Context, r request) (error, error) {
		select {
		case <-crashed:
			return errors.New("this process crashed"), nil
		default:
			return s.fault(r)
		}
	}
	for pod := range s.asks {
		s.workers.Go(func() { s.work(l, pod, crashed) })
	}
	then()
	close(crashed)
}

// work reconciles one pod again and again, as its events would.
func (s *storm) work(l *leader, pod string, crashed <-chan struct{}) {
	for backoff := 5; ; {
		_, err := l.reconcile(pod)
		wait := 500 + s.upTo(500)
		if err != nil {
			wait, backoff = backoff, min(2*backoff, 500)
		}
		select {
		case <-crashed:
			return
		case <-time.After(time.Duration(wait) * time.Millisecond):
		}
	}
}

// fault is what goes wrong with a call: one in four.
func (s *storm) fault(r request) (before, after error) {
	if s.calm.Load() || r.verb == "list" && r.object != "PartialObjectMetadataList" {
		return nil, nil
	}
	// The list of pods is read under a lock, where a bubble's time stands still.
	if r.verb != "list" {
		s.pause(5)
	}
	switch s.upTo(40) {
	case 0, 1:
		return errTooMany, nil
	case 2, 3:
		return errBusy, nil
	case 4, 5, 6:
		return nil, errBusy
	case 7:
		return nil, context.DeadlineExceeded
	case 8:
		return conflict("any", r.object), nil
	case 9:
		if r.verb != "list" {
			s.pause(2000) // late, and maybe after its process crashed
		}
	}
	return nil, nil
}

func (s *storm) check() {
	checkPromises(s.t, s.cluster)
	wanted := map[string]int{}
	for _, names := range s.asks {
		for _, name := range names {
			wanted[name]++
		}
	}
	for i := range stormSecrets {
		name := fmt.Sprintf("s%d", i)
		count, of := countOf(s.cluster.value(name)), types.UID("uid-"+name)
		recorded, granted := len(s.cluster.recorded[of]), len(s.cluster.granted[of])
		if int(count) != recorded {
			s.t.Errorf("%s: count is %d, and %d pods were recorded", name, count, recorded)
		}
		if !s.mortal && (granted != recorded || granted != wanted[name]) {
			s.t.Errorf("%s: %d pods asked, %d were recorded, %d were granted", name, wanted[name], recorded, granted)
		}
	}
	for _, secret := range s.cluster.secrets {
		pod := s.cluster.pods[inNamespace(secret.Annotations[v1alpha1.PodNameAnnotation])]
		if pod != nil && done(pod) {
			s.t.Errorf("pod %s is done and still has its projection", pod.Name)
		}
	}
}
