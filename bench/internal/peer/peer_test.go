package peer

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rollcall/bench/internal/work"
	"rollcall/internal/graph/graphsim"
)

// simulated is a graph with two users in a call.
func simulated(t *testing.T, limit graphsim.Limit) (*graph, *graphsim.Sim) {
	t.Helper()
	sim, err := graphsim.New(graphsim.Config{AutoCalls: true, Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	sim.AddParticipant("c", graphsim.Participant{Identity: "u-1"})
	sim.AddParticipant("c", graphsim.Participant{Identity: "u-2"})
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	return newGraph(server.URL), sim
}

func TestCarryOut(t *testing.T) {
	g, sim := simulated(t, graphsim.Limit{})
	for _, r := range []work.Row{
		{Call: "c", User: "u-1"}, {Call: "c", User: "u-3", Invite: true}, {Call: "d", Participant: "nobody"},
	} {
		if err := carryOut(t.Context(), g.send, r); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
	var there []string
	for _, p := range sim.State().Calls["c"].Participants {
		there = append(there, p.Identity)
	}
	if got := strings.Join(there, " "); got != "u-2 u-3" {
		t.Errorf("in the call are %s", got)
	}
	if n := sim.Counters().Requests; n != 4 {
		t.Errorf("%d requests", n)
	}
	if err := carryOut(t.Context(), g.send, work.Row{Call: "ended-1", User: "u", Invite: true}); !errors.Is(err, errAnswer) {
		t.Errorf("a call that does not exist: %v", err)
	}
}

func TestThrottled(t *testing.T) {
	g, _ := simulated(t, graphsim.Limit{Rate: 0.5, Burst: 1})
	row := work.Row{Call: "c", Participant: "nobody"}
	if err := carryOut(t.Context(), g.send, row); err != nil {
		t.Fatal(err)
	}
	err := carryOut(t.Context(), g.send, row)
	if e, ok := errors.AsType[*throttled](err); !ok || e.after != 2*time.Second {
		t.Errorf("%v", err)
	}
}

func TestRetrying(t *testing.T) {
	asked, answers := 0, []int{429, 429, 204}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(answers[asked%len(answers)])
		asked++
	}))
	defer server.Close()
	g := newGraph(server.URL)
	got, err := g.retrying(t.Context(), request{method: "DELETE", path: "/x"})
	if err != nil || got.status != 204 || asked != 3 {
		t.Errorf("%d requests: %+v, %v", asked, got, err)
	}
	asked, answers = 0, []int{429}
	_, err = g.retrying(t.Context(), request{method: "DELETE", path: "/x"})
	if _, ok := errors.AsType[*throttled](err); !ok || asked != 1+maxRetries {
		t.Errorf("%d requests: %v", asked, err)
	}
}

func TestClasses(t *testing.T) {
	told := map[string]float64{"": 100, "/reads": 10, "a": 20}
	for class, want := range map[string]string{"": "", "/reads": "/reads", "a": "a", "a/reads": "a"} {
		if got := classOf(told, class); got != want {
			t.Errorf("%q counts as %q, want %q", class, got, want)
		}
	}
	// A quarter of 20 a second, one at a time: the third has waited 400 ms.
	s := newShare(told, 4)
	begun := time.Now()
	for range 3 {
		if err := s.wait(context.Background(), "a/reads"); err != nil {
			t.Fatal(err)
		}
	}
	if d := time.Since(begun); d < 390*time.Millisecond {
		t.Errorf("the third went after %s", d)
	}
}
