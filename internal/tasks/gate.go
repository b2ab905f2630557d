package tasks

import (
	"context"
	"sync/atomic"

	"rollcall/internal/graph"
)

// gateError is why a request was stopped before it was sent, other than a pause.
type gateError struct {
	err error
}

func (e *gateError) Error() string { return e.err.Error() }
func (e *gateError) Unwrap() error { return e.err }

type slotKey struct{}

// withSlot returns a context with a slot that has been waited for already: the
// first request uses it up.
func withSlot(ctx context.Context) context.Context {
	slot := new(atomic.Bool)
	slot.Store(true)
	return context.WithValue(ctx, slotKey{}, slot)
}

// before stands in front of every request to Graph.
func (w *Worker) before(ctx context.Context, tenant string) error {
	if slot, ok := ctx.Value(slotKey{}).(*atomic.Bool); ok && slot.CompareAndSwap(true, false) {
		return nil
	}
	// A pause is not waited out here, and no wait outlives the worker's end:
	// participants are claimed.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.quit, cancel)()
	if err := w.limiter.Wait(ctx, w.scope(tenant), 0); err != nil {
		return &gateError{err}
	}
	return nil
}

// after sees the answer to every request to Graph.
func (w *Worker) after(r graph.Result) {
	w.metrics.request(r)
	if r.Status != statusTooMany {
		return
	}
	left, began, err := w.limiter.Pause(w.hard, w.scope(r.Tenant), r.RetryAfter, r.HasRetryAfter)
	switch {
	case err != nil:
		w.log.Warn("Graph throttles, but the fleet could not be told", "error", err)
	case began:
		w.pauses.note(w.scope(r.Tenant), left)
		w.log.Info("Graph throttles: all workers wait", "seconds", left.Seconds())
	}
}

const statusTooMany = 429
