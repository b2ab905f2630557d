package test

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// TestRedisOutage takes Redis away while 100 requests are under way: for less than
// claims live, and for longer than the queue's leases. None of them is made
// again, and work goes on when it is back.
func TestRedisOutage(t *testing.T) {
	t.Parallel()
	for _, outage := range []time.Duration{8 * time.Second, 35 * time.Second} {
		t.Run(outage.String(), func(t *testing.T) {
			t.Parallel()
			testRedisOutage(t, outage)
		})
	}
}

func testRedisOutage(t *testing.T, outage time.Duration) {
	const calls, perCall = 100, 12
	server := redistest.StartServer(t)
	dir := t.TempDir()
	deleteRoster(t, dir, "roster.csv", calls, perCall)
	sim := startSim(t, dir, "--latency", "600ms", "--roster", "roster.csv")
	workers := fleet(t, 2, server.URL(), sim.url, "--concurrency", "64", "--log-level", "info")
	env := []string{"ROLLCALL_REDIS=" + server.URL()}
	waiting := start(t, dir, env, "enqueue", "--wait", "--output", "json", "roster.csv")
	// Each is to someone else: who was removed was so by one request.
	testutil.Eventually(t, "a hundred are under way", func() bool { return sim.state(t).Counters.InFlight >= 100 })
	server.Kill()
	under, used := sim.state(t).Counters.InFlight, cpu(t, workers)
	time.Sleep(outage) // what the test is about, not a condition
	used = cpu(t, workers) - used
	before := sim.state(t).Counters.Requests
	server.Start()
	back := time.Now()
	testutil.Eventually(t, "work goes on", func() bool { return sim.state(t).Counters.Requests > before })
	took := time.Since(back)
	st := finished(t, waiting)
	st.whole(t, calls*perCall)
	state := sim.state(t)
	t.Logf("%d requests were under way; two workers used %s of processor time in %s; back at work after %.1f s; %d requests for %d rows",
		under, used, outage, took.Seconds(), state.Counters.ByKind["delete"], calls*perCall)
	if n := state.Counters.ByKind["delete"]; n != calls*perCall || st.Outcomes["removed"] != calls*perCall {
		t.Errorf("%d requests for %d rows; outcomes are %v", n, calls*perCall, st.Outcomes)
	}
	if took > 10*time.Second { // a dead worker's tasks take longer
		t.Errorf("work went on %s after Redis was back", took)
	}
	for _, w := range workers {
		if said := w.err.String(); strings.Count(said, "does not answer") != 1 || strings.Count(said, "answers again") != 1 || strings.Count(said, "\n") > 12 {
			t.Errorf("a worker says:\n%s", said)
		}
	}
}

// cpu is the processor time that processes have used.
func cpu(t testing.TB, all []*process) (used time.Duration) {
	t.Helper()
	for _, p := range all {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		if err != nil {
			t.Skip("the system does not tell the processor time of a process: ", err)
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		var user, system int64
		if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
			t.Fatal(err)
		}
		used += time.Duration(user+system) * (time.Second / 100)
	}
	return used
}

// TestFlushed empties Redis in the middle of a batch. That is said, and the same
// enqueue is the way out.
func TestFlushed(t *testing.T) {
	t.Parallel()
	const calls, perCall = 10, 60
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
	const calls, perCall, workers = 30, 60, 3
	server := redistest.StartServer(t)
	dir := t.TempDir()
	sim := halfRoster(t, dir, calls, perCall, "--latency", "150ms")
	args := []string{"--rate", "120", "--concurrency", "16"}
	all := fleet(t, workers, server.URL(), sim.url, args...)
	env := []string{"ROLLCALL_REDIS=" + server.URL()}
	waiting := start(t, dir, env, "enqueue", "--wait", "--output", "json", "roster.csv")
	restarts := 0
	for waiting.running() {
		before := sim.state(t).Counters.Requests
		testutil.Eventually(t, "work goes on", func() bool {
			return sim.state(t).Counters.Requests > before+60 || !waiting.running()
		})
		who := restarts % workers
		begun := time.Now()
		if r := all[who].signal(syscall.SIGTERM); r.status != 0 || time.Since(begun) > 10*time.Second {
			t.Errorf("a worker ended after %s with exit status %d\n%s", time.Since(begun), r.status, r.stderr)
		}
		all[who] = fleet(t, 1, server.URL(), sim.url, args...)[0]
		restarts++
	}
	st := finished(t, waiting)
	carriedOut(t, st, sim, calls*perCall)
	t.Logf("%d restarts", restarts)
	if restarts < workers {
		t.Error("not every worker was restarted: the test tests nothing")
	}
}

// TestEndWithoutRedis tells workers to end whose Redis does not answer, while they
// have requests under way.
func TestEndWithoutRedis(t *testing.T) {
	t.Parallel()
	const timeout = 3 * time.Second
	for _, how := range []string{"cut", "hole"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			server, addr := redistest.StartTCP(t)
			p := newProxy(t, how, addr)
			dir := t.TempDir()
			deleteRoster(t, dir, "roster.csv", 40, 10)
			sim := startSim(t, dir, "--latency", "300ms", "--roster", "roster.csv")
			must(t, 0, dir, []string{"ROLLCALL_REDIS=" + server.URL()}, "enqueue", "roster.csv")
			worker := fleet(t, 1, "redis://"+p.Listen, sim.url, "--shutdown-timeout", timeout.String())[0]
			testutil.Eventually(t, "requests are under way", func() bool { return sim.state(t).Counters.InFlight > 20 })
			if how == "cut" {
				p.Stop()
			} else {
				toxic(t, p, "hole", `"type":"timeout","stream":"upstream","attributes":{"timeout":0}`)
			}
			asked := sim.state(t).Counters.Requests
			testutil.Eventually(t, "the requests are over", func() bool { return sim.state(t).Counters.InFlight == 0 })
			begun := time.Now()
			r := worker.signal(syscall.SIGTERM)
			took := time.Since(begun)
			t.Logf("%s: ended after %.1f s, %d requests", how, took.Seconds(), asked)
			// Without a bound it would wait for Redis for ever; a busy machine needed 16 s.
			if r.status != 0 || took > timeout+30*time.Second {
				t.Errorf("ended after %s with exit status %d\n%s", took, r.status, r.stderr)
			}
			// Another one does the rest.
			fleet(t, 1, server.URL(), sim.url)
			var st batchStatus
			must(t, 0, dir, []string{"ROLLCALL_REDIS=" + server.URL()}, "enqueue", "--wait", "--output", "json", "roster.csv").json(t, &st)
			st.whole(t, 400)
		})
	}
}

// BenchmarkRecovery kills a worker with rows in hand, b.N times, and measures how
// long it takes until all of them move again.
//
//	go test ./test -run '^$' -bench Recovery -benchtime 20x
func BenchmarkRecovery(b *testing.B) {
	const calls, perCall = 8, 2
	server := redistest.StartServer(b)
	env := []string{"ROLLCALL_REDIS=" + server.URL()}
	var all []time.Duration
	for i := range b.N {
		dir := b.TempDir()
		writeFile(b, dir, "roster.csv", func(w io.Writer) {
			_, _ = fmt.Fprintln(w, "action,call_id,participant_id")
			for c := range calls {
				for p := range perCall {
					_, _ = fmt.Fprintf(w, "delete,call-%d-%d,p-%d\n", i, c, p)
				}
			}
		})
		// The one that dies waits for a Graph that does not answer.
		stuck := startSim(b, dir, "--latency", "10m", "--roster", "roster.csv")
		sim := startSim(b, dir, "--latency", "1ms", "--roster", "roster.csv")
		dies := fleet(b, 1, server.URL(), stuck.url)[0]
		must(b, 0, dir, env, "enqueue", "roster.csv")
		testutil.Eventually(b, "all is under way", func() bool { return stuck.state(b).Counters.InFlight == calls })
		other := fleet(b, 1, server.URL(), sim.url)[0]
		time.Sleep(time.Duration(i%5) * time.Second) // another moment of the leases' beat
		killed := time.Now()
		dies.signal(os.Kill)
		testutil.Eventually(b, "all has been done", func() bool { return sim.state(b).Counters.ByStatus["204"] == calls*perCall })
		all = append(all, time.Since(killed))
		other.signal(syscall.SIGTERM)
	}
	slices.Sort(all)
	b.ReportMetric(0, "ns/op") // how long it all took says nothing
	b.ReportMetric(all[len(all)/2].Seconds(), "median-s")
	b.ReportMetric(all[len(all)-1].Seconds(), "max-s")
}
