//go:build integration

package test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rollcall/internal/redistest"
)

// TestMetrics leads a worker through what its metrics tell of, and looks whether
// they do. Each state lasts until it has been seen. What the worker tells is compared
// with docs/metrics.md.
//
// What takes half a minute is in TestMetricsOfRecovery, and that a notice is given up,
// which takes a day, in internal/notify.
func TestMetrics(t *testing.T) {
	t.Parallel()
	server := redistest.StartServer(t)
	dir := t.TempDir()
	redis := []string{"ROLLCALL_REDIS=" + server.URL()}
	writeFile(t, dir, "roster.csv", func(w io.Writer) {
		_, _ = fmt.Fprintln(w, "action,call_id,participant_id,user_id")
		for n := range 90 {
			_, _ = fmt.Fprintf(w, "delete,call-%d,p-%d,\n", n%12, n)
		}
		for n := range 10 {
			_, _ = fmt.Fprintf(w, "invite,call-%d,,u-%d\n", n%4, n)
		}
	})

	// Graph is so slow that rows wait for minutes.
	sim := startSim(t, dir, "--latency", "4s", "--ring", "0s", "--roster", "roster.csv")
	token := filepath.Join(dir, "token")
	giveToken := func() { writeFile(t, dir, "token", func(w io.Writer) { _, _ = io.WriteString(w, "simulated") }) }
	giveToken()
	h := startHook(t, "/hook", http.StatusInternalServerError)
	w := observe(t, append(redis, "ROLLCALL_TOKEN_FILE="+token, "ROLLCALL_GRAPH_URL="+sim.url, "ROLLCALL_NOTIFY_URL="+h.url), "--concurrency", "2")
	waiting := start(t, dir, redis, "enqueue", "--wait", "--output", "json", "roster.csv")
	w.moved(t,
		"rollcall_tasks_busy", `rollcall_queue_tasks{queue="default",state="pending"}`, `rollcall_queue_latency_seconds{queue="default"}`,
		"rollcall_batches_open", "rollcall_rows_pending", "rollcall_oldest_pending_row_seconds", "rollcall_next_deadline_seconds", "rollcall_fleet_workers")

	// It refuses everything, for longer than what was read of Redis lasts.
	sim.set(t, `{"limit":{"window":1,"per":"1h","retry_after":"12s"},"latency":"10ms"}`)
	w.moved(t,
		`rollcall_graph_throttled_total{kind="delete"}`, `rollcall_graph_requests_total{kind="delete",status="429"}`,
		"rollcall_limit_pauses_total", "rollcall_limit_paused", "rollcall_limit_pause_seconds", "rollcall_limit_found", "rollcall_limit_rate")
	compare(t, w.scrape(t)) // now that all is there: a limit that was found, and an open batch

	// It throttles no more, but fails at times.
	sim.set(t, `{"limit":{},"faults":{"delete.unavailable":0.5}}`)
	w.moved(t, `rollcall_graph_requests_total{kind="delete",status="503"}`)
	sim.set(t, `{"faults":{}}`)
	finished(t, waiting).whole(t, 100)
	w.moved(t,
		`rollcall_changes_total{action="delete",outcome="removed"}`, `rollcall_changes_total{action="invite",outcome="joined"}`,
		`rollcall_graph_requests_total{kind="invite",status="200"}`,
		`rollcall_graph_request_duration_seconds_count{kind="roster"}`, `rollcall_graph_request_duration_seconds_sum{kind="invite"}`,
		"rollcall_limit_slots_total", "rollcall_limit_wait_seconds_total",
		`rollcall_notices_total{result="failed"}`, `rollcall_notices_total{result="sent"}`)
	e := w.until(t, "all is done", func(e exposition) bool {
		n, there := e.values["rollcall_rows_pending"]
		return there && n == 0
	})
	if e.values["rollcall_tasks_capacity"] != 2 || e.values["rollcall_fleet_workers"] != 1 || e.values["rollcall_redis_up"] != 1 || e.values["rollcall_token_up"] != 1 ||
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
	w.until(t, "Redis is missed", func(e exposition) bool {
		_, told := e.values[pending]
		return e.values["rollcall_redis_up"] == 0 && e.values["rollcall_redis_errors_total"] > errors && !told
	})
	server.Start()
	w.until(t, "Redis is back", func(e exposition) bool {
		_, told := e.values[pending]
		return e.values["rollcall_redis_up"] == 1 && told
	})

	// So does the token.
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	must(t, 0, dir, redis, "enqueue", "--again", "roster.csv")
	w.until(t, "the token is missed", func(e exposition) bool { return e.values["rollcall_token_up"] == 0 })
	giveToken()
	w.until(t, "there is a token", func(e exposition) bool {
		n, told := e.values["rollcall_rows_pending"]
		return e.values["rollcall_token_up"] == 1 && told && n == 0
	})
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

// documented is a row of the table in docs/metrics.md.
var documented = regexp.MustCompile("(?m)^\\| `(rollcall_\\w+)` \\| (\\w+) \\|([^|]*)\\|")

// compare makes sure that a scrape and the documentation tell of the same metrics.
func compare(t *testing.T, e exposition) {
	t.Helper()
	table := map[string][2]string{}
	for _, m := range documented.FindAllStringSubmatch(readFile(t, root+"/docs/metrics.md"), -1) {
		labels := strings.FieldsFunc(m[3], func(r rune) bool { return strings.ContainsRune("`, ", r) })
		slices.Sort(labels)
		table[m[1]] = [2]string{m[2], strings.Join(labels, " ")}
	}
	if len(table) < 20 {
		t.Fatalf("the table has %d metrics", len(table))
	}
	for name, typ := range e.types {
		if !strings.HasPrefix(name, "rollcall_") {
			continue
		}
		var labels []string
		for l := range e.labels[name] {
			labels = append(labels, l)
		}
		slices.Sort(labels)
		is := [2]string{typ, strings.Join(labels, " ")}
		if said, there := table[name]; !there || said != is {
			t.Errorf("%s is %q; docs/metrics.md says (%t) %q", name, is, there, said)
		}
	}
	for name := range table {
		if e.types[name] == "" {
			t.Errorf("docs/metrics.md tells of %s, which there is not", name)
		}
	}
}
