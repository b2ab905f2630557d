//go:build integration

package test

import (
	"strings"
	"syscall"
	"testing"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// TestFlushed empties Redis in the middle of a batch. That is said, and the same
// enqueue is the way out.
func TestFlushed(t *testing.T) {
	t.Parallel()
	const calls, perCall = 10, 40
	server := redistest.StartServer(t)
	dir := t.TempDir()
	deleteRoster(t, dir, "roster.csv", calls, perCall)
	sim := startSim(t, dir, "--latency", "50ms", "--roster", "roster.csv", "--limit", "150/s")
	workers := fleet(t, 2, server.URL(), sim.url)
	env := []string{"ROLLCALL_REDIS=" + server.URL()}
	waiting := start(t, dir, env, "enqueue", "--wait", "roster.csv")
	testutil.Eventually(t, "a third is done", func() bool {
		return sim.state(t).Counters.ByStatus["204"] >= calls*perCall/3
	})
	sim.set(t, `{"limit":{"rate":5}}`) // so that it does not come to its end
	id := strings.TrimSuffix(strings.Fields(must(t, 0, dir, env, "batch", "status").stdout)[1], ":")
	if err := server.Client(t).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for what, r := range map[string]result{
		"enqueue --wait": waiting.wait(), "batch status": run(t, dir, env, "batch", "status", id), "batch report": run(t, dir, env, "batch", "report", id),
	} {
		if r.status != 1 || !strings.Contains(r.stderr, "Redis lost its data") || !strings.Contains(r.stderr, "the same file again is safe") {
			t.Errorf("%s: exit status %d, says %q", what, r.status, r.stderr)
		}
	}
	sim.set(t, `{"limit":{}}`)
	var st batchStatus
	must(t, 0, dir, env, "enqueue", "--wait", "--output", "json", "roster.csv").json(t, &st)
	st.whole(t, calls*perCall)
	if st.Batch != id || st.Outcomes["removed"]+st.Outcomes["already_removed"] != calls*perCall {
		t.Errorf("batch %s, was %s; outcomes are %v", st.Batch, id, st.Outcomes)
	}
	saidOnce(t, workers...)
}

// TestRollingRestart tells each of three workers in turn to end, and starts it
// again, while a batch runs. Nothing is done twice.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	const calls, perCall, workers = 30, 30, 3
	server := redistest.StartServer(t)
	dir := t.TempDir()
	sim := halfRoster(t, dir, calls, perCall, "--latency", "150ms")
	args := []string{"--rate", "120", "--concurrency", "16"}
	all := fleet(t, workers, server.URL(), sim.url, args...)
	env := []string{"ROLLCALL_REDIS=" + server.URL()}
	waiting := start(t, dir, env, "enqueue", "--wait", "--output", "json", "roster.csv")
	for who := range all {
		before := sim.state(t).Counters.Requests
		testutil.Eventually(t, "work goes on", func() bool {
			return sim.state(t).Counters.Requests > before+40 || !waiting.running()
		})
		if !waiting.running() {
			t.Logf("the batch was finished before worker %d was restarted", who)
		}
		if r := all[who].signal(syscall.SIGTERM); r.status != 0 {
			t.Errorf("a worker ended with exit status %d\n%s", r.status, r.stderr)
		}
		all[who] = fleet(t, 1, server.URL(), sim.url, args...)[0]
	}
	carriedOut(t, finished(t, waiting), sim, calls*perCall)
}

// TestEndWithoutRedis tells workers to end whose Redis does not answer, while they
// have requests under way.
func TestEndWithoutRedis(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"cut", "hole"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			server, addr := redistest.StartTCP(t)
			p := newProxy(t, how, addr)
			dir := t.TempDir()
			deleteRoster(t, dir, "roster.csv", 40, 10)
			sim := startSim(t, dir, "--latency", "3s", "--roster", "roster.csv")
			must(t, 0, dir, []string{"ROLLCALL_REDIS=" + server.URL()}, "enqueue", "roster.csv")
			worker := fleet(t, 1, "redis://"+p.Listen, sim.url, "--shutdown-timeout", "3s")[0]
			testutil.Eventually(t, "requests are under way", func() bool { return sim.state(t).Counters.InFlight > 20 })
			if how == "cut" {
				p.Stop()
			} else {
				toxic(t, p, "hole", `"type":"timeout","stream":"upstream","attributes":{"timeout":0}`)
			}
			sim.set(t, `{"latency":"20ms"}`)
			testutil.Eventually(t, "the requests are over", func() bool { return sim.state(t).Counters.InFlight == 0 })
			// Without a bound it would wait for Redis for ever.
			if r := worker.signal(syscall.SIGTERM); r.status != 0 {
				t.Errorf("ended with exit status %d\n%s", r.status, r.stderr)
			}
			// Another one does the rest.
			fleet(t, 1, server.URL(), sim.url)
			var st batchStatus
			must(t, 0, dir, []string{"ROLLCALL_REDIS=" + server.URL()}, "enqueue", "--wait", "--output", "json", "roster.csv").json(t, &st)
			st.whole(t, 400)
		})
	}
}
