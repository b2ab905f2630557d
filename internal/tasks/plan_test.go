package tasks

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"rollcall/internal/graph/graphsim"
	"rollcall/internal/redistest"
	"rollcall/internal/roster"
)

// naive is which rows share a name with a later row of their call.
func naive(rows []roster.Change) map[int64]bool {
	over := map[int64]bool{}
	newest := map[string]int64{}
	for _, c := range rows {
		for _, k := range c.Keys() {
			name := c.CallKey() + "\n" + k
			if was := newest[name]; was > 0 {
				over[was] = true
			}
			newest[name] = c.Row
		}
	}
	return over
}

// changes are rows about few people of few calls, some under two names.
func changes(seed uint64, n, calls, people int) []roster.Change {
	rnd := rand.New(rand.NewPCG(seed, 1))
	rows := make([]roster.Change, n)
	for i := range rows {
		c := roster.Change{Row: int64(i + 1), Action: roster.Action(1 + rnd.IntN(2)), CallID: fmt.Sprint("c", rnd.IntN(calls)), TenantID: [...]string{"", "T", "t"}[rnd.IntN(3)]}
		if c.Action == roster.Invite || rnd.IntN(2) == 0 {
			c.Kind, c.ID = roster.Kind(1+rnd.IntN(2)), fmt.Sprint("u", rnd.IntN(people))
		}
		if c.Kind == roster.NoIdentity || rnd.IntN(3) == 0 {
			c.ParticipantID = fmt.Sprint("p", rnd.IntN(people))
		}
		rows[i] = c
	}
	return rows
}

func checkSuperseded(t *testing.T, rows []roster.Change, most int) {
	t.Helper()
	p := newPlan(Request{Summary: &roster.Summary{Rows: int64(len(rows))}})
	s := newSpill()
	s.most = most
	defer s.close()
	for _, c := range rows {
		if err := p.add(roster.Record{Change: c, Line: int(c.Row)}, s); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.supersede(s); err != nil {
		t.Fatal(err)
	}
	want := naive(rows)
	wantCall := map[string]int64{}
	for _, c := range rows {
		if p.superseded(c.Row) != want[c.Row] {
			t.Fatalf("row %d superseded: %v", c.Row, !want[c.Row])
		}
		if want[c.Row] {
			wantCall[c.CallKey()]++
		}
	}
	if p.Superseded != int64(len(want)) {
		t.Errorf("%d superseded, want %d", p.Superseded, len(want))
	}
	rest := int64(0)
	for _, c := range p.Calls(len(rows)) {
		if n := wantCall[roster.Change{TenantID: c.Tenant, CallID: c.Call}.CallKey()]; n != c.Superseded {
			t.Errorf("call %s/%s: %d superseded, want %d", c.Tenant, c.Call, c.Superseded, n)
		}
		rest += c.Invites + c.Deletes
	}
	if rest != int64(len(rows)) {
		t.Errorf("the calls have %d rows, want %d", rest, len(rows))
	}
}

func TestSuperseded(t *testing.T) {
	for seed := range uint64(200) {
		checkSuperseded(t, changes(seed, 1+int(seed)*3, 1+int(seed%5), 1+int(seed%40)), spillMost)
	}
	t.Run("in a file", func(t *testing.T) { checkSuperseded(t, changes(1, 200_000, 30, 2000), 3) })
	t.Run("one person", func(t *testing.T) { checkSuperseded(t, changes(1, 50_000, 1, 1), 3) })
	t.Run("without a place", func(t *testing.T) {
		t.Setenv("TMPDIR", "/nowhere")
		checkSuperseded(t, changes(1, 100_000, 30, 2000), 3)
	})
}

func FuzzSuperseded(f *testing.F) {
	f.Add(uint64(1), uint16(40), uint8(3), uint8(9), uint8(0))
	f.Fuzz(func(t *testing.T, seed uint64, n uint16, calls, people, most uint8) {
		checkSuperseded(t, changes(seed, int(n), 1+int(calls), 1+int(people)), int(most))
	})
}

func TestPlan(t *testing.T) {
	w := newWorld(t, redistest.Mini(t), graphsim.Config{})
	var b strings.Builder
	b.WriteString("action,tenant_id,call_id,user_id,application_id,participant_id\n")
	for i := range 11 {
		fmt.Fprintf(&b, "invite,T1,c1,u%d,,\n", i)
	}
	b.WriteString("delete,t1,c1,U3,,\n")    // other letters: another person, and a tenant that is no GUID is another one
	b.WriteString("delete,T1,c1,u3,,\n")    // supersedes u3's invite
	b.WriteString("delete,T1,c1,,,p1\n")    // supersedes nobody
	b.WriteString("delete,T1,c2,,,p1\n")    // needs no roster
	b.WriteString("invite,,c3,,bot1,\n")    // Graph takes one bot a request
	b.WriteString("invite,,c3,,bot2,\n")    //
	b.WriteString("delete,,c3,u9,,p9\n")    // by its participant id: no roster
	b.WriteString("delete,,c3,u8,,p9\n")    // supersedes it
	b.WriteString("invite,,c4,u1,,part1\n") // superseded by both names
	b.WriteString("delete,,c4,u1,,\n")
	b.WriteString("delete,,c4,,,part1\n")
	p, err := NewPlan(t.Context(), w.request(b.String(), false))
	if err != nil {
		t.Fatal(err)
	}
	if p.Superseded != 3 || p.Batch.Totals.Calls != 5 || p.Batch.Totals.Invites != 14 || p.Batch.Totals.Deletes != 8 {
		t.Errorf("plan: %d superseded, %+v", p.Superseded, p.Batch)
	}
	if c := p.Calls(2); len(c) != 2 || c[0] != (CallPlan{Tenant: "T1", Call: "c1", Invites: 11, Deletes: 2, Superseded: 1}) || c[1].Call != "c3" {
		t.Errorf("largest calls: %+v", c)
	}
	want := map[string]Requests{
		// c1: 10 people in 2 requests, seen before and after; t1/c1 a roster and a delete.
		"t1": {Invitations: 2, Removals: 4, Rosters: 3},
		"":   {Invitations: 2, Removals: 3, Rosters: 3},
	}
	if got := p.Requests(true); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("requests %v, want %v", got, want)
	}
	if got := p.Requests(false); got["t1"].Rosters != 2 || got[""].Rosters != 2 {
		t.Errorf("requests %v without confirmation", got)
	}
	b2 := w.put(p.r)
	if b2.ID != p.Batch.ID || b2.Totals != p.Batch.Totals || b2.Rows != p.Batch.Rows {
		t.Errorf("enqueued %+v, planned %+v", b2, p.Batch)
	}
}
