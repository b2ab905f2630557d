package tasks

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/graph"
	"rollcall/internal/graph/graphsim"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/roster"
	"rollcall/internal/testutil"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // these tests make much garbage and keep little
	redistest.Main(m)
}

// world is a Redis, a Graph and the queue between them.
type world struct {
	t   testing.TB
	rdb *redis.Client
	q   *Queue
	sim *graphsim.Sim // nil if Graph is another handler
	srv *testutil.Server
	// tune changes workers before they run.
	tune func(*Worker)
}

func newWorld(t testing.TB, rdb *redis.Client, cfg graphsim.Config) *world {
	t.Helper()
	sim, err := graphsim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldWith(t, rdb, sim)
	w.sim = sim
	return w
}

func newWorldWith(t testing.TB, rdb *redis.Client, graphAPI http.Handler) *world {
	t.Helper()

	return &world{t: t, rdb: rdb, q: NewQueue(rdb), srv: testutil.NewServer(t, graphAPI)}
}

type staticToken struct{}

func (staticToken) Token(context.Context, string, bool) (string, error) { return "t", nil }

// work starts a worker; the function it returns ends it and waits for it.
func (w *world) work(change ...func(*WorkerConfig)) (stop func()) {
	w.t.Helper()
	cfg := WorkerConfig{
		Redis: w.rdb, App: "test", Concurrency: 16,
		Graph: graph.Config{BaseURL: w.srv.URL, Dial: w.srv.Dial, Tokens: staticToken{}, Timeout: 10 * time.Second},
	}
	for _, f := range change {
		f(&cfg)
	}
	worker, err := NewWorker(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.tune != nil {
		w.tune(worker)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
	w.t.Cleanup(stop)
	return stop
}

// confirmWithin makes a worker await people for a time fit for tests.
func confirmWithin(d time.Duration) func(*WorkerConfig) {
	return func(cfg *WorkerConfig) { cfg.ConfirmTimeout, cfg.SnapshotLife = d, d/10 }
}

// request checks a roster file; what its deletes name is put on the simulator's
// rosters if seed is set.
func (w *world) request(csv string, seed bool) Request {
	w.t.Helper()
	name := filepath.Join(w.t.TempDir(), "roster.csv")
	if err := os.WriteFile(name, []byte(csv), 0o600); err != nil {
		w.t.Fatal(err)
	}
	in, err := roster.Open([]string{name}, strings.NewReader(""))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = in.Close() })
	sum, err := in.Check(w.t.Context(), roster.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	if seed {
		err := in.Each(w.t.Context(), roster.Options{}, func(r roster.Record) error { w.sim.Seed(r.Change); return nil }, nil)
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return Request{Input: in, Summary: sum, Queue: "default", Expire: time.Hour, Keep: time.Hour}
}

func (w *world) enqueue(csv string) ledger.Batch {
	w.t.Helper()
	return w.put(w.request(csv, w.sim != nil))
}

func (w *world) put(r Request) ledger.Batch {
	w.t.Helper()
	b, _, err := w.q.Enqueue(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) status(b ledger.Batch) ledger.Status {
	w.t.Helper()
	st, err := w.q.Ledger.Status(w.t.Context(), b.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}

// finish waits until no row of the batches is pending.
func (w *world) finish(batches ...ledger.Batch) {
	w.t.Helper()
	for _, b := range batches {
		testutil.Eventually(w.t, "the batch is finished", func() bool { return w.status(b).Pending == 0 })
	}
}

func (w *world) rows(b ledger.Batch) []ledger.Row {
	w.t.Helper()
	var rows []ledger.Row
	err := w.q.Ledger.Buckets(w.t.Context(), b, func(k ledger.Bucket) error { rows = append(rows, k.Rows...); return nil })
	if err != nil {
		w.t.Fatal(err)
	}
	return rows
}

// wantOutcomes compares the outcomes of the batch's rows, and its counters with them.
func (w *world) wantOutcomes(b ledger.Batch, want ...ledger.Outcome) {
	w.t.Helper()
	counts := map[ledger.Outcome]int64{}
	for i, r := range w.rows(b) {
		counts[r.Outcome]++
		if i < len(want) && r.Outcome != want[i] {
			w.t.Errorf("row %d is %s (%d %s %s), want %s", i+1, r.Outcome, r.Status, r.Code, r.Detail, want[i])
		}
	}
	if st := w.status(b); fmt.Sprint(st.Outcomes) != fmt.Sprint(counts) {
		w.t.Errorf("counters %v, rows %v", st.Outcomes, counts)
	}
}

// writes counts the simulator's requests that change something, by participant.
func (w *world) writes() map[string]int {
	n := map[string]int{}
	for _, r := range w.sim.Requests(0) {
		if r.Kind == graphsim.KindInvite || r.Kind == graphsim.KindDelete {
			for _, p := range r.Participants {
				n[r.Call+" "+p]++
			}
		}
	}
	return n
}

// wantOnce makes sure that nobody was the subject of two requests.
func (w *world) wantOnce() {
	w.t.Helper()
	for who, n := range w.writes() {
		if n != 1 {
			w.t.Errorf("%s: %d requests", who, n)
		}
	}
}

// wantRemoved waits for the batch and makes sure that all its n rows were
// removed, each by one request.
func (w *world) wantRemoved(b ledger.Batch, n int64) {
	w.t.Helper()
	w.finish(b)
	if st := w.status(b); st.Outcomes[ledger.Removed] != n {
		w.t.Errorf("outcomes are %v, want %d removed", st.Outcomes, n)
	}
	w.wantOnce()
}

// deletes is a file of n deletes over some calls.
func deletes(n, calls int) string {
	var b strings.Builder
	b.WriteString("action,call_id,participant_id\n")
	for i := range n {
		fmt.Fprintf(&b, "delete,call-%d,p-%d\n", i%calls, i)
	}
	return b.String()
}
