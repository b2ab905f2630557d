package tasks

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/graph"
	"rollcall/internal/graph/graphsim"
	"rollcall/internal/ratelimit"
	"rollcall/internal/redistest"
)

// look plans a file and looks at the rosters of its calls.
func (w *world) look(csv string, o LookOptions) *Plan {
	w.t.Helper()
	p, err := NewPlan(w.t.Context(), w.request(csv, false))
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := WorkerConfig{
		Redis: w.rdb, App: "test", Concurrency: 8,
		Graph: graph.Config{BaseURL: w.srv.URL, Dial: w.srv.Dial, Tokens: staticToken{}, Timeout: 10 * time.Second},
	}
	if err := p.Look(w.t.Context(), cfg, o); err != nil {
		w.t.Fatal(err)
	}
	return p
}

func TestLook(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{})
		var b strings.Builder
		b.WriteString("action,call_id,user_id,participant_id\n")
		for call := range 12 {
			for n := range 10 {
				w.sim.AddCall(fmt.Sprint("c", call))
				w.sim.AddParticipant(fmt.Sprint("c", call), graphsim.Participant{ID: fmt.Sprintf("p%d-%d", call, n), Kind: "user", Identity: fmt.Sprint("u", n)})
			}
		}
		for n := range 12 { // the calls' rows do not stand together
			for call := range 12 {
				fmt.Fprintf(&b, "%s,c%d,u%d,\n", [...]string{"delete", "invite"}[n%2], call, n)
			}
		}
		b.WriteString("delete,c0,,p0-0\n") // the same as u0, who leaves once
		b.WriteString("delete,c0,,p0-5\n")
		b.WriteString("delete,c0,,nobody\n")
		b.WriteString("delete,nowhere,,p1\n")
		p := w.look(b.String(), LookOptions{held: 25})
		got := p.Looked()
		got.endpoints = 0
		want := Looked{Live: Live{
			Removed: 12*5 + 2, AlreadyRemoved: 12 + 1, AlreadyPresent: 12 * 5, Invited: 12, CallEnded: 1,
			Shown: 120, Leaving: 12*5 + 1,
		}, Whole: 12, Over: 1}
		if got != want {
			t.Errorf("looked %+v, want %+v", got, want)
		}
		for _, r := range w.sim.Requests(0) {
			if r.Kind != graphsim.KindRoster {
				t.Errorf("a request of kind %s", r.Kind)
			}
		}
		if n := len(w.sim.Requests(0)); n != 13 {
			t.Errorf("%d requests for 13 rosters", n)
		}
		// What removals cost: those by identity that are there, and all by participant id.
		if r := p.Requests(true)[""]; r != (Requests{Invitations: 12, Removals: 12*5 + 3 + 1, Rosters: 24}) {
			t.Errorf("requests %+v", r)
		}
		p = w.look("action,call_id,user_id\ninvite,c1,u1\ndelete,c2,u1\n", LookOptions{DeletesOnly: true})
		if got := p.Looked(); got.Whole != 1 || got.Removed != 1 || got.AlreadyPresent != 0 {
			t.Errorf("of deletes only, looked %+v", got)
		}
	})
}

// TestLookInTrouble: a pause and a temporary error are waited out; what cannot be
// read is told.
func TestLookInTrouble(t *testing.T) {
	t.Parallel()
	const page = `{"value":[{"id":"p1","info":{"identity":{"user":{"id":"u1"}}}}]}`
	for name, tt := range map[string]struct {
		first, others int // statuses
		want          Looked
		doubt         string
		requests      int64
	}{
		"throttled":    {429, 200, Looked{Live: Live{Removed: 1, AlreadyRemoved: 1, Shown: 1, Leaving: 1}, Whole: 1}, "", 2},
		"by chance":    {503, 200, Looked{Live: Live{Removed: 1, AlreadyRemoved: 1, Shown: 1, Leaving: 1}, Whole: 1}, "", 2},
		"forbidden":    {403, 403, Looked{Live: Live{UnknownDeletes: 2}, Unreadable: 1}, "AllowRemoveParticipantAppIds", 1},
		"out of order": {500, 500, Looked{Live: Live{UnknownDeletes: 2}, Unreadable: 1}, "temporary (500", 2 * lookTries},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
				var n, writes atomic.Int64
				w := newWorldWith(t, rdb, http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
					if r.Method != http.MethodGet {
						writes.Add(1)
					}
					status := tt.others
					if n.Add(1) == 1 {
						status = tt.first
					}
					if status == 429 {
						out.Header().Set("Retry-After", "1")
					}
					out.WriteHeader(status)
					if status == 200 {
						_, _ = out.Write([]byte(page))
					}
				}))
				p := w.look("action,call_id,user_id\ndelete,c,u1\ndelete,c,u2\n", LookOptions{})
				got := p.Looked()
				got.endpoints = 0
				if got != tt.want || n.Load() != tt.requests || writes.Load() > 0 {
					t.Errorf("looked %+v, want %+v; %d requests, %d writes", got, tt.want, n.Load(), writes.Load())
				}
				if doubt := p.Calls(1)[0].Live.Doubt(); !strings.Contains(doubt, tt.doubt) || (doubt == "") != (tt.doubt == "") {
					t.Errorf("doubt %q", doubt)
				}
				if u := p.Unsure(5); (len(u) == 1) != (tt.doubt != "") {
					t.Errorf("unsure: %+v", u)
				}
			})
		})
	}
}

// TestLookWaitsForTheFleet: a pause that workers have met holds for a look, too.
func TestLookWaitsForTheFleet(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{AutoCalls: true})
		const pause = 1500 * time.Millisecond
		began := time.Now()
		if _, _, err := ratelimit.New(w.rdb, 0, 1).Refused(t.Context(), "test/", 0, pause, true); err != nil {
			t.Fatal(err)
		}
		p := w.look("action,call_id,user_id\ninvite,c,u1\n", LookOptions{})
		if got := p.Looked(); got.Invited != 1 {
			t.Errorf("looked %+v", got)
		}
		if r := w.sim.Requests(0); len(r) != 1 || r[0].Start.Sub(began) < pause {
			t.Errorf("requests %+v within the pause", r)
		}
	})
}
