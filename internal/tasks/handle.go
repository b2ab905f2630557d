package tasks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/graph"
	"rollcall/internal/ledger"
	"rollcall/internal/ratelimit"
	"rollcall/internal/roster"
)

// comeBack is the error with which a task asks to be run again.
type comeBack struct {
	after   time.Duration
	ringing bool // somebody is being rung: it must not wait behind other tasks
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

// ProcessTask is asynq's handler. The context that asynq gives ends when asynq
// believes the task lost, which is not when its rows are: it is not used to work.
func (w *Worker) ProcessTask(ctx context.Context, at *asynq.Task) (err error) {
	queue, _ := asynq.GetQueueName(ctx)
	id, _ := asynq.GetTaskID(ctx)
	t, err := readTask(at)
	if err != nil {
		// Its rows are still pending in the ledger, and the sweeper writes them
		// a task that can be read.
		w.log.Error("a task was dropped", "task", id, "error", err)
		return nil
	}
	t.id = id
	if t.tenant == "" {
		t.tenant = w.cfg.Tenant
	}
	looking := queue == lookQueue
	e := &errand{batch: t.batch.ID, task: id, span: w.startSpan(t)}
	var back *comeBack
	// Deferred, as a handler may panic.
	defer func() { endSpan(e.span, back != nil || err != nil) }()
	err = w.run(withErrand(w.hard, e), t, looking)
	if ctx.Err() != nil {
		w.giveBack(queue, id)
		return err
	}
	wait, away := sentAway(err)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &back):
		if back.ringing && !looking && w.queue.lookLater(w.hard, at, id, back.after) == nil {
			return nil
		}
		return err
	case errors.Is(err, ledger.ErrNoBatch):
		w.unknown(t.batch)
		return nil
	case away:
		if _, crowded := errors.AsType[*ratelimit.CrowdedError](err); crowded && !looking { // who looks must not stand behind all others
			w.backlog.add(w.scope(t.tenant), awayTask{queue: queue, id: id})
			wait = max(wait, jitter(backlogAway))
		}
		return &comeBack{after: wait}
	case w.quit.Err() != nil:
		return &comeBack{}
	}
	w.log.Debug("a task comes back", "batch", t.batch.ID, "task", id, "error", err)
	return &comeBack{after: redisWait}
}

// run does what can be done about the task's rows now. looking says that the
// task has probably nothing to send. ctx ends when all is to be dropped.
func (w *Worker) run(ctx context.Context, t *task, looking bool) error {
	w.hands.busy.Add(1)
	defer w.hands.busy.Add(-1)
	slot, err := w.enter(ctx, t, looking)
	if err != nil {
		return err
	}
	if slot != nil {
		defer slot.Release()
		ctx = withSlot(ctx, slot)
	}
	ctx, turn, err := w.begin(ctx, t)
	if err != nil {
		return err
	}
	// Deferred, so that not even a panic leaves claims that are renewed for ever.
	defer func() {
		end := turn.End
		if w.hard.Err() != nil { // requests were cut off, and Graph may go on with them
			end = turn.Leave
		}
		if err := end(context.WithoutCancel(w.hard)); err != nil {
			w.log.Debug("claims were not given up and will run out", "batch", t.batch.ID, "task", t.id, "error", err)
		}
	}()
	for _, s := range turn.Skipped {
		w.metrics.changes(t.action, s.Row.Outcome)
	}
	ctx, stop := w.withWait(ctx)
	defer stop()
	r := &round{w: w, task: t, turn: turn, call: t.rows[0].CallID}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows(ctx)
	if r.open {
		return &comeBack{after: r.back, ringing: r.ringing}
	}
	return nil
}

// enter waits until the task may begin, and returns its first slot unless it
// needs none: waiting comes before claiming, so that nobody is held while nothing
// is sent, and before reading, so that nothing is read for a task that is sent
// away.
func (w *Worker) enter(ctx context.Context, t *task, looking bool) (slot *ratelimit.Slot, err error) {
	call := t.rows[0].CallID
	var snap *snapshot
	if t.reads() {
		snap = w.snapshots.have(t.tenant, call)
	}
	if !looking && t.sends(snap) {
		if slot, err = w.limiter.Begin(w.quit, w.scope(t.tenant), waitHere); err != nil {
			return nil, err
		}
		w.backlog.call(w.scope(t.tenant))
	}
	if !t.reads() {
		return slot, nil
	}
	if snap == nil && slot != nil {
		slot.Release() // it would be over when the roster is there
	}
	// Its error is met again when the roster is used, unless it is gone then.
	snap, err = w.snapshots.get(ctx, t.tenant, call, time.Time{})
	_, away := sentAway(err)
	if slot != nil && (away || !t.sends(snap)) {
		slot.Release()
	}
	if away {
		return nil, err
	}
	return slot, nil
}

// begin begins the task's rows. Whoever only looks holds participants for
// moments: a task that finds all its rows busy waits that long before it comes
// back through the queue, whose clock ticks for both alike.
func (w *Worker) begin(ctx context.Context, t *task) (context.Context, *ledger.Turn, error) {
	for tries := 0; ; tries++ {
		tctx, turn, err := w.queue.Ledger.Begin(ctx, t.batch, t.rows[0].CallKey(), refs(t.rows))
		if err != nil || tries == 2 || slices.ContainsFunc(turn.Standings, func(s ledger.Standing) bool { return s != ledger.Busy }) {
			return tctx, turn, err
		}
		if err := turn.End(ctx); err != nil || !every(w.quit, jitter(100*time.Millisecond)) {
			return tctx, turn, err
		}
	}
}

// round is one run of a task. Rows are named by their index in the task.
type round struct {
	mu      sync.Mutex // held by whoever works on it: see spread
	w       *Worker
	task    *task
	turn    *ledger.Turn
	call    string
	open    bool          // some row has no outcome yet
	ringing bool          // so has one whose participant is being rung
	back    time.Duration // when the first of those is due
	halt    *time.Duration
	ended   *ledger.Row // the call's end, once a row has found it
	lookAt  time.Time   // when invitations were looked at, on Redis' clock
}

// later leaves rows for another round.
func (r *round) later(after time.Duration, rows ...int) {
	for _, i := range rows {
		if !r.open || after < r.back {
			r.back = max(after, 0)
		}
		r.open = true
		r.ringing = r.ringing || !r.turn.Rows[i].Intent.At.IsZero()
	}
}

// rows does what can be done for each row. A throttle, a lost claim or the
// worker's end leaves the rest for later.
func (r *round) rows(ctx context.Context) {
	var due []int
	for i, standing := range r.turn.Standings {
		switch standing {
		case ledger.Settled:
		case ledger.Busy:
			r.later(busyWait, i)
		case ledger.Later:
			r.later(r.turn.Rows[i].At.Sub(r.turn.Now()), i)
		case ledger.Ready:
			due = append(due, i)
		}
	}
	if r.task.action == roster.Invite {
		r.invites(ctx, due)
		return
	}
	r.spread(len(due), func(n int) {
		if i := due[n]; !r.stopped(ctx, i) {
			r.remove(ctx, i)
		}
	})
}

// stopped tells whether nothing is to be done for rows in this round any more,
// and leaves them for later or gives them the outcome that the call's end is.
func (r *round) stopped(ctx context.Context, rows ...int) bool {
	switch {
	case r.ended != nil:
		r.callEnded(rows...)
	case r.halt != nil:
		r.later(*r.halt, rows...)
	case r.w.quit.Err() != nil, ctx.Err() != nil:
		r.later(0, rows...)
	default:
		return false
	}
	return true
}

func (r *round) callEnded(rows ...int) {
	var all []ledger.Settlement
	for _, i := range rows {
		row := *r.ended
		row.Attempts = r.turn.Rows[i].Attempts
		all = append(all, r.state(i, row))
	}
	r.record(all...)
}

// state is row i's new state.
func (r *round) state(i int, row ledger.Row) ledger.Settlement {
	return ledger.Settlement{N: r.task.rows[i].Row, Row: row}
}

// snapshot gives the roster of the call as it was at since, by Redis' clock, or
// later.
func (r *round) snapshot(ctx context.Context, since time.Time) (snap *snapshot, err error) {
	r.outside(func() { snap, err = r.w.snapshots.get(ctx, r.task.tenant, r.call, r.turn.Local(since)) })
	return snap, err
}

// fresh is since when a roster must be to say something about rows: a change that
// is newer, or that was asked for later, is not on it.
func (r *round) fresh(rows ...int) time.Time {
	since := r.turn.Created()
	for _, i := range rows {
		if at := r.turn.Changed[i]; at.After(since) {
			since = at
		}
	}
	return since
}

// trouble deals with an error that stands in the way of all that is asked of
// the call now: a pause, a missing token, the end of the claims or of the
// worker. It tells whether it was one.
func (r *round) trouble(ctx context.Context, err error, rows ...int) bool {
	if e, ok := errors.AsType[*graph.Error](err); ctx.Err() != nil && (!ok || e.Status == 0) {
		// It was this worker that hung up: the rows pay nothing for that.
		r.later(0, rows...)
		return true
	}
	switch judge(r.task.action, err).next {
	case throttle:
		r.throttled(err)
	case hold:
		r.held(err)
	default:
		return false
	}
	return r.stopped(ctx, rows...)
}

// unreadable is trouble for an error of reading about the call, which can also
// say that the call has ended.
func (r *round) unreadable(ctx context.Context, err error, rows ...int) bool {
	if graph.KindOf(err) == graph.CallNotFound {
		row := ledger.Row{Outcome: ledger.CallEnded}
		evidence(&row, hintCall, err)
		r.ended = &row
		return r.stopped(ctx, rows...)
	}
	return r.trouble(ctx, err, rows...)
}

// throttled leaves the rest of the task until the pause is over. The scope was
// paused when the answer came.
func (r *round) throttled(err error) {
	wait, away := sentAway(err)
	if !away {
		wait = max(retryAfter(err), time.Second)
	}
	r.halt = &wait
}

// held leaves the rest of the task until what kept a request from being sent
// may be over.
func (r *round) held(err error) {
	r.w.tokenTrouble(r.task.tenant, err)
	r.w.log.Debug("nothing was sent", "batch", r.task.batch.ID, "task", r.task.id, "error", err)
	wait := holdWait
	if r.w.quit.Err() != nil {
		wait = 0
	}
	r.halt = &wait
}

// again is the state of a row whose request did not succeed and was surely not
// applied, or may be repeated: pending, or exhausted.
func (r *round) again(i int, hint string, err error) ledger.Settlement {
	row := ledger.Row{Attempts: r.turn.Rows[i].Attempts + 1, Intent: r.turn.Rows[i].Intent}
	evidence(&row, hint, err)
	if row.Attempts >= r.w.cfg.MaxAttempts {
		row.Outcome = ledger.Exhausted
		row.Detail = fmt.Sprintf("%d attempts: %s", row.Attempts, row.Detail)
		return r.state(i, row)
	}
	row.At = r.turn.Now().Add(max(backoff(row.Attempts), retryAfter(err)))
	return r.state(i, row)
}

// retryAfter is how long Graph asked to wait with an error, at most the limiter's
// longest pause.
func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*graph.Error](err); ok && e.HasRetryAfter {
		return min(e.RetryAfter, ratelimit.MaxPause)
	}
	return 0
}

// record writes rows' states and leaves those for later that stay pending. It
// tells which were written; nil says that it is not known.
func (r *round) record(rows ...ledger.Settlement) []bool {
	written := r.write(rows...)
	for n, s := range rows {
		switch {
		case s.Row.Outcome == ledger.Pending:
			i := r.index(s)
			r.later(r.turn.Rows[i].At.Sub(r.turn.Now()), i)
		case len(written) > n && written[n]:
			r.w.metrics.changes(r.task.action, s.Row.Outcome)
		}
	}
	return written
}

// write writes rows' states, and tries until they are written: what has been done
// at Graph must not be forgotten because Redis was away.
func (r *round) write(rows ...ledger.Settlement) []bool {
	if len(rows) == 0 {
		return nil
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		written, err := r.turn.Record(r.w.hard, rows...)
		switch {
		case errors.Is(err, ledger.ErrNoBatch):
			r.w.writeTrouble(nil) // Redis takes writes; there is nothing to write to
		case r.w.hard.Err() == nil:
			r.w.writeTrouble(err)
		}
		switch {
		case err == nil:
			for n, s := range rows {
				r.w.log.Debug("row", "batch", r.task.batch.ID, "task", r.task.id, "row", s.N, "written", written[n], "outcome", s.Row.Outcome.String(),
					"status", s.Row.Status, "request_id", s.Row.RequestID, "attempts", s.Row.Attempts)
			}
			return written
		case errors.Is(err, ledger.ErrNoBatch):
			r.w.unknown(r.task.batch)
			return nil
		}
		if !every(r.w.hard, wait) {
			r.open, r.back = true, 0
			return nil
		}
	}
}

// index finds a state's row in the task.
func (r *round) index(s ledger.Settlement) int {
	for i, c := range r.task.rows {
		if c.Row == s.N {
			return i
		}
	}
	panic("a row of another task")
}
