package tasks

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"rollcall/internal/graph"
	"rollcall/internal/graph/graphsim"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/roster"
	"rollcall/internal/testutil"
)

// mixed is a file of 10,000 rows over 50 calls: invites of users, of whom some
// are there already, and deletes by participant id and by user.
func mixed() string {
	var b strings.Builder
	b.WriteString("action,call_id,participant_id,user_id\n")
	for i := range 200 {
		for c := range 50 {
			switch {
			case i%10 == 9:
				fmt.Fprintf(&b, "delete,call-%d,,u-%d\n", c, i)
			case i%10 >= 7:
				fmt.Fprintf(&b, "delete,call-%d,p-%d-%d,\n", c, c, i)
			default:
				fmt.Fprintf(&b, "invite,call-%d,,u-%d\n", c, i)
			}
		}
	}
	return b.String()
}

// BenchmarkRequests carries a mixed file of 10,000 rows out, and the same file
// with one request a row and no look at any roster, and tells how many requests
// each takes and how much of what each reports is true. People ring for up to
// two seconds; three in a hundred decline.
func BenchmarkRequests(b *testing.B) {
	csv := mixed()
	cfg := graphsim.Config{
		Seed: 1, RingMin: 500 * time.Millisecond, RingMax: 2 * time.Second, DeclineRate: 0.03, PageSize: 100,
	}
	b.Run("rollcall", func(b *testing.B) {
		for b.Loop() {
			w := newWorld(b, redistest.Any(b), cfg)
			r := w.request(csv, true)
			w.populate(r)
			stop := w.work(func(c *WorkerConfig) { c.Concurrency = DefaultConcurrency })
			batch := w.put(r)
			testutil.Eventually(b, "the batch is finished", func() bool { return w.status(batch).Pending == 0 })
			stop()
			outcomes := w.rows(batch)
			report(b, w.sim, func(i int) bool { o := outcomes[i].Outcome; return o == ledger.Joined || o == ledger.AlreadyPresent }, r)
		}
	})
	b.Run("naive", func(b *testing.B) {
		for b.Loop() {
			w := newWorld(b, redistest.Any(b), cfg)
			r := w.request(csv, true)
			w.populate(r)
			accepted := w.naive(r)
			testutil.Eventually(b, "everybody has answered", func() bool { return !w.rings() })
			report(b, w.sim, func(i int) bool { return accepted[i] }, r)
		}
	})
}

// populate puts a tenth of those into the calls who are to be invited.
func (w *world) populate(r Request) {
	w.t.Helper()
	err := r.Input.Each(w.t.Context(), roster.Options{}, func(rec roster.Record) error {
		if c := rec.Change; c.Action == roster.Invite && c.Row%10 == 0 {
			w.sim.AddParticipant(c.CallID, graphsim.Participant{Kind: "user", Identity: c.ID})
		}
		return nil
	}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
}

// rings reports whether anybody is being rung.
func (w *world) rings() bool {
	for _, call := range w.sim.State().Calls {
		if len(call.Ringing) > 0 {
			return true
		}
	}
	return false
}

// naive sends one request for each row and believes its status. A delete by user
// takes the user's id for the participant's, as there is no other.
func (w *world) naive(r Request) (accepted []bool) {
	w.t.Helper()
	srv := httptest.NewServer(w.sim)
	defer srv.Close()
	c, err := graph.New(graph.Config{BaseURL: srv.URL, Tokens: staticToken{}, Concurrency: DefaultConcurrency})
	if err != nil {
		w.t.Fatal(err)
	}
	accepted = make([]bool, r.Summary.Rows)
	var g errgroup.Group
	g.SetLimit(DefaultConcurrency)
	err = r.Input.Each(w.t.Context(), roster.Options{}, func(rec roster.Record) error {
		c2 := rec.Change
		g.Go(func() error {
			if c2.Action == roster.Delete {
				id := c2.ParticipantID
				if id == "" {
					id = c2.ID
				}
				_, _ = c.Remove(w.t.Context(), "", c2.CallID, id)
				return nil
			}
			_, err := c.Invite(w.t.Context(), "", c2.CallID, graph.Invitation{
				Participants: []graph.Invitee{{Kind: identityKinds[c2.Kind], ID: c2.ID}},
			})
			accepted[c2.Row-1] = err == nil
			return nil
		})
		return nil
	}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := g.Wait(); err != nil {
		w.t.Fatal(err)
	}
	return accepted
}

// report compares what is said of each row with who is in the calls.
func report(b *testing.B, sim *graphsim.Sim, done func(i int) bool, r Request) {
	b.Helper()
	state := sim.State()
	here := map[string]bool{}
	rungInVain := 0
	for id, call := range state.Calls {
		for _, p := range call.Participants {
			here[id+" "+p.Kind+":"+p.Identity] = true
		}
	}
	wrong := 0
	i := 0
	err := r.Input.Each(b.Context(), roster.Options{}, func(rec roster.Record) error {
		c := rec.Change
		there := here[c.CallID+" user:"+c.ID]
		switch {
		case c.Action == roster.Invite && done(i) != there, c.Action == roster.Delete && c.Kind != roster.NoIdentity && there:
			wrong++
		}
		if c.Action == roster.Invite && c.Row%10 == 0 {
			rungInVain += state.Calls[c.CallID].Rings["user:"+c.ID]
		}
		i++
		return nil
	}, nil)
	if err != nil {
		b.Fatal(err)
	}
	k := state.Counters.ByKind
	n := float64(r.Summary.Rows)
	b.ReportMetric(float64(state.Counters.Requests)/n, "requests/row")
	b.ReportMetric(float64(k["invite"]), "POSTs")
	b.ReportMetric(float64(k["delete"]), "DELETEs")
	b.ReportMetric(float64(k["roster"]), "rosters")
	b.ReportMetric(float64(k["operation"]), "operations")
	b.ReportMetric(float64(wrong), "untrue")
	b.ReportMetric(float64(rungInVain), "rung-in-vain")
	b.ReportMetric(0, "ns/op")
}
