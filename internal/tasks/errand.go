package tasks

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"rollcall/internal/graph"
)

// errand is what requests to Graph are made for: by it logs and traces tell them
// apart. A roster that several tasks wait for is read on the errand of the first.
type errand struct {
	batch, task string
	span        trace.Span // of the task's work; nil without traces
}

type errandKey struct{}

func withErrand(ctx context.Context, e *errand) context.Context {
	return context.WithValue(ctx, errandKey{}, e)
}

// errandOf gives the errand of a context. It may be an empty one.
func errandOf(ctx context.Context) *errand {
	if e, ok := ctx.Value(errandKey{}).(*errand); ok {
		return e
	}
	return &noErrand
}

var noErrand errand

// answered tells of a request that is over. It costs nothing if nobody wants to
// know.
func (w *Worker) answered(ctx context.Context, r *graph.Result) {
	if w.cfg.Tracer == nil && !w.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	e := errandOf(ctx)
	id := w.traceRequest(e, r)
	if !w.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := append(e.attrs(),
		slog.String("kind", r.Kind), slog.Int("status", r.Status), slog.Float64("seconds", r.Duration.Seconds()),
		slog.String("request_id", r.RequestID), slog.String("client_request_id", r.ClientRequestID))
	if r.HasRetryAfter {
		attrs = append(attrs, slog.Float64("retry_after_seconds", r.RetryAfter.Seconds()))
	}
	if id.IsValid() {
		attrs = append(attrs, slog.String("trace_id", id.String()))
	}
	w.log.LogAttrs(ctx, slog.LevelDebug, "request to Graph", attrs...)
}

// attrs are what a log record says of the errand.
func (e *errand) attrs() []slog.Attr {
	if e.batch == "" {
		return nil
	}
	return []slog.Attr{slog.String("batch", e.batch), slog.String("task", e.task)}
}

// startSpan begins the span of a task's work; nil without traces.
func (w *Worker) startSpan(t *task) trace.Span {
	if w.cfg.Tracer == nil {
		return nil
	}
	_, span := w.cfg.Tracer.Start(context.Background(), "task "+t.action.String(), trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.String("rollcall.batch", t.batch.ID), attribute.String("rollcall.task", t.id), attribute.Int("rollcall.rows", len(t.rows))))
	return span
}

// endSpan ends a task's span. That it comes back is no mistake.
func endSpan(span trace.Span, comesBack bool) {
	if span == nil {
		return
	}
	span.SetAttributes(attribute.Bool("rollcall.comes_back", comesBack))
	span.End()
}

// traceRequest makes the span of a request that is over. It returns the id of its
// trace, if it has one.
func (w *Worker) traceRequest(e *errand, r *graph.Result) trace.TraceID {
	if w.cfg.Tracer == nil {
		return trace.TraceID{}
	}
	ctx := context.Background()
	if e.span != nil {
		ctx = trace.ContextWithSpan(ctx, e.span)
	}
	_, span := w.cfg.Tracer.Start(ctx, "graph "+r.Kind, trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(r.Started))
	if !span.IsRecording() {
		return trace.TraceID{}
	}
	attrs := []attribute.KeyValue{
		attribute.String("http.request.method", r.Method), attribute.String("server.address", w.graph.Host()),
		attribute.String("rollcall.client_request_id", r.ClientRequestID),
	}
	add := func(kv attribute.KeyValue, known bool) {
		if known {
			attrs = append(attrs, kv)
		}
	}
	add(attribute.Int("http.response.status_code", r.Status), r.Status > 0)
	add(attribute.String("rollcall.request_id", r.RequestID), r.RequestID != "")
	add(attribute.String("rollcall.batch", e.batch), e.batch != "")
	add(attribute.String("rollcall.task", e.task), e.task != "")
	add(attribute.Int("rollcall.rows", r.People), r.People > 0)
	add(attribute.Float64("rollcall.retry_after_seconds", r.RetryAfter.Seconds()), r.HasRetryAfter)
	switch {
	case r.Status == 0:
		span.SetStatus(codes.Error, "no answer")
	case r.Status >= 400:
		span.SetStatus(codes.Error, "")
	}
	span.SetAttributes(attrs...)
	span.End(trace.WithTimestamp(r.Started.Add(r.Duration)))
	return span.SpanContext().TraceID()
}
