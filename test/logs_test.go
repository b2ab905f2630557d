//go:build integration

package test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// record is a line of a log as JSON.
type record map[string]any

func (r record) text(key string) string { s, _ := r[key].(string); return s }

// records reads what a worker that logs JSON has written.
func records(t testing.TB, log string) (all []record) {
	t.Helper()
	for line := range strings.Lines(log) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, r)
	}
	return all
}

// logKeys are the keys in the table of docs/logs.md.
func logKeys(t testing.TB) []string {
	t.Helper()
	var keys []string
	_, table, _ := strings.Cut(readFile(t, root+"/docs/logs.md"), "| Key | Value |")
	for _, row := range regexp.MustCompile("(?m)^\\|((?: `\\w+`,?)+) \\|").FindAllStringSubmatch(table, -1) {
		keys = append(keys, strings.FieldsFunc(row[1], func(r rune) bool { return strings.ContainsRune("`, ", r) })...)
	}
	return keys
}

// TestLogs: a log for debugging is JSON from its first line to its last, with the
// keys of docs/logs.md; and by it a row of a report is followed to its request.
func TestLogs(t *testing.T) {
	t.Parallel()
	server, dir, sim := busy(t)
	env := []string{"ROLLCALL_REDIS=" + server.URL()}
	h := startHook(t, "/hook", 500)
	w := start(t, dir, append(env, tokenEnv(), "ROLLCALL_GRAPH_URL="+sim.url, "ROLLCALL_NOTIFY_URL="+h.url),
		"worker", "--http", "127.0.0.1:0", "--log-format", "json", "--log-level", "debug", "--drain")
	unthrottled(t, sim)
	r := w.wait()
	if r.status != 0 {
		t.Fatalf("the worker ended with %d", r.status)
	}
	keys := logKeys(t)
	requests := map[string]record{}
	for _, line := range records(t, r.stderr) {
		for key := range line {
			if !slices.Contains(keys, key) {
				t.Errorf("docs/logs.md does not tell of %q: %v", key, line)
			}
		}
		switch line.text("msg") {
		case "request to Graph":
			if status, ok := line["status"].(float64); !ok || line.text("level") != "DEBUG" || line.text("client_request_id") == "" || line.text("kind") == "" ||
				status > 0 && line.text("request_id") == "" || !strings.HasPrefix(line.text("task"), line.text("batch")+".") {
				t.Errorf("%v", line)
			}
			requests[line.text("request_id")] = line
		case "Graph throttles: all workers wait":
			if line.text("level") != "INFO" || line.text("client_request_id") == "" || line["seconds"] == 0.0 {
				t.Errorf("%v", line)
			}
			requests["a throttle"] = line
		}
	}
	if requests["a throttle"] == nil {
		t.Error("nothing was throttled: the test tests less than it should")
	}
	followed := 0
	for _, row := range reportRows(t, dir, env) {
		id := row["request_id"]
		if id == "" {
			continue
		}
		line := requests[id]
		want, _ := line["status"].(float64)
		if line == nil || row["outcome"] == "removed" && (line.text("kind") != "delete" || fmt.Sprint(want) != row["status"]) {
			t.Errorf("row %s (%s %s) was by %v", row["row"], row["outcome"], row["status"], line)
		}
		followed++
	}
	if followed < 30 {
		t.Errorf("only %d rows could be followed", followed)
	}
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip("jq is not on PATH")
	}
	writeFile(t, dir, "worker.log", func(w io.Writer) { _, _ = io.WriteString(w, r.stderr) })
	for line := range strings.Lines(readFile(t, root+"/docs/logs.md")) {
		if !strings.HasPrefix(line, "jq ") {
			continue
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil || len(out) == 0 && strings.Contains(line, "msg") && !strings.Contains(line, "4f3c") && !strings.Contains(line, "> 5") {
			t.Errorf("%s%v\n%s", line, err, last(string(out), 500))
		}
	}
}

// busy has enqueued rows of both kinds, for a Graph that fails at times, and throttles
// until unthrottled.
func busy(t *testing.T) (server *redistest.Server, dir string, sim *simulator) {
	t.Helper()
	server = redistest.StartServer(t)
	dir = t.TempDir()
	writeFile(t, dir, "roster.csv", func(w io.Writer) {
		_, _ = fmt.Fprintln(w, "action,call_id,participant_id,user_id,phone,display_name")
		for n := range 40 {
			_, _ = fmt.Fprintf(w, "delete,call-%d,p-%d,,,\n", n%4, n)
		}
		for n := range 10 {
			_, _ = fmt.Fprintf(w, "invite,call-%d,,user-%d,,Jane Doe\n", n%2, n)
		}
		_, _ = fmt.Fprintln(w, "invite,call-3,,,+14255550100,Jane Doe")
	})
	sim = startSim(t, dir, "--latency", "5ms", "--ring", "0s-1s", "--window", "10/1h", "--retry-after", "1s", "--fault", "delete.unavailable=0.1", "--roster", "roster.csv")
	must(t, 0, dir, []string{"ROLLCALL_REDIS=" + server.URL()}, "enqueue", "roster.csv")
	return server, dir, sim
}

// unthrottled waits until Graph has throttled, and ends that.
func unthrottled(t testing.TB, sim *simulator) {
	t.Helper()
	testutil.Eventually(t, "Graph throttles", func() bool { return sim.state(t).Counters.ByStatus["429"] > 0 })
	sim.set(t, `{"limit":{}}`)
}

// reportRows reads the newest batch's report, by the names of its columns.
func reportRows(t testing.TB, dir string, env []string) (rows []map[string]string) {
	t.Helper()
	text := must(t, 0, dir, env, "batch", "report", "--only", "all").stdout
	all, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, cells := range all[1:] {
		row := map[string]string{}
		for i, name := range all[0] {
			row[name] = cells[i]
		}
		rows = append(rows, row)
	}
	return rows
}
