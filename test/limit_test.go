package test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// sent is what the tests read of /_sim/requests.
type sent struct {
	Start     time.Time `json:"start"`
	Status    int       `json:"status"`
	Throttled bool      `json:"sent_while_throttled"`
	Since     int64     `json:"since_throttle_ns"`
}

// requests gives all requests in the order in which they came.
func (s *simulator) requests(t testing.TB) []sent {
	t.Helper()
	var all []sent
	for {
		text, err := s.request("GET", fmt.Sprintf("requests?since=%d", len(all)), "")
		if err != nil {
			t.Fatal(err)
		}
		var part struct {
			Requests []sent `json:"requests"`
		}
		if err := json.Unmarshal(text, &part); err != nil {
			t.Fatal(err)
		}
		if len(part.Requests) == 0 {
			slices.SortFunc(all, func(a, b sent) int { return a.Start.Compare(b.Start) })
			return all
		}
		all = append(all, part.Requests...)
	}
}

// TestThrottledFleet: three workers meet a limit that they do not know, and that
// falls. Nobody sends while Graph has asked to wait, and no row pays for it.
func TestThrottledFleet(t *testing.T) {
	// Not beside others: it looks at when requests come.
	const calls, perCall = 20, 30
	server := redistest.StartServer(t)
	dir := t.TempDir()
	deleteRoster(t, dir, "roster.csv", calls, perCall)
	sim := startSim(t, dir, "--latency", "50ms", "--roster", "roster.csv", "--limit", "80/s")
	fleet(t, 3, server.URL(), sim.url, "--max-attempts", "1")
	env := []string{"ROLLCALL_REDIS=" + server.URL()}
	must(t, 0, dir, env, "enqueue", "roster.csv")
	testutil.Eventually(t, "half is done", func() bool {
		return sim.state(t).Counters.ByStatus["204"] > calls*perCall/2
	})
	if _, err := sim.request("POST", "faults", `{"limit":{"rate":30}}`); err != nil {
		t.Fatal(err)
	}
	var st batchStatus
	must(t, 0, dir, env, "enqueue", "--wait", "--output", "json", "roster.csv").json(t, &st)
	st.whole(t, calls*perCall)
	if st.Outcomes["removed"] != calls*perCall {
		t.Errorf("outcomes are %v", st.Outcomes)
	}
	refused := 0
	for _, r := range sim.requests(t) {
		if r.Status == 429 {
			refused++
		}
		// What is under way when the answer leaves cannot know of it. On a busy
		// machine that may take a while; a request after that did not ask.
		if r.Throttled && time.Duration(r.Since) > 250*time.Millisecond {
			t.Errorf("a request was sent %s into a wait", time.Duration(r.Since))
		}
	}
	if refused == 0 {
		t.Error("nothing was refused: the test tests nothing")
	}
}

// TestCeiling: no second holds more requests than --rate allows, whoever sends
// them, and all of the rate is used.
func TestCeiling(t *testing.T) {
	// Not beside others: it looks at when requests come.
	const calls, perCall, rate = 20, 25, 50
	server := redistest.StartServer(t)
	dir := t.TempDir()
	deleteRoster(t, dir, "roster.csv", calls, perCall)
	sim := startSim(t, dir, "--latency", "50ms", "--roster", "roster.csv")
	args := []string{"--rate", fmt.Sprint(rate)}
	fleet(t, 2, server.URL(), sim.url, args...)
	env := []string{"ROLLCALL_REDIS=" + server.URL()}
	must(t, 0, dir, env, "enqueue", "roster.csv")
	testutil.Eventually(t, "a third is done", func() bool {
		return sim.state(t).Counters.Requests > calls*perCall/3
	})
	fleet(t, 2, server.URL(), sim.url, args...)
	must(t, 0, dir, env, "enqueue", "--wait", "roster.csv")
	all := sim.requests(t)
	if len(all) != calls*perCall {
		t.Errorf("%d requests", len(all))
	}
	// 5 % are promised of any second. A busy machine sends late what it should have sent
	// before, which makes a second too full, and hardly five of them.
	for _, c := range []struct {
		span time.Duration
		most int
	}{{time.Second, rate * 3 / 2}, {5 * time.Second, 5 * rate * 11 / 10}} {
		from := 0
		for i := range all {
			for all[i].Start.Sub(all[from].Start) >= c.span {
				from++
			}
			if n := i - from + 1; n > c.most {
				t.Fatalf("%d requests in %s at a rate of %d", n, c.span, rate)
			}
		}
	}
}
