//go:build endurance

package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"rollcall/internal/redistest"
)

// TestTenThousandRows runs 10,000 rows over 100 calls through two workers, without
// -long fewer. The ledger, the report and the simulator must tell the same story.
func TestTenThousandRows(t *testing.T) {
	t.Parallel()
	calls, perCall := 30, 100
	if *long {
		calls = 100
	}
	server := redistest.StartServer(t)
	dir := t.TempDir()
	mixedRoster(t, dir, "roster.csv", calls, perCall)
	sim := startSim(t, dir, "--latency", "0s", "--ring", "0s", "--roster", "roster.csv")
	fleet(t, 2, server.URL(), sim.url)

	var st batchStatus
	must(t, 0, dir, []string{"ROLLCALL_REDIS=" + server.URL()}, "enqueue", "--wait", "--report", "report.csv", "--output", "json", "roster.csv").json(t, &st)
	st.whole(t, calls*perCall)
	half := calls * perCall / 2
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

// TestAllRowsFail has a Graph that forbids everything: 10,500 rows fail for
// good, more than a queue's archive holds, and every one is reported.
func TestAllRowsFail(t *testing.T) {
	t.Parallel()
	const calls, perCall = 35, 300
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
