package tasks

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/graph"
	"rollcall/internal/ledger"
	"rollcall/internal/roster"
	"rollcall/internal/testutil"
)

// counted are snapshots of a roster that counts how often it is read.
func counted(life time.Duration, read func(n int64) (graph.Roster, error)) (*snapshots, *atomic.Int64) {
	n := &atomic.Int64{}
	return &snapshots{life: life, read: func(*errand, string, string) *snapshot {
		at := time.Now()
		r, err := read(n.Add(1))
		return newSnapshot(at, r, err)
	}}, n
}

func TestSnapshotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		go1 := make(chan struct{})
		s, n := counted(time.Minute, func(int64) (graph.Roster, error) { <-go1; return graph.Roster{Complete: true}, nil })
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if snap, err := s.get(t.Context(), "T", "c", time.Time{}); err != nil || !snap.complete {
					t.Error(snap, err)
				}
			})
		}
		synctest.Wait()
		// Who no longer wants it does not wait for it.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.get(ctx, "T", "c", time.Time{}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(go1)
		wg.Wait()
		if n.Load() != 1 {
			t.Errorf("it was read %d times", n.Load())
		}
	})
}

func TestSnapshotSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := counted(time.Minute, func(int64) (graph.Roster, error) { return graph.Roster{}, nil })
		first, err := s.get(t.Context(), "", "c", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		testutil.Advance(t, time.Second)
		now := time.Now()
		second, err := s.get(t.Context(), "", "c", now)
		if err != nil || second == first || second.at.Before(now) {
			t.Errorf("a roster of %s serves %s: %v", second.at, now, err)
		}
		// What is to come by a clock that is a little ahead is waited for.
		soon := time.Now().Add(50 * time.Millisecond)
		third, err := s.get(t.Context(), "", "c", soon)
		if err != nil || !third.at.Equal(soon) {
			t.Errorf("a roster of %s serves %s: %v", third.at, soon, err)
		}
		if again, err := s.get(t.Context(), "", "c", soon); err != nil || again != third || n.Load() != 3 {
			t.Errorf("it was read %d times: %v", n.Load(), err)
		}
		// A clock far ahead costs some reading, but does not hang.
		begun := time.Now()
		if _, err := s.get(t.Context(), "", "c", begun.Add(time.Hour)); err != nil || n.Load() != 5 {
			t.Errorf("it was read %d times: %v", n.Load(), err)
		}
		if took := time.Since(begun); took != 2*troubleLife {
			t.Errorf("it took %s", took)
		}
	})
}

func TestSnapshotLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life = 5 * time.Second
		s, n := counted(life, func(int64) (graph.Roster, error) { return graph.Roster{}, nil })
		for i := range 6 { // every other one comes in time
			if _, err := s.get(t.Context(), "", "c", time.Time{}); err != nil {
				t.Fatal(err)
			}
			testutil.Advance(t, []time.Duration{life - 1, 1}[i%2])
		}
		if n.Load() != 3 {
			t.Errorf("what is good for %s was read %d times in 3 times that", life, n.Load())
		}
		// Calls that are not asked for any more are forgotten.
		for i := range 3 * maxSnapshots {
			if _, err := s.get(t.Context(), "", fmt.Sprint(i), time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		if len(s.kept) > maxSnapshots {
			t.Errorf("%d are kept", len(s.kept))
		}
	})
}

func TestSnapshotTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trouble := errors.New("no roster")
		s, n := counted(time.Minute, func(n int64) (graph.Roster, error) {
			if n == 1 {
				return graph.Roster{}, trouble
			}
			return graph.Roster{}, nil
		})
		for range 5 {
			if _, err := s.get(t.Context(), "", "c", time.Time{}); !errors.Is(err, trouble) {
				t.Fatal(err)
			}
		}
		if n.Load() != 1 {
			t.Errorf("a roster in trouble was read %d times at once", n.Load())
		}
		testutil.Advance(t, troubleLife)
		if _, err := s.get(t.Context(), "", "c", time.Time{}); err != nil {
			t.Error(err)
		}
	})
}

// TestSnapshotPaged: once a call has shown that its roster comes in pages, one of
// exactly 100 is complete.
func TestSnapshotPaged(t *testing.T) {
	s, _ := counted(time.Nanosecond, func(n int64) (graph.Roster, error) {
		if n == 2 {
			return graph.Roster{Pages: 2, Complete: true}, nil
		}
		return graph.Roster{Pages: 1, Capped: true}, nil
	})
	for i, want := range []bool{false, true, true} {
		if snap, err := s.get(t.Context(), "", "c", time.Time{}); err != nil || snap.complete != want {
			t.Errorf("reading %d: complete %t, %v", i+1, snap.complete, err)
		}
	}
}

func TestEndpoints(t *testing.T) {
	const guid = "81e74ef5-e8e2-4d94-9ed9-04759531985d"
	s := newSnapshot(time.Now(), graph.Roster{Participants: []graph.Participant{
		{ID: "1", Identities: []graph.Identity{{Kind: graph.User, ID: guid}}, InvitedAs: "mine"},
		{ID: "2", Identities: []graph.Identity{{Kind: graph.User, ID: strings.ToUpper(guid)}}, InLobby: true},
		{ID: "2", Identities: []graph.Identity{{Kind: graph.User, ID: guid}}},
		{ID: "3", Identities: []graph.Identity{{Kind: graph.User, ID: guid}}, Removed: true},
		{ID: "4", Identities: []graph.Identity{{Kind: graph.Phone, ID: "+14255550100"}}, InLobby: true},
	}}, nil)
	for _, tt := range []struct {
		c     roster.Change
		want  string
		where string
	}{
		{roster.Change{Kind: roster.User, ID: strings.ToUpper(guid)}, "[1 2]", ""},
		{roster.Change{Kind: roster.Phone, ID: "+14255550100"}, "[4]", ", in its lobby"},
		{roster.Change{Kind: roster.Guest, ID: guid}, "[]", ", in its lobby"},
		{roster.Change{ParticipantID: "mine", Kind: roster.Guest, ID: "g"}, "[1]", ""},
		{roster.Change{ParticipantID: "3"}, "[]", ", in its lobby"},
	} {
		if got := fmt.Sprint(s.endpoints(tt.c)); got != tt.want || got != "[]" && s.where(tt.c) != tt.where {
			t.Errorf("%+v: %s%s", tt.c, got, s.where(tt.c))
		}
	}
	if s.shown != 4 {
		t.Errorf("%d are shown", s.shown)
	}
}

// TestReason: of Graph's one message for a request, a row gets what is about it.
func TestReason(t *testing.T) {
	for id, want := range map[string]bool{
		"u1": false, "u1-2": true, "1-2": false, "u1-2.x": false, "abc": true, "bc": false, "end": true,
	} {
		if got := names("failed for 8:u1-2, 8:abc and end.", roster.Change{ID: id}); got != want {
			t.Errorf("%s is named: %t", id, got)
		}
	}
	r := &round{task: &task{rows: []roster.Change{
		{Kind: roster.Phone, ID: "+6140"}, {Kind: roster.Phone, ID: "+61401"}, {Kind: roster.User, ID: "81E74EF5-e8e2-4d94-9ed9-04759531985d"},
	}}}
	const message = "addParticipants failed for participants 4:+61401, 8:orgid:81e74ef5-e8e2-4d94-9ed9-04759531985d. Busy."
	for i, want := range []struct {
		mine   bool
		others int
		detail string
	}{
		{false, 2, ""},
		{true, 1, "the invitation failed: addParticipants failed for participants 4:+61401, 8:orgid:…. Busy."},
		{true, 1, "the invitation failed: addParticipants failed for participants 4:…, 8:orgid:81e74ef5-e8e2-4d94-9ed9-04759531985d. Busy."},
	} {
		mine, others := r.named(message, i)
		if mine != want.mine || len(others) != want.others {
			t.Errorf("row %d: mine %t, others %v", i, mine, others)
		}
		if !mine {
			continue
		}
		row := ledger.Row{}
		reason(&row, graph.Operation{Result: graph.ResultInfo{Code: 412, Subcode: 10057, Message: message}}, others)
		if row.Detail != want.detail || row.Code != "412/10057" {
			t.Errorf("row %d: %s %q", i, row.Code, row.Detail)
		}
	}
}

// TestLooksFallTogether: invitations of different ages are looked at at the same
// times, never much later than the longest wait, and when the time is over.
func TestLooksFallTogether(t *testing.T) {
	l := newLooks(DefaultConfirmTimeout)
	start := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	times := map[time.Time]bool{}
	for offset := range 8 {
		intent := start.Add(time.Duration(offset) * 700 * time.Millisecond)
		now := intent.Add(l.first)
		for n := 0; now.Sub(intent) < l.over; n++ {
			if n > 20 {
				t.Fatal("it is looked at for ever")
			}
			next := l.next(now, now.Sub(intent))
			if wait := next.Sub(now); wait <= 0 || wait > l.most*3/2 || next.Sub(intent) > l.over {
				t.Errorf("%s after the intent the next look is in %s", now.Sub(intent), wait)
			}
			if age := next.Sub(intent); age > l.most && age < l.over {
				times[next] = true
			}
			now = next
		}
	}
	if most := int(l.over/l.most) + 1; len(times) > most {
		t.Errorf("looks at %d different times, want at most %d", len(times), most)
	}
}
