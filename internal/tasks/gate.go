package tasks

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"rollcall/internal/graph"
	"rollcall/internal/ratelimit"
)

// gateError is why a request was stopped before it was sent, other than a pause.
type gateError struct {
	err error
}

func (e *gateError) Error() string { return e.err.Error() }
func (e *gateError) Unwrap() error { return e.err }

type slotKey struct{}

// slot is one that was waited for before the participants were claimed.
type slot struct {
	at   time.Time
	kept atomic.Bool
	used atomic.Bool
}

// slotLife is how long a slot that was waited for can be used. After that, the
// fleet's later slots are under way, and a burst would come of it.
const slotLife = 50 * time.Millisecond

// keptLife is how long a slot can be used whose holder has written an intent: to
// let an invitation wait in line again that seems to be sent would be worse than
// to send it late.
const keptLife = 250 * time.Millisecond

// slot returns a context with a slot, which the next request uses up, and waits
// for one unless ctx has it already.
func (w *Worker) slot(ctx context.Context, tenant string) (context.Context, error) {
	if s, ok := ctx.Value(slotKey{}).(*slot); ok && s.live() {
		return ctx, nil
	}
	if err := w.wait(ctx, tenant, w.limiter.Wait); err != nil {
		return nil, err
	}
	return withSlot(ctx, time.Now()), nil
}

func (s *slot) live() bool {
	life := slotLife
	if s.kept.Load() {
		life = keptLife
	}
	return !s.used.Load() && time.Since(s.at) < life
}

// keepSlot makes the context's slot last for the request that an intent has been
// written for.
func keepSlot(ctx context.Context) {
	if s, ok := ctx.Value(slotKey{}).(*slot); ok {
		s.kept.Store(true)
	}
}

// withSlot returns a context with a slot that has been waited for just now: the
// first request uses it up.
func withSlot(ctx context.Context, at time.Time) context.Context {
	return context.WithValue(ctx, slotKey{}, &slot{at: at})
}

// before stands in front of every request to Graph.
func (w *Worker) before(ctx context.Context, tenant string) error {
	if s, ok := ctx.Value(slotKey{}).(*slot); ok && s.live() && s.used.CompareAndSwap(false, true) {
		// The slot is there, but a pause may have begun since.
		return w.wait(ctx, tenant, func(ctx context.Context, scope string, _ time.Duration) error {
			return w.limiter.Check(ctx, scope)
		})
	}
	return w.wait(ctx, tenant, w.limiter.Wait)
}

// wait asks the limiter. A pause is not waited out here, and no wait outlives
// the worker's end: participants are claimed.
func (w *Worker) wait(ctx context.Context, tenant string, ask func(context.Context, string, time.Duration) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.quit, cancel)()
	scope := w.scope(tenant)
	err := ask(ctx, scope, 0)
	w.notePause(scope, err)
	if err != nil {
		return &gateError{err}
	}
	return nil
}

// notePause remembers a pause that this worker has been told of.
func (w *Worker) notePause(scope string, err error) {
	if p, ok := errors.AsType[*ratelimit.PausedError](err); ok {
		w.pauses.note(scope, p.Left)
	}
}

// after sees the answer to every request to Graph.
func (w *Worker) after(r graph.Result) {
	w.metrics.request(r)
	if r.Status != statusTooMany {
		return
	}
	scope := w.scope(r.Tenant)
	left, began, err := w.limiter.Pause(w.hard, scope, r.RetryAfter, r.HasRetryAfter)
	if err != nil {
		w.log.Warn("Graph throttles, but the fleet could not be told", "error", err)
		return
	}
	w.pauses.note(scope, left)
	if began {
		w.log.Info("Graph throttles: all workers wait", "seconds", left.Seconds())
	}
}

const statusTooMany = 429
