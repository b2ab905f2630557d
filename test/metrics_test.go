package test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// TestMetricsMove has all happen to a worker that metrics tell of, and looks whether
// they do. What it tells is compared with docs/metrics.md.
//
// That a notice is given up takes a day: internal/notify tests it.
func TestMetricsMove(t *testing.T) {
	t.Parallel()
	server := redistest.StartServer(t)
	dir := t.TempDir()
	redis := []string{"ROLLCALL_REDIS=" + server.URL()}

	// A worker dies with two tasks in hand.
	deleteRoster(t, dir, "dead.csv", 2, 3)
	stuck := startSim(t, dir, "--latency", "10m", "--roster", "dead.csv")
	dies := fleet(t, 1, server.URL(), stuck.url)[0]
	must(t, 0, dir, redis, "enqueue", "dead.csv")
	testutil.Eventually(t, "two are under way", func() bool { return stuck.state(t).Counters.InFlight >= 2 })
	dies.signal(os.Kill)

	// Three batches have lost their tasks; one expires, and one is cancelled by a
	// command that was killed before it was done.
	lose(t, server, dir, "lost")
	lose(t, server, dir, "expired", "--expire", "1s")
	cancelled := lose(t, server, dir, "cancelled")
	if err := server.Client(t).HSet(t.Context(), "rollcall:{b:"+cancelled+"}:meta", "cancelled", 1).Err(); err != nil {
		t.Fatal(err)
	}

	writeFile(t, dir, "roster.csv", func(w io.Writer) {
		_, _ = fmt.Fprintln(w, "action,call_id,participant_id,user_id")
		for n := range 120 {
			_, _ = fmt.Fprintf(w, "delete,call-%d,p-%d,\n", n%12, n)
		}
		for n := range 20 {
			_, _ = fmt.Fprintf(w, "invite,call-%d,,u-%d\n", n%4, n)
		}
	})
	sim := startSim(t, dir, "--latency", "2s", "--ring", "0s-1s", "--roster", "roster.csv", "--roster", "dead.csv", "--roster", "lost.csv", "--roster", "expired.csv", "--roster", "cancelled.csv")
	token := filepath.Join(dir, "token")
	giveToken := func() { writeFile(t, dir, "token", func(w io.Writer) { _, _ = io.WriteString(w, "simulated") }) }
	giveToken()
	h := startHook(t, "/hook", http.StatusInternalServerError)
	w := observe(t, append(redis, "ROLLCALL_TOKEN_FILE="+token, "ROLLCALL_GRAPH_URL="+sim.url, "ROLLCALL_NOTIFY_URL="+h.url), "--concurrency", "4")
	waiting := start(t, dir, redis, "enqueue", "--wait", "--output", "json", "roster.csv")

	// Graph is slow, and then throttles: for longer than what was read of Redis lasts.
	w.moved(t, time.Minute,
		"rollcall_tasks_busy", `rollcall_queue_tasks{queue="default",state="pending"}`, `rollcall_queue_latency_seconds{queue="default"}`,
		"rollcall_batches_open", "rollcall_rows_pending", "rollcall_oldest_pending_row_seconds", "rollcall_next_deadline_seconds", "rollcall_fleet_workers")
	if _, err := sim.request("POST", "faults", `{"limit":{"rate":15,"retry_after":"12s"},"latency":"100ms"}`); err != nil {
		t.Fatal(err)
	}
	w.moved(t, time.Minute,
		`rollcall_graph_throttled_total{kind="delete"}`, `rollcall_graph_requests_total{kind="delete",status="429"}`,
		"rollcall_limit_pauses_total", "rollcall_limit_paused", "rollcall_limit_pause_seconds", "rollcall_limit_found", "rollcall_limit_rate")
	compare(t, w.scrape(t)) // now that all is there: a limit that was found, and an open batch
	// It throttles no more, but fails at times.
	if _, err := sim.request("POST", "faults", `{"limit":{},"latency":"10ms","faults":{"delete.unavailable":0.3}}`); err != nil {
		t.Fatal(err)
	}
	waiting.wait()
	w.moved(t, 2*time.Minute,
		`rollcall_changes_total{action="delete",outcome="removed"}`, `rollcall_changes_total{action="invite",outcome="joined"}`,
		`rollcall_graph_requests_total{kind="delete",status="503"}`, `rollcall_graph_requests_total{kind="invite",status="200"}`,
		`rollcall_graph_request_duration_seconds_count{kind="roster"}`, `rollcall_graph_request_duration_seconds_sum{kind="invite"}`,
		"rollcall_limit_slots_total", "rollcall_limit_wait_seconds_total",
		`rollcall_notices_total{result="failed"}`, `rollcall_notices_total{result="sent"}`,
		"rollcall_tasks_recovered_total", `rollcall_sweeper_actions_total{action="expired"}`, `rollcall_sweeper_actions_total{action="cancelled"}`,
		`rollcall_changes_total{action="delete",outcome="expired"}`, `rollcall_changes_total{action="delete",outcome="cancelled"}`,
		`rollcall_sweeper_actions_total{action="requeued"}`, `rollcall_sweeper_actions_total{action="task_enqueued"}`)
	e := w.until(t, "all is done", 2*time.Minute, func(e exposition) bool {
		n, there := e.values["rollcall_rows_pending"]
		return there && n == 0
	})
	if e.values["rollcall_tasks_capacity"] != 4 || e.values["rollcall_fleet_workers"] != 1 || e.values["rollcall_redis_up"] != 1 || e.values["rollcall_token_up"] != 1 ||
		e.values["rollcall_batches_open"] != 0 || e.values["rollcall_oldest_pending_row_seconds"] != 0 {
		t.Errorf("in the end: %v", e.values)
	}
	if e.types["go_goroutines"] != "gauge" || e.types["process_cpu_seconds_total"] != "counter" {
		t.Errorf("nothing is told of the process: %v", e.types)
	}
	openMetrics(t, w)

	// Redis goes away, and comes back.
	errors := e.values["rollcall_redis_errors_total"]
	pending := `rollcall_queue_tasks{queue="default",state="pending"}`
	server.Kill()
	w.until(t, "Redis is missed", patience, func(e exposition) bool {
		_, told := e.values[pending]
		return e.values["rollcall_redis_up"] == 0 && e.values["rollcall_redis_errors_total"] > errors && !told
	})
	for range 3 {
		begun := time.Now()
		w.scrape(t)
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("a scrape without Redis took %s", took)
		}
	}
	server.Start()
	w.until(t, "Redis is back", patience, func(e exposition) bool {
		_, told := e.values[pending]
		return e.values["rollcall_redis_up"] == 1 && told
	})

	// So does the token.
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	must(t, 0, dir, redis, "enqueue", "--again", "lost.csv")
	w.until(t, "the token is missed", patience, func(e exposition) bool { return e.values["rollcall_token_up"] == 0 })
	giveToken()
	w.until(t, "there is a token", patience, func(e exposition) bool {
		n, told := e.values["rollcall_rows_pending"]
		return e.values["rollcall_token_up"] == 1 && told && n == 0
	})
}

// lose enqueues a batch of one delete, with no worker that takes its queue, and has
// the queue lose the task. It returns the batch's id.
func lose(t *testing.T, server *redistest.Server, dir, name string, args ...string) string {
	t.Helper()
	writeFile(t, dir, name+".csv", func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "action,call_id,participant_id\ndelete,%s,p\n", name)
	})
	var st batchStatus
	args = append([]string{"--queue", "low", "--output", "json", name + ".csv"}, args...)
	must(t, 0, dir, []string{"ROLLCALL_REDIS=" + server.URL()}, "enqueue", args...).json(t, &st)
	rdb, ctx, queue := server.Client(t), context.WithoutCancel(t.Context()), "asynq:{rollcall-low}:"
	ids, err := rdb.LRange(ctx, queue+"pending", 0, -1).Result()
	if err != nil || len(ids) != 1 {
		t.Fatalf("tasks are %v, %v", ids, err)
	}
	if n, err := rdb.Del(ctx, queue+"pending", queue+"t:"+ids[0]).Result(); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	return st.Batch
}

// openMetrics asks as a Prometheus does that knows the newer format.
func openMetrics(t *testing.T, w *observed) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/openmetrics-text") || !strings.HasSuffix(string(body), "# EOF\n") {
		t.Errorf("%s, %v: %s", resp.Header.Get("Content-Type"), err, last(string(body), 200))
	}
}
