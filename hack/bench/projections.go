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
		results, err := b.race(ctx, p, s.sizes.projections)
		if err != nil {
			return nil, err
		}
		return results.report("a", p.shape), nil
	})
}

// runShape is a part of section (b): one UserSecret a user, a hundred, and one
// that all pods use.
func runShape(of func(sizes) shape) func(context.Context, *settings) (*report, error) {
	return func(ctx context.Context, s *settings) (*report, error) {
		return onBed(ctx, s, func(b *bed) (*report, error) {
			p, err := b.prepare(ctx, of(s.sizes))
			if err != nil {
				return nil, err
			}
			results, err := b.race(ctx, p, s.sizes.shapes)
			if err != nil {
				return nil, err
			}
			return results.report("b", p.shape), nil
		})
	}
}

func oneEach(s sizes) shape     { return shape{name: "one", users: s.users, secrets: 1} }
func hundredEach(s sizes) shape { return shape{name: "hundred", users: s.users, secrets: 100} }
func hot(sizes) shape           { return shape{name: "hot", users: 1, secrets: 1} }

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
	of         race
	load       string
	contenders []contender
	paced      []outcome
	bursts     [][]outcome // by contender, then round
}

// race gives every contender its turns: one at a steady rate, and bursts in
// rounds, each round beginning with another, so that a drift of the machine
// meets all alike. A small turn of each comes first and is not counted.
func (b *bed) race(ctx context.Context, p *population, of race) (*results, error) {
	calm := b.settings.sizes.calm
	all := b.contenders()
	r := &results{of: of, contenders: all, paced: make([]outcome, len(all)), bursts: make([][]outcome, len(all))}
	for i := range all {
		n, run := atOnce(min(creators, of.burst))
		if _, err := b.take(ctx, all[i], p, n, run); err != nil {
			return nil, err
		}
	}
	for i := range all {
		say("%s: %s, %d pods a second for %s", p.shape, all[i].name, of.rate, of.paced)
		settle(ctx, calm)
		n, run := paced(of.rate, of.paced)
		var err error
		if r.paced[i], err = b.take(ctx, all[i], p, n, run); err != nil {
			return nil, err
		}
	}
	for round := range of.rounds {
		for turn := range all {
			i := (turn + round) % len(all)
			say("%s: %s, a burst of %d pods", p.shape, all[i].name, of.burst)
			settle(ctx, calm)
			won, err := b.burst(ctx, all[i], p, of.burst)
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

func (b *bed) burst(ctx context.Context, c contender, p *population, pods int) (outcome, error) {
	n, run := atOnce(pods)
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

func (r *results) report(section string, s shape) *report {
	title := fmt.Sprintf("(%s) A pod created → its projection visible, %s", section, s)
	return &report{tables: r.tables(title), marks: r.marks(s)}
}

func (r *results) tables(title string) []table {
	steady := table{
		title:   fmt.Sprintf("%s: %d a second for %s", title, r.of.rate, r.of.paced),
		columns: []string{"who", "p50", "p95", "p99", "operator's p50 to this"},
		notes:   []string{"Load average at the end: " + r.load + "."},
	}
	burst := table{
		title:   fmt.Sprintf("%s: a burst of %d", title, r.of.burst),
		columns: []string{"who", "Secrets a second", "operator's rate to this", "p50", "p95", "p99", "API server a Secret", "all a Secret"},
		notes:   []string{fmt.Sprintf("Rates are the median of %d bursts, all else is of all. The last two columns are processor time: of the API server, and of everything, the creation of pods included.", r.of.rounds)},
	}
	for i, c := range r.contenders {
		l := r.paced[i].latencies
		steady.add(append(append([]string{c.name}, l.cells()...), ratio(float64(r.paced[operator].latencies.at(50)), float64(l.at(50))))...)
		burst.add(append([]string{c.name, fmt.Sprintf("%.0f", r.rate(i)), ratio(r.rate(operator), r.rate(i))}, append(r.burstLatencies(i).cells(), r.processorCells(i)...)...)...)
	}
	for round, o := range r.bursts[operator] {
		burst.notes = append(burst.notes, o.asked.notes(fmt.Sprintf("The operator's requests in its burst %d", round+1))...)
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
