package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// runProjections is section (a): one shape, at a steady rate and in bursts.
func runProjections(ctx context.Context, s *settings) (*report, error) {
	return onBed(ctx, s, func(b *bed) (*report, error) {
		p, err := b.prepare(ctx, shape{name: "ten", users: s.sizes.users, secrets: 10})
		if err != nil {
			return nil, err
		}
		results, err := b.race(ctx, p)
		if err != nil {
			return nil, err
		}
		r := &report{tables: results.tables("(a) A pod created → its projection visible", s)}
		r.marks = results.marks(p.shape)
		return r, nil
	})
}

// runShapes is section (b): few and many UserSecrets, and one that all pods use.
func runShapes(ctx context.Context, s *settings) (*report, error) {
	shapes := []shape{
		{name: "one", users: s.sizes.users, secrets: 1},
		{name: "hundred", users: s.sizes.users, secrets: 100},
		{name: "hot", users: 1, secrets: 1},
	}
	return onBed(ctx, s, func(b *bed) (*report, error) {
		r := &report{}
		for _, shape := range shapes {
			p, err := b.prepare(ctx, shape)
			if err != nil {
				return nil, err
			}
			results, err := b.race(ctx, p)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", shape, err)
			}
			r.tables = append(r.tables, results.tables("(b) "+shape.String(), s)...)
			r.marks = append(r.marks, results.marks(shape)...)
		}
		return r, nil
	})
}

// onBed runs a section on a bed of its own.
func onBed(ctx context.Context, s *settings, measure func(*bed) (*report, error)) (_ *report, err error) {
	b, err := startBed(ctx, s)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && b.Operator != nil {
			err = fmt.Errorf("%w\nThe end of the operator's log:\n%s", err, tail(b.Operator.Log()))
		}
		err = errors.Join(err, b.Stop())
	}()
	return measure(b)
}

// tail is the last part of a text.
func tail(text string) string {
	const most = 4000
	return text[max(0, len(text)-most):]
}

// prepare makes a population, and the floors' records of it.
func (b *bed) prepare(ctx context.Context, s shape) (*population, error) {
	p, err := b.populate(ctx, s)
	if err != nil {
		return nil, err
	}
	return p, b.recordsFor(ctx, p)
}

// results are those of all contenders on one population, in the order of turns.
type results struct {
	load       string
	contenders []contender
	paced      []outcome
	bursts     [][]outcome // by contender, then round
}

// race gives every contender its turns: one at a steady rate, and bursts in
// rounds, each round beginning with another, so that a drift of the machine
// meets all alike. A small turn of each comes first and is not counted.
func (b *bed) race(ctx context.Context, p *population) (*results, error) {
	size := b.settings.sizes
	all := b.contenders()
	r := &results{contenders: all, paced: make([]outcome, len(all)), bursts: make([][]outcome, len(all))}
	for i := range all {
		n, run := atOnce(min(creators, size.burst))
		if _, err := b.take(ctx, all[i], p, n, run); err != nil {
			return nil, err
		}
	}
	for i := range all {
		say("%s: %s, %d pods a second for %s", p.shape, all[i].name, size.rate, size.paced)
		settle(ctx, size.calm)
		n, run := paced(size.rate, size.paced)
		var err error
		if r.paced[i], err = b.take(ctx, all[i], p, n, run); err != nil {
			return nil, err
		}
	}
	for round := range size.rounds {
		for turn := range all {
			i := (turn + round) % len(all)
			say("%s: %s, a burst of %d pods", p.shape, all[i].name, size.burst)
			settle(ctx, size.calm)
			won, err := b.burst(ctx, all[i], p)
			if err != nil {
				return nil, err
			}
			say("%.0f Secrets a second; processor time: %s", won.rate, won.spent)
			r.bursts[i] = append(r.bursts[i], won)
		}
	}
	r.load = load()
	return r, nil
}

func (b *bed) burst(ctx context.Context, c contender, p *population) (outcome, error) {
	n, run := atOnce(b.settings.sizes.burst)
	if c.name == theOperator().name {
		defer b.profile(ctx, "burst-"+p.name, 10*time.Second)()
	}
	return b.take(ctx, c, p, n, run)
}

// rate is the median of a contender's bursts.
func (r *results) rate(contender int) float64 {
	var rates []float64
	for _, o := range r.bursts[contender] {
		rates = append(rates, o.rate)
	}
	return median(rates)
}

// burstLatencies are those of all of a contender's bursts.
func (r *results) burstLatencies(contender int) latencies {
	var all latencies
	for _, o := range r.bursts[contender] {
		all = append(all, o.latencies...)
	}
	return all
}

// processorCells are the processor time of a Secret in bursts: the API server's
// and everybody's.
func (r *results) processorCells(contender int) []string {
	var server, all time.Duration
	secrets := 0
	for _, o := range r.bursts[contender] {
		server += o.spent["kube-apiserver"]
		all += o.spent.total()
		secrets += len(o.latencies)
	}
	return []string{milliseconds(server / time.Duration(secrets)), milliseconds(all / time.Duration(secrets))}
}

func (r *results) tables(title string, s *settings) []table {
	steady := table{
		title:   fmt.Sprintf("%s: %d a second for %s", title, s.sizes.rate, s.sizes.paced),
		columns: []string{"who", "p50", "p95", "p99", "p50 by the operator's"},
		notes:   []string{"Load average at the end: " + r.load + "."},
	}
	burst := table{
		title:   fmt.Sprintf("%s: a burst of %d", title, s.sizes.burst),
		columns: []string{"who", "Secrets a second", "the operator's share", "p50", "p95", "p99", "API server a Secret", "all a Secret"},
		notes:   []string{fmt.Sprintf("Rates are the median of %d bursts, all else is of all. The last two columns are processor time: of the API server, and of everything, the creation of pods included.", s.sizes.rounds)},
	}
	for i, c := range r.contenders {
		l := r.paced[i].latencies
		steady.add(append(append([]string{c.name}, l.cells()...), ratio(float64(l.at(50)), float64(r.paced[0].latencies.at(50))))...)
		burst.add(append([]string{c.name, fmt.Sprintf("%.0f", r.rate(i)), ratio(r.rate(0), r.rate(i))}, append(r.burstLatencies(i).cells(), r.processorCells(i)...)...)...)
	}
	return []table{steady, burst}
}

// Positions in bed.contenders.
const (
	operator = iota
	bare
	single
	grouped
)

func (r *results) marks(s shape) []mark {
	ours, floor := r.paced[operator].latencies, r.paced[bare].latencies
	times := func(name string, with int, least float64) mark {
		return mark{
			of: fmt.Sprintf("%s: burst rate to that of the %s", s, name), want: fmt.Sprintf("≥ %.1f ×", least),
			got: ratio(r.rate(operator), r.rate(with)), reached: r.rate(operator) >= least*r.rate(with),
		}
	}
	return []mark{
		times("honest floor, a write a pod", single, 0.9),
		times("honest floor, in groups", grouped, 0.9),
		times("bare floor", bare, 0.4),
		{
			of: s.String() + ": p50 to that of the bare floor", want: "≤ 2.0 ×",
			got: ratio(float64(ours.at(50)), float64(floor.at(50))), reached: ours.at(50) <= 2*floor.at(50),
		},
		{
			of: s.String() + ": p99 at a steady rate", want: "< 100 ms",
			got: milliseconds(ours.at(99)), reached: ours.at(99) < 100*time.Millisecond,
		},
	}
}
