//go:build endurance

package test

import (
	"encoding/json"
	"fmt"
	"net/http"
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
	t.Parallel()
	const calls, perCall, workers, concurrency = 20, 30, 3, 3
	server := redistest.StartServer(t)
	dir := t.TempDir()
	deleteRoster(t, dir, "roster.csv", calls, perCall)
	sim := startSim(t, dir, "--latency", "50ms", "--roster", "roster.csv", "--limit", "80/s")
	fleet(t, workers, server.URL(), sim.url, "--max-attempts", "1", "--concurrency", fmt.Sprint(concurrency))
	env := []string{"ROLLCALL_REDIS=" + server.URL()}
	must(t, 0, dir, env, "enqueue", "roster.csv")
	testutil.Eventually(t, "half is done", func() bool {
		return sim.state(t).Counters.ByStatus["204"] > calls*perCall/2
	})
	sim.set(t, `{"limit":{"rate":30}}`)
	var st batchStatus
	must(t, 0, dir, env, "enqueue", "--wait", "--output", "json", "roster.csv").json(t, &st)
	st.whole(t, calls*perCall)
	if st.Outcomes["removed"] != calls*perCall {
		t.Errorf("outcomes are %v", st.Outcomes)
	}
	all := sim.requests(t)
	inWaits(t, all, workers*concurrency)
	if !slices.ContainsFunc(all, func(r sent) bool { return r.Status == http.StatusTooManyRequests }) {
		t.Error("nothing was refused: the test tests nothing")
	}
}

// inWaits makes sure that waits are kept by senders of whom each has one request
// under way at a time. Whatever has been sent when a wait is announced may come late,
// however slow the machine; its sender is refused, and then knows of the wait. So no
// sender has more than one request in a wait, or in a second of one that such requests
// have made longer.
func inWaits(t testing.TB, all []sent, senders int) {
	t.Helper()
	type wait struct {
		came int
		last time.Duration
	}
	waits := map[time.Time]*wait{} // by when they were announced
	for _, r := range all {
		if !r.Throttled {
			continue
		}
		opened := r.Start.Add(-time.Duration(r.Since)).Truncate(time.Microsecond)
		w := waits[opened]
		if w == nil {
			w = &wait{}
			waits[opened] = w
		}
		w.came++
		w.last = max(w.last, time.Duration(r.Since))
	}
	for opened, w := range waits {
		t.Logf("%d requests came within %s of the wait announced at %s", w.came, w.last, opened.Format(time.StampMilli))
		if most := senders * (1 + int(w.last/time.Second)); w.came > most {
			t.Errorf("%d senders sent %d requests in a wait of %s or more", senders, w.came, w.last)
		}
	}
}

// TestCeiling: no second holds more requests than --rate allows, from all workers together.
func TestCeiling(t *testing.T) {
	t.Parallel()
	const calls, perCall, rate, concurrency = 20, 25, 50, 3
	server := redistest.StartServer(t)
	dir := t.TempDir()
	deleteRoster(t, dir, "roster.csv", calls, perCall)
	sim := startSim(t, dir, "--latency", "50ms", "--roster", "roster.csv")
	args := []string{"--rate", fmt.Sprint(rate), "--concurrency", fmt.Sprint(concurrency)}
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
	// Redis deals out slots at the rate. One can be taken until 50 ms after its time, and a
	// sender that has taken one may be late, however late on a slow machine.
	const senders = 4 * concurrency
	for _, seconds := range []int{1, 5} {
		most, from := seconds*rate+rate/20+1+senders, 0
		for i := range all {
			for all[i].Start.Sub(all[from].Start) >= time.Duration(seconds)*time.Second {
				from++
			}
			if n := i - from + 1; n > most {
				t.Fatalf("%d requests in %d s at a rate of %d", n, seconds, rate)
			}
		}
	}
}
