package tasks

import (
	"context"
	"sync/atomic"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/roster"
)

// quietSweeps is how many sweeps must see no progress before a batch's tasks
// are looked for; the number doubles each time, up to quietMost.
const (
	quietSweeps = 2
	quietMost   = 40
)

// progress is what the sweeper remembers of a batch.
type progress struct {
	pending int64
	quiet   int // sweeps without progress
	next    int // quiet sweeps before it acts again
	failed  bool
	told    bool // the log says that its deadline is over
	closed  bool // rows of it were given their outcome for that
}

// sweep puts tasks back that are gone while their rows are pending, and closes
// batches that are over. Every worker sweeps: all it does can be done twice.
func (w *Worker) sweep(ctx context.Context) {
	seen := map[string]*progress{}
	for every(ctx, jitter(w.cfg.SweepEvery)) {
		if err := w.sweepOnce(ctx, seen); err != nil && ctx.Err() == nil {
			w.log.Debug("the sweep was cut short", "error", err)
		}
	}
}

func (w *Worker) sweepOnce(ctx context.Context, seen map[string]*progress) error {
	open, err := w.queue.Ledger.Open(ctx)
	if err != nil {
		return err
	}
	now, err := w.cfg.Redis.Time(ctx).Result()
	if err != nil {
		return err
	}
	found := map[string]bool{}
	// A batch that cannot be swept must not keep the others from it.
	for _, st := range open {
		found[st.ID] = true
		p := seen[st.ID]
		if p == nil {
			p = &progress{pending: st.Pending, next: quietSweeps}
			seen[st.ID] = p
		}
		err := w.sweepBatch(ctx, st, p, now)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !p.failed {
			w.log.Warn("a batch could not be swept: its lost tasks stay lost until that works", "batch", st.ID, "error", err)
		}
		p.failed = err != nil
	}
	for id := range seen {
		if !found[id] {
			delete(seen, id)
		}
	}
	return nil
}

func (w *Worker) sweepBatch(ctx context.Context, st ledger.Status, p *progress, now time.Time) error {
	// Rows whose participants are being rung stay pending beyond the end.
	over := true
	var err error
	var closed atomic.Bool
	tell := func(a roster.Action, o ledger.Outcome) {
		closed.Store(true)
		w.metrics.changes(a, o)
	}
	switch {
	case now.After(st.Deadline):
		if !p.told {
			w.log.Info("the deadline of a batch is over: what is pending expires", "batch", st.ID, "pending", st.Pending)
		}
		err = w.queue.close(ctx, st.Batch, expiredRow, tell)
	case st.State == ledger.Stopped:
		err = w.queue.close(ctx, st.Batch, cancelledRow, tell)
	default:
		over = false
	}
	if closed.Load() && !p.closed {
		p.closed = true
		action := sweptExpired
		if st.State == ledger.Stopped {
			action = sweptCancelled
		}
		w.metrics.swept(action, 1)
	}
	if err != nil {
		return err
	}
	if st.Pending != p.pending {
		*p = progress{pending: st.Pending, next: quietSweeps, failed: p.failed, told: over, closed: p.closed && over}
		return nil
	}
	p.told = over
	p.quiet++
	if p.quiet < p.next || !st.Sealed && !over {
		return nil
	}
	p.next = min(2*p.next, quietMost)
	p.quiet = 0
	w.log.Debug("no progress: looking for lost tasks", "batch", st.ID, "pending", st.Pending)
	w.metrics.swept(sweptRequeued, 1)
	back, err := w.queue.Requeue(ctx, st.Batch)
	if back > 0 {
		w.metrics.swept(sweptEnqueued, back)
		w.log.Info("lost tasks of a batch were put back into the queue", "batch", st.ID, "tasks", back)
	}
	return err
}
