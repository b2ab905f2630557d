package tasks

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
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

// withSlot returns a context whose first request uses the slot up.
func withSlot(ctx context.Context, s *ratelimit.Slot) context.Context {
	return context.WithValue(ctx, slotKey{}, s)
}

// slot returns a context with a slot for the next request, and waits for one
// unless ctx has it already.
func (w *Worker) slot(ctx context.Context, tenant string) (context.Context, error) {
	if s, ok := ctx.Value(slotKey{}).(*ratelimit.Slot); ok && !s.Taken() {
		return ctx, nil
	}
	wctx, cancel := w.untilQuit(ctx)
	defer cancel()
	s, err := w.limiter.Next(wctx, w.scope(tenant))
	if err != nil {
		return nil, &gateError{err}
	}
	return withSlot(ctx, s), nil
}

// sentAway tells whether the limiter gave no slot, and after what time it is worth
// asking again.
func sentAway(err error) (time.Duration, bool) {
	if e, ok := errors.AsType[*ratelimit.PausedError](err); ok {
		return e.Left, true
	}
	if e, ok := errors.AsType[*ratelimit.CrowdedError](err); ok {
		return jitter(e.After), true
	}
	return 0, false
}

// before stands in front of every request to Graph.
func (w *Worker) before(ctx context.Context, tenant string) error {
	ctx, err := w.slot(ctx, tenant)
	if err != nil {
		return err
	}
	s, _ := ctx.Value(slotKey{}).(*ratelimit.Slot)
	if !s.Take() { // another request of the same context was quicker
		return w.before(withSlot(ctx, s), tenant)
	}
	ctx, cancel := w.untilQuit(ctx)
	defer cancel()
	if err := s.Wait(ctx); err != nil {
		return &gateError{err}
	}
	return nil
}

type waitKey struct{}

// withWait returns a context whose requests wait with one more context, so that
// not each has to make its own. stop releases that.
func (w *Worker) withWait(ctx context.Context) (_ context.Context, stop context.CancelFunc) {
	wait, stop := w.untilQuit(ctx)
	return context.WithValue(ctx, waitKey{}, wait), stop
}

// untilQuit gives a context for waiting: no wait outlives the worker's end, as
// participants are claimed.
func (w *Worker) untilQuit(ctx context.Context) (context.Context, context.CancelFunc) {
	if wait, ok := ctx.Value(waitKey{}).(context.Context); ok {
		return wait, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(w.quit, cancel)
	return ctx, func() { stop(); cancel() }
}

// after sees the answer to every request to Graph.
func (w *Worker) after(ctx context.Context, r graph.Result) {
	w.tokenTrouble(r.Tenant, nil) // it was sent with one
	w.metrics.request(r)
	w.answered(ctx, &r)
	if r.Status != http.StatusTooManyRequests {
		if r.Status > 0 {
			w.limiter.Answered(w.scope(r.Tenant), r.Duration)
		}
		return
	}
	if r.HasRetryAfter && r.RetryAfter >= ratelimit.MaxPause {
		w.log.LogAttrs(ctx, slog.LevelWarn, "Graph asks to wait for an hour or more: an hour it is", throttleAttrs(ctx, &r)...)
	}
	left, first, err := w.limiter.Refused(w.hard, w.scope(r.Tenant), time.Since(r.Started), r.RetryAfter, r.HasRetryAfter)
	if w.hard.Err() == nil {
		w.tellTrouble(err)
	}
	if first {
		w.log.LogAttrs(ctx, slog.LevelInfo, "Graph throttles: all workers wait",
			append(throttleAttrs(ctx, &r), slog.Float64("seconds", left.Seconds()))...)
	}
}

// throttleAttrs say which answer asked to wait, by the id that it was sent: above
// debugging, the log does not repeat what a server says.
func throttleAttrs(ctx context.Context, r *graph.Result) []slog.Attr {
	return append(errandOf(ctx).attrs(), slog.String("kind", r.Kind), slog.String("client_request_id", r.ClientRequestID))
}
