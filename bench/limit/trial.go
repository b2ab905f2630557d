package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"rollcall/bench/internal/measure"
	"rollcall/bench/internal/stand"
	"rollcall/bench/internal/work"
	"rollcall/internal/graph/graphsim"
)

// fleet is how many processes a subject has.
const fleet = 4

// latency is how long the simulator takes for a request.
const latency = 50 * time.Millisecond

// trial is one subject in one scenario.
type trial struct {
	sc     scenario
	sub    subject
	length time.Duration
	only   string // the one tenant whose rows there are, or all

	st     *stand.Stand
	procs  []*stand.Process // those that should be running
	killed []*stand.Process
	begun  time.Time
	limit  measure.Limit // as it was in fact
	log    measure.Log

	// cpu is the processor time of the subject's processes, others that of all
	// that has no part in this.
	cpu, others time.Duration
}

// event is something that happens during a trial.
type event struct {
	at time.Duration
	do func(ctx context.Context) error
}

// run measures. What it starts has ended when it returns.
func (t *trial) run(ctx context.Context, bin string) (err error) {
	if t.st, err = stand.New(ctx, bin); err != nil {
		return err
	}
	defer t.st.Close()
	rows := t.sc.rows(t.length, t.only)
	if err := t.prepare(ctx, rows); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	t.begun = time.Now()
	for _, e := range t.events() {
		if err := t.until(ctx, e.at); err != nil {
			return err
		}
		if err := e.do(ctx); err != nil {
			return err
		}
	}
	if err := t.until(ctx, t.length); err != nil {
		return err
	}
	for _, p := range t.procs {
		if err := p.Running(); err != nil {
			return err
		}
	}
	for len(t.procs) > 0 {
		_ = t.kill(ctx)
	}
	for _, p := range t.killed {
		t.cpu += p.CPU()
	}
	// What is under way now is recorded when it is over.
	time.Sleep(2 * latency)
	records, err := t.st.Sim.Requests(ctx)
	if err != nil {
		return err
	}
	t.st.Close()
	t.others = t.st.Others()
	t.log = measure.Read(records, t.begun, t.length)
	done := t.log.Accepted()
	if t.sc.mixed {
		done = t.log.Changes()
	}
	if done >= len(rows) {
		return errors.New("the work ran out before the end")
	}
	return nil
}

// prepare starts the simulator and hands the work to the subject.
func (t *trial) prepare(ctx context.Context, rows []work.Row) error {
	file := filepath.Join(t.st.Dir, "roster.csv")
	if err := writeRoster(file, rows); err != nil {
		return err
	}
	// Nobody rings for long: that would be another thing to measure.
	args := []string{"--auto-calls", "--latency", latency.String(), "--ring", "0s"}
	if t.sc.mixed {
		args = append(args, "--roster", file)
	}
	if err := t.st.StartSim(ctx, args...); err != nil {
		return err
	}
	return t.sub.prepare(ctx, t.st, rows, file)
}

func writeRoster(path string, rows []work.Row) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(work.WriteCSV(f, rows), f.Close())
}

// events are what happens, in order.
func (t *trial) events() []event {
	var list []event
	if len(t.sc.tenants) > 0 {
		list = append(list, event{0, t.setTenants})
	}
	for _, s := range t.sc.steps {
		list = append(list, event{s.from, func(ctx context.Context) error { return t.setLimit(ctx, s.limit) }})
	}
	for range fleet {
		list = append(list, event{0, t.join})
	}
	if t.sc.join > 0 {
		list = append(list, event{t.sc.join, t.join}, event{t.sc.kill, t.kill})
	}
	slices.SortStableFunc(list, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	return list
}

// setLimit moves the limit, and notes when that was.
func (t *trial) setLimit(ctx context.Context, l graphsim.Limit) error {
	if err := t.st.Sim.Set(ctx, map[string]any{"limit": l}); err != nil {
		return err
	}
	from := time.Since(t.begun)
	if len(t.limit) == 0 {
		from = 0
	}
	t.limit = append(t.limit, measure.Step{From: from, Rate: t.sc.rate(l)})
	return nil
}

func (t *trial) setTenants(ctx context.Context) error {
	set := graphsim.Tenants{}
	for _, n := range t.sc.tenants {
		set[n.name] = graphsim.Tenant{Calls: work.CallPrefix(n.name), Limit: n.limit}
	}
	return t.st.Sim.Set(ctx, map[string]any{"tenants": set})
}

// join starts one more process.
func (t *trial) join(ctx context.Context) error {
	p, err := t.sub.start(ctx, t.st, &t.sc)
	if err != nil {
		return err
	}
	t.procs = append(t.procs, p)
	return nil
}

// kill ends the oldest process as a crash would.
func (t *trial) kill(context.Context) error {
	t.procs[0].Kill()
	t.killed = append(t.killed, t.procs[0])
	t.procs = t.procs[1:]
	return nil
}

// until waits for a time of the trial.
func (t *trial) until(ctx context.Context, at time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(t.begun.Add(at))):
		return nil
	}
}
