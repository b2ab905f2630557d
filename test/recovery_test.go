//go:build endurance

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

// TestSentinelFailover kills the master in the middle of a batch. What is known
// of those who ring is on the replica before they do.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	const calls, perCall = 40, 50
	redis := redistest.StartSentinels(t)
	dir := t.TempDir()
	sim := halfRoster(t, dir, calls, perCall, "--limit", "200/s")
	url := redis.URL() + "&replicas=1"
	env := []string{"ROLLCALL_REDIS=" + url}
	workers := fleet(t, 2, url, sim.url)
	waiting := start(t, dir, env, "enqueue", "--wait", "--output", "json", "roster.csv")
	half(t, sim, calls*perCall)
	sim.set(t, `{"limit":{"rate":10}}`) // it goes on, and not to its end
	redis.Master.Kill()
	killed := time.Now()
	before := sim.state(t).Counters.Requests
	testutil.Eventually(t, "work goes on", func() bool { return sim.state(t).Counters.Requests > before+20 })
	t.Logf("back at work %.1f s after the master was killed", time.Since(killed).Seconds())
	sim.set(t, `{"limit":{}}`)
	redis.Master.Start() // a replica of the other from now on
	st := finished(t, waiting)
	carriedOut(t, st, sim, calls*perCall)
	saidOnce(t, workers...)
}

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
	sim := startSim(t, dir, "--latency", "5s", "--roster", "roster.csv")
	workers := fleet(t, 2, server.URL(), sim.url, "--concurrency", "64", "--log-level", "info")
	env := []string{"ROLLCALL_REDIS=" + server.URL()}
	waiting := start(t, dir, env, "enqueue", "--wait", "--output", "json", "roster.csv")
	// Each is to someone else: who was removed was so by one request.
	testutil.Eventually(t, "a hundred are under way", func() bool { return sim.state(t).Counters.InFlight >= 100 })
	server.Kill()
	sim.set(t, `{"latency":"100ms"}`)
	under, used := sim.state(t).Counters.InFlight, cpu(t, workers)
	hold(t, outage)
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

// BenchmarkRecovery kills a worker with rows in hand, b.N times, and measures how
// long it takes until all of them move again.
//
//	go test -tags endurance ./test -run '^$' -bench Recovery -benchtime 20x -timeout 30m
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
		hold(b, time.Duration(i%5)*time.Second) // another moment of the leases' beat
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
