package projection

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// More pods at once than there are workers, of one UserSecret: its record is never
// idle for long, also though most of them find no place at first.
func TestBurstOnOneUserSecret(t *testing.T) {
	const (
		pods  = 1000
		takes = 20 * time.Millisecond
		// Each place is held while the record is written and the Secret created.
		least = pods / 20 * 2 * takes
	)
	withScene(t, func(s *scene) {
		s.process.fault = func(_ context.Context, r request) (error, error) {
			if r.verb == "record" || r.verb == "create" {
				after(takes)
			}
			return nil, nil
		}
		queue := make(chan string, pods)
		for _, pod := range s.steps(pods) {
			queue <- pod
		}
		start := time.Now()
		var served sync.WaitGroup
		served.Add(pods)
		for range workers {
			go s.serve(queue, &served)
		}
		served.Wait()
		took := time.Since(start)
		close(queue)
		synctest.Wait()
		t.Logf("%d pods in %v, %v at least", pods, took, least)
		// Places come free a few at a time, and so groups are not all full.
		if took > least*2 {
			t.Errorf("%d pods took %v, want at most twice %v", pods, took, least)
		}
		s.counts(pods)
	})
}

// serve is one worker: it looks at pods until each has its Secret.
func (s *scene) serve(queue chan string, served *sync.WaitGroup) {
	for pod := range queue {
		again, err := s.reconcile(pod)
		if err != nil {
			s.t.Errorf("reconciling %s: %v", pod, err)
		}
		if s.cluster.secret("usersecret-"+pod) != nil {
			served.Done()
			continue
		}
		time.AfterFunc(again.RequeueAfter, func() { queue <- pod })
	}
}
