package main

import (
	"context"
	"fmt"
	"time"
)

const (
	mostColdTime   = 3 * time.Second
	mostColdMemory = 100 << 20 // bytes
	// quietTime is how long nothing may happen for the start to be over.
	quietTime = 2 * time.Second
	// lookInterval is how often the operator is asked for its metrics meanwhile.
	lookInterval = 100 * time.Millisecond
)

// start is what one cold start took.
type start struct {
	ready, quiet time.Duration
	requests     requests
	processor    time.Duration
	memory       memory
}

// runColdStart is section (d): the operator started where many UserSecrets are,
// the Lease free and everything observed already.
func runColdStart(ctx context.Context, s *settings) (*report, error) {
	return onBed(ctx, s, func(b *bed) (*report, error) {
		users := s.sizes.coldUsers
		p, err := b.populate(ctx, shape{name: "cold", users: users, secrets: s.sizes.coldSecrets / users})
		if err != nil {
			return nil, err
		}
		t := table{
			title:   "(d) Cold start with " + p.String(),
			columns: []string{"start", "ready", "quiet", "reads", "writes", "leading, reviews", "processor time", "peak memory", "of it the program"},
		}
		r := &report{}
		for i := range s.sizes.coldStarts {
			say("cold start %d", i+1)
			if err := b.StopOperator(); err != nil {
				return nil, err
			}
			settle(ctx, s.sizes.calm)
			floor, err := b.bareStart(ctx)
			if err != nil {
				return nil, err
			}
			settle(ctx, s.sizes.calm)
			began, err := b.coldStart(ctx, len(p.users)*p.secrets)
			if err != nil {
				return nil, err
			}
			t.add(append([]string{fmt.Sprintf("%d: the operator", i+1)}, began.cells()...)...)
			t.add(fmt.Sprintf("%d: floor, a bare informer", i+1), "-", seconds(floor.quiet), "-", "-", "-", seconds(floor.processor), mebibytes(floor.memory.peak), mebibytes(floor.memory.file))
			t.notes = append(t.notes, began.requests.notes(fmt.Sprintf("Start %d", i+1))...)
			r.marks = append(r.marks, began.marks(i+1)...)
		}
		t.notes = append(t.notes, "The floor is a process that does nothing but keep the same UserSecrets in memory, started while the operator is down; it is quiet once it has them. Its processor time and peak memory are of as long after that as the operator's.", "Load average at the end: "+load()+".")
		r.tables = []table{t}
		return r, nil
	})
}

func (s start) cells() []string {
	return []string{
		seconds(s.ready), seconds(s.quiet), fmt.Sprint(s.requests.reads), fmt.Sprint(s.requests.writes), fmt.Sprint(s.requests.apart),
		seconds(s.processor), mebibytes(s.memory.peak), mebibytes(s.memory.file),
	}
}

func (s start) marks(n int) []mark {
	name := fmt.Sprintf("start %d: ", n)
	return []mark{
		{of: name + "until quiet", want: "≤ 3 s", got: seconds(s.quiet), reached: s.quiet <= mostColdTime},
		{of: name + "writes", want: "none", got: fmt.Sprint(s.requests.writes), reached: s.requests.writes == 0},
		{of: name + "peak memory", want: "≤ 100 MiB", got: mebibytes(s.memory.peak), reached: s.memory.peak <= mostColdMemory},
	}
}

func mebibytes(bytes int64) string { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) }

// coldStart starts the operator and returns when it has looked at every
// UserSecret and nothing has happened for a while.
func (b *bed) coldStart(ctx context.Context, secrets int) (start, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	offset, err := size(b.AuditLog())
	if err != nil {
		return start{}, err
	}
	began := time.Now()
	looked := make(chan time.Time, 1)
	go func() { looked <- b.awaitLooked(ctx, secrets) }()
	if err := b.StartOperator(ctx); err != nil {
		return start{}, err
	}
	s := start{ready: time.Since(began)}
	wait := b.profile(ctx, "cold-start", mostColdTime)
	at := <-looked
	if at.IsZero() {
		return start{}, fmt.Errorf("waiting for the operator to look at %d UserSecrets: %w", secrets, ctx.Err())
	}
	if err := s.measure(b.Operator.PID()); err != nil {
		return start{}, err
	}
	wait()
	if s.requests, err = requestsSince(b.AuditLog(), offset); err != nil {
		return start{}, err
	}
	s.quiet = max(at.Sub(began), s.requests.last.Sub(began))
	return s, nil
}

// awaitLooked returns when the operator was first seen to have nothing left to
// do, and still has nothing after quietTime; the zero time where ctx ends first.
func (b *bed) awaitLooked(ctx context.Context, secrets int) time.Time {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	var since time.Time
	for {
		select {
		case <-ctx.Done():
			return time.Time{}
		case <-ticker.C:
		}
		asked := time.Now()
		m, err := scrape(ctx, b.MetricsURL())
		switch {
		case err != nil || m.reconciled < secrets || m.waiting > 0 || m.working > 0:
			since = time.Time{}
		case since.IsZero():
			since = asked
		case time.Since(since) >= quietTime:
			return since
		}
	}
}
