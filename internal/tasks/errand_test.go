package tasks

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"rollcall/internal/graph"
	"rollcall/internal/redistest"
)

// quiet is a worker without traces whose log is as it is by default, and a request
// of its that is over.
func quiet(t testing.TB) (*Worker, context.Context, graph.Result) {
	t.Helper()
	w, err := NewWorker(WorkerConfig{
		Redis: redistest.Mini(t), Graph: graph.Config{BaseURL: "http://127.0.0.1:1", Tokens: staticToken{}},
		Log: slog.New(slog.NewJSONHandler(new(bytes.Buffer), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := withErrand(t.Context(), &errand{batch: "b", task: "b.1"})
	return w, ctx, graph.Result{Kind: graph.OpDelete, Method: "DELETE", Status: 204, Started: time.Now(), Duration: time.Second, People: 1, RequestID: "r", ClientRequestID: "c"}
}

// TestTellingIsFree: where nobody traces, or reads the log at its finest, requests
// are not told, and that costs no memory.
func TestTellingIsFree(t *testing.T) {
	w, ctx, r := quiet(t)
	if n := testing.AllocsPerRun(1000, func() { w.answered(ctx, &r) }); n != 0 {
		t.Errorf("%g allocations a request", n)
	}
	if w.startSpan(&task{}) != nil {
		t.Error("a span without traces")
	}
}

func BenchmarkTelling(b *testing.B) {
	w, ctx, r := quiet(b)
	b.ReportAllocs()
	for b.Loop() {
		w.answered(ctx, &r)
	}
}
