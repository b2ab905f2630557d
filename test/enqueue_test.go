//go:build integration

package test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"rollcall/internal/redistest"
)

// TestEnqueueKilled kills an enqueue eight times, at random places in what it
// sends to Redis, and a worker busy behind it, before it may come to its end. Every row must be
// there once.
func TestEnqueueKilled(t *testing.T) {
	t.Parallel()
	const calls, perCall, kills = 25, 80, 8
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
