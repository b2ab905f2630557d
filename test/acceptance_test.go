package test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// TestTenThousandRows runs 10,000 rows over 100 calls through two workers. The
// ledger, the report and the simulator must tell the same story.
func TestTenThousandRows(t *testing.T) {
	t.Parallel()
	const calls, perCall = 100, 100
	server := redistest.StartServer(t)
	dir := t.TempDir()
	mixedRoster(t, dir, "roster.csv", calls, perCall)
	sim := startSim(t, dir, "--latency", "0s", "--ring", "0s", "--roster", "roster.csv")
	fleet(t, 2, server.URL(), sim.url)

	var st batchStatus
	must(t, 0, dir, []string{"ROLLCALL_REDIS=" + server.URL()}, "enqueue", "--wait", "--report", "report.csv", "--output", "json", "roster.csv").json(t, &st)
	st.whole(t, calls*perCall)
	const half = calls * perCall / 2
	if st.Deletes != half || st.Invites != half || st.Calls != calls {
		t.Errorf("%d deletes, %d invites, %d calls", st.Deletes, st.Invites, st.Calls)
	}
	if st.Outcomes["removed"] != half || st.accepted() != half {
		t.Errorf("outcomes are %v, want %d removed and %d invited", st.Outcomes, half, half)
	}

	// The report: every row, as it was, and the counts of the ledger.
	outcomes := reported(t, readTableFile(t, dir+"/report.csv"), readTableFile(t, dir+"/roster.csv"))
	for o, n := range outcomes {
		if st.Outcomes[o] != n {
			t.Errorf("the report has %d rows %s, the batch %d", n, o, st.Outcomes[o])
		}
	}

	// The simulator: all that was to go is gone, all that was to come was rung once.
	state := sim.state(t)
	if len(state.Calls) != calls {
		t.Errorf("the simulator has %d calls", len(state.Calls))
	}
	if n := state.Counters.ByStatus["204"]; n != half || state.Counters.ByKind["delete"] != half {
		t.Errorf("%d deletes were sent and %d succeeded, want %d", state.Counters.ByKind["delete"], n, half)
	}
	rungOnce(t, state, half)
	for id, call := range state.Calls {
		if len(call.Participants) != perCall/2 {
			t.Errorf("%s has %d participants, want %d", id, len(call.Participants), perCall/2)
		}
		for _, p := range call.Participants {
			if !strings.HasPrefix(p.Identity, "u-") {
				t.Errorf("%s still has %s", id, p.ID)
			}
		}
	}
}

// rungOnce makes sure that so many people were rung, each once, and that no two
// requests about one participant ever overlapped.
func rungOnce(t testing.TB, state simState, people int) {
	t.Helper()
	rung := 0
	for _, call := range state.Calls {
		rung += len(call.Rings)
	}
	if rung != people {
		t.Errorf("%d people were rung, want %d", rung, people)
	}
	rungNoneAgain(t, state)
}

// rungNoneAgain makes sure of the same about whomever was rung.
func rungNoneAgain(t testing.TB, state simState) {
	t.Helper()
	for id, call := range state.Calls {
		for who, n := range call.Rings {
			if n != 1 {
				t.Errorf("%s: %s was rung %d times", id, who, n)
			}
		}
	}
	if state.Counters.RungAgain != 0 {
		t.Errorf("%d people were rung again", state.Counters.RungAgain)
	}
	if state.Counters.Overlaps != 0 {
		t.Errorf("%d requests overlapped another about the same participant", state.Counters.Overlaps)
	}
}

// TestEnqueueKilled kills an enqueue ten times, at random places in what it
// sends to Redis, and a worker busy behind it, before it may come to its end. Every row must be
// there once.
func TestEnqueueKilled(t *testing.T) {
	t.Parallel()
	const calls, perCall, kills = 50, 120, 10
	seed := rand.Uint64()
	if text := os.Getenv("ROLLCALL_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("ROLLCALL_TEST_SEED=%d repeats this", seed)
	rng := rand.New(rand.NewPCG(seed, 0))

	dir := t.TempDir()
	mixedRoster(t, dir, "roster.csv", calls, perCall)
	// How much a whole enqueue sends to Redis, at least: the first one of a
	// server also sends scripts, some of them more than once.
	trial := redistest.StartServer(t)
	must(t, 0, dir, []string{"ROLLCALL_REDIS=" + trial.URL()}, "enqueue", "roster.csv")
	measured := newTap(t, trial, 0)
	must(t, 0, dir, []string{"ROLLCALL_REDIS=" + measured.url}, "enqueue", "--again", "roster.csv")
	whole := measured.count()

	server := redistest.StartServer(t)
	env := []string{"ROLLCALL_REDIS=" + server.URL()}
	sim := startSim(t, dir, "--latency", "0s", "--ring", "0s", "--roster", "roster.csv")
	for i := range kills {
		// The later kills have a worker that takes tasks at the same time.
		if i == kills/2 {
			fleet(t, 1, server.URL(), sim.url)
		}
		limit := 1 + rng.Int64N(whole*9/10)
		tapped := newTap(t, server, limit)
		p := start(t, dir, []string{"ROLLCALL_REDIS=" + tapped.url}, "enqueue", "--output", "json", "roster.csv")
		select {
		case <-tapped.full:
		case <-p.ended:
		}
		if r := p.signal(os.Kill); r.status != -1 {
			t.Errorf("an enqueue ended with %d before it could be killed after %d of %d bytes\n%s", r.status, limit, whole, r.stderr)
		}
	}

	var st batchStatus
	must(t, 0, dir, env, "enqueue", "--wait", "--report", "report.csv", "--output", "json", "roster.csv").json(t, &st)
	st.whole(t, calls*perCall)
	if !st.Existing {
		t.Error("the last enqueue made a new batch")
	}
	const half = calls * perCall / 2
	if st.Outcomes["removed"] != half || st.accepted() != half {
		t.Errorf("outcomes are %v, want %d removed and %d invited", st.Outcomes, half, half)
	}
	reported(t, readTableFile(t, dir+"/report.csv"), readTableFile(t, dir+"/roster.csv"))
	state := sim.state(t)
	if n := state.Counters.ByKind["delete"]; n != half {
		t.Errorf("%d deletes were sent, want %d", n, half)
	}
	rungOnce(t, state, half)
	var list []batchStatus
	must(t, 0, dir, env, "batch", "list", "--output", "json").json(t, &list)
	if len(list) != 1 {
		t.Errorf("there are %d batches", len(list))
	}
}

// TestWorkerKilled kills one of two workers in the middle of a batch: the other
// one ends it.
func TestWorkerKilled(t *testing.T) {
	t.Parallel()
	const calls, perCall = 20, 100
	server := redistest.StartServer(t)
	dir := t.TempDir()
	deleteRoster(t, dir, "roster.csv", calls, perCall)
	sim := startSim(t, dir, "--latency", "20ms", "--ring", "0s", "--roster", "roster.csv")
	workers := fleet(t, 2, server.URL(), sim.url, "--concurrency", "8")
	env := []string{"ROLLCALL_REDIS=" + server.URL()}
	waiting := start(t, dir, env, "enqueue", "--wait", "--report", "report.csv", "--output", "json", "roster.csv")
	testutil.Eventually(t, "the batch is half done", func() bool {
		return sim.state(t).Counters.Requests >= calls*perCall/3
	})
	if r := workers[0].signal(os.Kill); r.status != -1 {
		t.Fatalf("the worker ended by itself, with %d", r.status)
	}
	st := finished(t, waiting)
	st.whole(t, calls*perCall)
	// What the dead one had deleted and not recorded is found gone.
	if st.Outcomes["removed"]+st.Outcomes["already_removed"] != calls*perCall {
		t.Errorf("outcomes are %v", st.Outcomes)
	}
	reported(t, readTableFile(t, dir+"/report.csv"), readTableFile(t, dir+"/roster.csv"))
	for id, call := range sim.state(t).Calls {
		if len(call.Participants) != 0 {
			t.Errorf("%s still has %d participants", id, len(call.Participants))
		}
	}
}

// TestAllRowsFail has a Graph that forbids everything: 12,000 rows fail for
// good, more than a queue's archive holds, and every one is reported.
func TestAllRowsFail(t *testing.T) {
	t.Parallel()
	const calls, perCall = 40, 300
	var asked atomic.Int64
	graph := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("request-id", fmt.Sprintf("00000000-0000-4000-8000-%012d", n))
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": "7504", "message": "Insufficient privileges."}})
	}))
	t.Cleanup(graph.Close)
	server := redistest.StartServer(t)
	dir := t.TempDir()
	deleteRoster(t, dir, "roster.csv", calls, perCall)
	fleet(t, 2, server.URL(), graph.URL)
	env := []string{"ROLLCALL_REDIS=" + server.URL()}

	var st batchStatus
	must(t, 4, dir, env, "enqueue", "--wait", "--output", "json", "roster.csv").json(t, &st)
	st.whole(t, calls*perCall)
	if st.Outcomes["rejected"] != calls*perCall || asked.Load() != calls*perCall {
		t.Errorf("outcomes are %v after %d requests", st.Outcomes, asked.Load())
	}
	r := must(t, 0, dir, env, "batch", "report", "--only", "failed", st.Batch)
	report := readTable(t, strings.NewReader(r.stdout))
	reported(t, report, readTableFile(t, dir+"/roster.csv"))
	ids := map[string]bool{}
	for _, row := range report.rows {
		ids[report.cell(row, "request_id")] = true
		if report.cell(row, "status") != "403" || !strings.Contains(report.cell(row, "detail"), "AllowRemoveParticipantAppIds") {
			t.Fatalf("row %s: status %s, detail %q", report.cell(row, "row"), report.cell(row, "status"), report.cell(row, "detail"))
		}
	}
	if len(ids) != calls*perCall {
		t.Errorf("the report has %d request ids, want %d", len(ids), calls*perCall)
	}
	must(t, 4, dir, env, "batch", "watch", st.Batch)
}
