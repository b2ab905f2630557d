package tasks

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/graph"
	"rollcall/internal/ledger"
	"rollcall/internal/ratelimit"
	"rollcall/internal/roster"
)

// comeBack is the error with which a task asks to be run again.
type comeBack struct {
	after time.Duration
}

func (e *comeBack) Error() string { return fmt.Sprintf("come back in %s", e.after) }

const (
	busyWait  = time.Second      // until a participant that is worked on is looked at again
	holdWait  = 10 * time.Second // until a row is looked at again that could not be sent
	redisWait = 2 * time.Second  // until a task is run again that could not reach Redis
	// waitHere is the longest pause that a task waits out in place. A longer
	// one goes through the queue, so that other tenants' tasks run meanwhile.
	waitHere = 2 * time.Second
)

// ProcessTask is asynq's handler. The context that asynq gives is not used: it
// ends when asynq believes the task lost, which is not when its rows are.
func (w *Worker) ProcessTask(_ context.Context, at *asynq.Task) error {
	t, err := readTask(at)
	if err != nil {
		// Its rows are still pending in the ledger, and the sweeper writes them
		// a task that can be read.
		w.log.Error("a task was dropped", "error", err)
		return nil
	}
	if t.tenant == "" {
		t.tenant = w.cfg.Tenant
	}
	err = w.run(t)
	var back *comeBack
	var paused *ratelimit.PausedError
	switch {
	case err == nil, errors.As(err, &back):
		return err
	case errors.Is(err, ledger.ErrNoBatch):
		w.log.Warn("a task was dropped: the ledger does not know its batch; enqueue the file again", "batch", t.batch.ID)
		return nil
	case errors.As(err, &paused):
		return &comeBack{after: paused.Left}
	case w.quit.Err() != nil:
		return &comeBack{}
	}
	w.log.Debug("a task comes back", "batch", t.batch.ID, "error", err)
	return &comeBack{after: redisWait}
}

// run does what can be done about the task's rows now.
func (w *Worker) run(t *task) error {
	scope := w.scope(t.tenant)
	// Waiting comes before claiming, so that nobody is held while nothing is sent.
	err := w.limiter.Wait(w.quit, scope, waitHere)
	w.notePause(scope, err)
	if err != nil {
		return err
	}
	slotAt := time.Now()
	ctx, turn, err := w.queue.Ledger.Begin(w.hard, t.batch, t.rows[0].CallKey(), refs(t.rows))
	if err != nil {
		return err
	}
	// Deferred, so that not even a panic leaves claims that are renewed for ever.
	defer func() {
		if err := turn.End(context.WithoutCancel(w.hard)); err != nil {
			w.log.Debug("claims were not given up and will run out", "batch", t.batch.ID, "error", err)
		}
	}()
	for _, s := range turn.Skipped {
		w.metrics.changes(t.action, s.Row.Outcome)
	}
	r := &round{w: w, task: t, turn: turn, visit: visit{graph: w.graph, tenant: t.tenant, call: t.rows[0].CallID}}
	r.rows(withSlot(ctx, slotAt))
	if r.open {
		return &comeBack{after: r.back}
	}
	return nil
}

// round is one run of a task.
type round struct {
	w     *Worker
	task  *task
	turn  *ledger.Turn
	visit visit
	open  bool          // some row has no outcome yet
	back  time.Duration // when the first of those is due
	halt  *time.Duration
	ended *ledger.Row // the call's end, once a row has found it
}

func (r *round) later(after time.Duration) {
	if !r.open || after < r.back {
		r.back = max(after, 0)
	}
	r.open = true
}

// rows takes the rows in their order. A throttle, a lost claim or the worker's
// end leaves the rest for later.
func (r *round) rows(ctx context.Context) {
	for i, c := range r.task.rows {
		switch r.turn.Standings[i] {
		case ledger.Settled:
			continue
		case ledger.Busy:
			r.later(busyWait)
			continue
		case ledger.Later:
			r.later(r.turn.Rows[i].At.Sub(r.turn.Now()))
			continue
		case ledger.Ready:
		}
		switch {
		case r.halt != nil:
			r.later(*r.halt)
		case r.w.quit.Err() != nil, ctx.Err() != nil, r.turn.Overdue():
			r.later(0)
		default:
			r.row(ctx, c, r.turn.Rows[i])
		}
	}
}

// row sends one row's request and records what came of it.
func (r *round) row(ctx context.Context, c roster.Change, known ledger.Row) {
	if r.ended != nil {
		row := *r.ended
		row.Attempts = known.Attempts
		r.record(c, row)
		return
	}
	attempt := known.Attempts + 1
	row, err := r.visit.perform(ctx, c, fmt.Sprintf("rollcall %s %d %s", r.task.batch.ID, c.Row, rand.Text()))
	row.Attempts = attempt
	if err == nil {
		r.w.tokenTrouble(nil)
		r.record(c, row)
		return
	}
	if e, ok := errors.AsType[*graph.Error](err); ctx.Err() != nil && (!ok || e.Status == 0) {
		// It was this worker that hung up, as it lost its claim or ends: the row
		// pays nothing for that.
		r.later(0)
		return
	}
	what := judge(c.Action, err)
	switch what.next {
	case throttle:
		r.throttled(err)
		return
	case hold:
		r.w.tokenTrouble(err)
		if graph.KindOf(err) == graph.NoToken {
			wait := holdWait
			r.halt = &wait // the rest would wait for a token as long, in vain
		}
		r.w.log.Debug("a row was not sent", "batch", r.task.batch.ID, "row", c.Row, "error", err)
		if r.w.quit.Err() != nil {
			r.later(0)
			return
		}
		r.later(holdWait)
		return
	case settle:
		row.Outcome = what.outcome
		evidence(&row, what.hint, err)
		if row.Outcome == ledger.CallEnded {
			r.ended = &row
		}
	case again:
		evidence(&row, what.hint, err)
		if attempt >= r.w.cfg.MaxAttempts {
			row.Outcome = ledger.Exhausted
			row.Detail = fmt.Sprintf("%d attempts: %s", attempt, row.Detail)
			break
		}
		wait := max(backoff(attempt), retryAfter(err))
		row.At = r.turn.Now().Add(wait)
		r.later(wait)
	}
	r.record(c, row)
}

// throttled leaves the rest of the task until the pause is over. The scope was
// paused when the answer came.
func (r *round) throttled(err error) {
	wait := max(retryAfter(err), time.Second)
	if p, ok := errors.AsType[*ratelimit.PausedError](err); ok {
		wait = p.Left
	}
	r.halt = &wait
	r.later(wait)
}

// retryAfter is how long Graph asked to wait with an error, at most the limiter's
// longest pause.
func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*graph.Error](err); ok && e.HasRetryAfter {
		return min(e.RetryAfter, ratelimit.MaxPause)
	}
	return 0
}

// tokenTrouble says once that there is no token, and once that there is again:
// rows wait for it without losing attempts.
func (w *Worker) tokenTrouble(err error) {
	bad := graph.KindOf(err) == graph.NoToken
	if err != nil && !bad {
		return
	}
	switch was := w.noToken.Swap(bad); {
	case bad && !was:
		w.log.Error("no token for Graph: rows wait until there is one", "error", err)
	case was && !bad:
		w.log.Info("there is a token for Graph again")
	}
}

// writeTrouble says once that outcomes cannot be written, and once that they can
// again. A Redis that is full still answers, but takes nothing.
func (w *Worker) writeTrouble(err error) {
	switch was := w.stuck.Swap(err != nil); {
	case err != nil && !was:
		w.log.Error("outcomes cannot be written: they wait for Redis", "error", err)
	case was && err == nil:
		w.log.Info("outcomes are written again")
	}
}

// record writes the row's state, and tries until it is written: what has been
// done at Graph must not be forgotten because Redis was away.
func (r *round) record(c roster.Change, row ledger.Row) {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		written, err := r.turn.Record(r.w.hard, c.Row, row)
		if r.w.hard.Err() == nil && !errors.Is(err, ledger.ErrNoBatch) {
			r.w.writeTrouble(err)
		}
		switch {
		case err == nil:
			if written && row.Outcome != ledger.Pending {
				r.w.metrics.changes(c.Action, row.Outcome)
			}
			r.w.log.Debug("row", "batch", r.task.batch.ID, "row", c.Row, "outcome", row.Outcome.String(),
				"status", row.Status, "request_id", row.RequestID, "attempts", row.Attempts)
			return
		case errors.Is(err, ledger.ErrNoBatch):
			r.w.log.Warn("an outcome has nowhere to go: the ledger lost its batch", "batch", r.task.batch.ID, "row", c.Row, "outcome", row.Outcome.String())
			return
		}
		select {
		case <-r.w.hard.Done():
			r.later(0)
			return
		case <-time.After(wait):
		}
	}
}
