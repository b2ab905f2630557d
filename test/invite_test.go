//go:build endurance

package test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"rollcall/internal/redistest"
)

// truly compares the outcomes of invites with what the simulator knows.
func truly(t testing.TB, report table, state simState) {
	t.Helper()
	joined := map[string]bool{}
	for id, call := range state.Calls {
		for _, who := range call.Joined {
			joined[id+" "+who] = true
		}
		if len(call.Ringing) > 0 {
			t.Errorf("%s: %d people are still rung", id, len(call.Ringing))
		}
	}
	wrong := 0
	for _, row := range report.rows {
		came := joined[report.cell(row, "call_id")+" user:"+report.cell(row, "user_id")]
		if o := report.cell(row, "outcome"); came != (o == "joined" || o == "already_present") {
			if wrong++; wrong <= 5 {
				t.Errorf("row %s is %s (%s), and that they joined is %t", report.cell(row, "row"), o, report.cell(row, "detail"), came)
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d rows have an outcome that is not true", wrong)
	}
}

// gets counts the requests that only read.
func (s simState) gets() int { return s.Counters.ByKind["roster"] + s.Counters.ByKind["operation"] }

// TestTenThousandInvites invites 10,000 people to 50 calls, some of whom decline or do not
// answer, and who ring for up to as long as Graph rings; without -long it is fewer people
// and a shorter time.
func TestTenThousandInvites(t *testing.T) {
	t.Parallel()
	const life = 5 // of a roster, in seconds, until it is read again
	calls, perCall, ring := 20, 100, 15
	if *long {
		calls, perCall, ring = 50, 200, 60
	}
	server := redistest.StartServer(t)
	dir := t.TempDir()
	inviteRoster(t, dir, "roster.csv", calls, perCall)
	sim := startSim(t, dir, "--latency", "1ms", "--ring", fmt.Sprintf("2s-%ds", ring), "--decline", "0.03", "--no-answer", "0.02",
		"--page-size", "100", "--roster", "roster.csv")
	fleet(t, 1, server.URL(), sim.url)
	env := []string{"ROLLCALL_REDIS=" + server.URL()}
	must(t, 4, dir, env, "enqueue", "--wait", "--report", "report.csv", "roster.csv")
	report := readTableFile(t, dir+"/report.csv")
	outcomes := reported(t, report, readTableFile(t, dir+"/roster.csv"))
	state := sim.state(t)
	rungOnce(t, state, calls*perCall)
	truly(t, report, state)
	posts, gets := state.Counters.ByKind["invite"], state.gets()
	t.Logf("%v: %d POSTs, %d GETs of rosters and %d of operations (10 %% of POSTs × ring time ÷ snapshot life is %d)", outcomes, posts,
		state.Counters.ByKind["roster"], state.Counters.ByKind["operation"], posts*ring/life/10)
	if posts > calls*perCall/5 {
		t.Errorf("%d POSTs", posts)
	}
	// By the simulator's clock: on a slow machine people ring for longer, from the first
	// invitation to the last look.
	all := sim.requests(t)
	took := int(all[len(all)-1].Start.Sub(all[0].Start).Seconds())
	if bound := posts * max(ring, took) / life / 10; gets >= bound {
		t.Errorf("%d GETs, want less than %d", gets, bound)
	}
	if n := outcomes["joined"] + outcomes["declined"]; n != calls*perCall {
		t.Errorf("outcomes are %v", outcomes)
	}
}

// TestKilledWhileRinging loses answers, refuses requests and kills a worker every
// two seconds for a minute, or without -long for some seconds. Nobody is rung twice, and
// all rows end.
func TestKilledWhileRinging(t *testing.T) {
	t.Parallel()
	const workers = 3
	calls, perCall, kills := 20, 60, 3
	if *long {
		calls, perCall, kills = 40, 250, 30
	}
	server := redistest.StartServer(t)
	dir := t.TempDir()
	inviteRoster(t, dir, "roster.csv", calls, perCall)
	sim := startSim(t, dir, "--latency", "20ms", "--ring", "1s-5s", "--page-size", "100", "--roster", "roster.csv",
		"--fault", "invite.lost=0.1", "--fault", "invite.unavailable=0.1", "--fault", "invite.reset=0.05")
	args := []string{"--confirm-timeout", "30s", "--concurrency", "16", "--rate", "60"}
	fleetOf := fleet(t, workers, server.URL(), sim.url, args...)
	env := []string{"ROLLCALL_REDIS=" + server.URL()}
	waiting := start(t, dir, env, "enqueue", "--wait", "--report", "report.csv", "roster.csv")
	for range kills {
		hold(t, 2*time.Second)
		n := rand.N(workers)
		fleetOf[n].signal(os.Kill)
		fleetOf[n] = fleet(t, 1, server.URL(), sim.url, args...)[0]
	}
	r := waiting.wait()
	if r.status != 0 && r.status != 4 {
		t.Fatalf("enqueue --wait: exit status %d\n%s", r.status, r.stderr)
	}
	report := readTableFile(t, dir+"/report.csv")
	outcomes := reported(t, report, readTableFile(t, dir+"/roster.csv"))
	state := sim.state(t)
	t.Logf("%d kills, %v; %v", kills, outcomes, state.Counters.ByKind)
	rungNoneAgain(t, state)
	truly(t, report, state)
	// How many join is up to chance.
	if outcomes["pending"] != 0 || outcomes["joined"] == 0 {
		t.Errorf("outcomes are %v", outcomes)
	}
}
