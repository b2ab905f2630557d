package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/testutil"
)

// ringTime is long: keys of a real server expire in real time.
const ringTime = 10 * time.Minute

func TestIntents(t *testing.T) {
	suite(t, map[string]func(*testing.T, *redis.Client, *Ledger){
		"seen by others":            testIntentSeen,
		"ring is over":              testRingOver,
		"ring is named":             testRingNamed,
		"ring ends":                 testRingEnds,
		"ring goes on":              testRingGoesOn,
		"claim lost":                testIntendClaimLost,
		"compare and set":           testCompareAndSet,
		"reply lost":                testRecordReplyLost,
		"outcome's reply lost":      testOutcomeAnswerLost,
		"reopened":                  testStaleAfterReopen,
		"instead of sending":        testInstead,
		"superseded and busy":       testSupersededBusy,
		"twice in the same task":    testParticipantTwice,
		"changed":                   testChanged,
		"last change":               testLastChange,
		"calls' keys expire":        testCallKeyLife,
		"several rows in one write": testIntendSeveral,
	})
}

func end(t *testing.T, turn *Turn) {
	t.Helper()
	if err := turn.End(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// record writes a row's state, which must be written or not as told.
func record(t *testing.T, turn *Turn, n int64, r Row, want bool) {
	t.Helper()
	written, err := turn.Record(t.Context(), Settlement{N: n, Row: r})
	if err != nil || !slices.Equal(written, []bool{want}) {
		t.Fatalf("written %v, want %v; %v", written, want, err)
	}
}

func intend(t *testing.T, turn *Turn, n int64, r Row) {
	t.Helper()
	written, err := turn.Intend(t.Context(), ringTime, Settlement{N: n, Row: r})
	if err != nil || !slices.Equal(written, []bool{true}) {
		t.Fatalf("written %v, %v", written, err)
	}
}

// rung makes the row one whose participant was rung in a turn that has ended.
func rung(t *testing.T, l *Ledger, b Batch, r RowRef) Intent {
	t.Helper()
	_, turn := begin(t, l, b, r)
	wantStandings(t, turn, Ready)
	intend(t, turn, r.N, Row{Attempts: 1})
	end(t, turn)
	return turn.Rows[0].Intent
}

// ring is what a row sees of older rows' invitations.
func ring(t *testing.T, l *Ledger, b Batch, r RowRef) Ring {
	t.Helper()
	_, turn := begin(t, l, b, r)
	wantStandings(t, turn, Ready)
	end(t, turn)
	return turn.Rings[0]
}

func wantTime(t *testing.T, what string, got, want time.Time) {
	t.Helper()
	if !got.Equal(want) {
		t.Errorf("%s is %s, want %s", what, got, want)
	}
}

func testIntentSeen(t *testing.T, _ *redis.Client, l *Ledger) {
	b, newer := batch(t, l, "b", 1), batch(t, l, "newer", 1)
	r := ref(1, "user:a")
	_, turn := begin(t, l, b, r)
	if turn.Rows[0].Intent != (Intent{}) || turn.Rings[0] != (Ring{}) || turn.Instead[0].Outcome != Pending {
		t.Errorf("before: %+v, %+v", turn.Rows[0], turn.Rings[0])
	}
	intend(t, turn, 1, Row{Attempts: 1, Detail: "sending"})
	now := turn.Now()
	at := turn.Rows[0].Intent.At
	wantTime(t, "the intent's time", at, now)
	record(t, turn, 1, Row{Attempts: 1, Intent: Intent{At: at, Accepted: true, Operation: "op", Read: 3 * time.Second}}, true)
	end(t, turn)

	_, turn = begin(t, l, b, r)
	wantStandings(t, turn, Ready)
	got := turn.Rows[0]
	if i := got.Intent; !i.At.Equal(at) || !i.Accepted || i.Operation != "op" || i.Read != 3*time.Second || got.Attempts != 1 {
		t.Errorf("the next turn sees %+v", got)
	}
	if turn.Rings[0] != (Ring{}) || turn.Instead[0].Outcome != Pending {
		t.Errorf("a row waits for itself: %+v, %s", turn.Rings[0], turn.Instead[0].Outcome)
	}
	end(t, turn)
	if st := status(t, l, b); st.Pending != 1 || len(st.Outcomes) != 0 {
		t.Errorf("status %+v", st)
	}
	if all := rows(t, l, b); !all[0].Intent.At.Equal(at) {
		t.Errorf("the report sees %+v", all[0])
	}

	if got := ring(t, l, newer, r); !got.Until.Equal(at.Add(ringTime)) {
		t.Errorf("a newer row sees ringing until %s, want %s", got.Until, at.Add(ringTime))
	}
	if got := ring(t, l, newer, ref(1, "user:b")); got != (Ring{}) {
		t.Errorf("a row about somebody else sees %+v", got)
	}
}

func testRingOver(t *testing.T, _ *redis.Client, l *Ledger) {
	b, newer := batch(t, l, "b", 2), batch(t, l, "newer", 1)
	_, turn := begin(t, l, b, ref(1, "user:a"))
	intend(t, turn, 1, Row{})
	end(t, turn)
	testutil.Advance(t, ringTime-time.Millisecond)
	if got := ring(t, l, newer, ref(1, "user:a")); got.Until.IsZero() {
		t.Error("the ringing is over too early")
	}
	testutil.Advance(t, time.Millisecond)
	if got := ring(t, l, newer, ref(1, "user:a")); got != (Ring{}) {
		t.Errorf("the ringing is not over: %+v", got)
	}
}

func testRingNamed(t *testing.T, _ *redis.Client, l *Ledger) {
	cases := map[string]struct {
		invites [][]string // keys of each older invite
		keys    []string   // of the newer row
		rings   bool
		named   bool
	}{
		"by the id it gives": {
			invites: [][]string{{"participant:p", "user:u"}}, keys: []string{"participant:p"}, rings: true, named: true,
		},
		"by the id, with the user": {
			invites: [][]string{{"participant:p", "user:u"}}, keys: []string{"participant:p", "user:u"}, rings: true, named: true,
		},
		"by its only key": {
			invites: [][]string{{"participant:p", "user:u"}}, keys: []string{"user:u"}, rings: true, named: true,
		},
		"by another id of the user": {
			invites: [][]string{{"participant:p", "user:u"}}, keys: []string{"participant:q", "user:u"}, rings: true,
		},
		"by an id that the invite does not give": {
			invites: [][]string{{"user:u"}}, keys: []string{"participant:p", "user:u"}, rings: true,
		},
		"one of two": {
			invites: [][]string{{"participant:p"}, {"user:u"}}, keys: []string{"participant:p", "user:u"}, rings: true,
		},
		"the first of two is over": {
			invites: [][]string{{"participant:p", "user:u"}, {"user:u"}}, keys: []string{"participant:p", "user:u"}, rings: true,
		},
		"nobody": {
			invites: [][]string{{"participant:p", "user:u"}}, keys: []string{"participant:q"},
		},
	}
	for name, c := range cases {
		// Keys of their own, so that all cases share a server.
		own := func(keys []string) []string {
			mine := make([]string, len(keys))
			for i, k := range keys {
				mine[i] = k + name
			}
			return mine
		}
		b, newer := batch(t, l, name, 2), batch(t, l, name+" newer", 1)
		for i, keys := range c.invites {
			rung(t, l, b, ref(int64(i+1), own(keys)...))
		}
		got := ring(t, l, newer, ref(1, own(c.keys)...))
		if got.Until.IsZero() == c.rings || got.Named != c.named {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// testRingEnds: what is written of a row that rang, and whether a newer row
// then still sees it ring.
func testRingEnds(t *testing.T, _ *redis.Client, l *Ledger) {
	const keepIntent = -1
	cases := []struct {
		name  string
		write []int // outcomes, in this order
		rings bool
	}{
		{"nothing", nil, true},
		{"looked at", []int{keepIntent}, true},
		{"invited", []int{int(Invited)}, true},
		{"looked at and invited", []int{keepIntent, int(Invited)}, true},
		{"joined", []int{int(Joined)}, false},
		{"declined", []int{int(Declined)}, false},
		{"rejected", []int{int(Rejected)}, false},
		{"expired", []int{int(Expired)}, false},
		{"not applied", []int{int(Pending)}, false},
		{"not applied and rejected", []int{int(Pending), int(Rejected)}, false},
	}
	b, newer := batch(t, l, "b", int64(2*len(cases))), batch(t, l, "newer", 1)
	for i, c := range cases {
		for j, later := range []bool{false, true} {
			n := int64(2*i + j + 1)
			r := ref(n, fmt.Sprint("participant:", n), fmt.Sprint("user:", n))
			_, turn := begin(t, l, b, r)
			intend(t, turn, n, Row{Attempts: 1})
			if later { // in another turn than it was rung
				end(t, turn)
				_, turn = begin(t, l, b, r)
			}
			for _, o := range c.write {
				row := Row{Attempts: 1, Detail: c.name}
				if o == keepIntent {
					row.Intent = turn.Rows[0].Intent
				} else {
					row.Outcome = Outcome(o)
				}
				record(t, turn, n, row, true)
			}
			end(t, turn)
			for _, key := range r.Keys {
				if got := ring(t, l, newer, ref(1, key)); got.Until.IsZero() == c.rings {
					t.Errorf("%s (later: %v): %s sees %+v", c.name, later, key, got)
				}
			}
		}
	}
}

// testRingGoesOn: an invitation rings whatever becomes of other rows, until one
// of them shows that it cannot.
func testRingGoesOn(t *testing.T, _ *redis.Client, l *Ledger) {
	const last = 9
	b := batch(t, l, "b", last)
	newest := batch(t, l, "newest", 1)
	for name, c := range map[string]struct {
		do    func(t *testing.T, r func(n int64) RowRef)
		rings bool
	}{
		"older row is settled": {func(t *testing.T, r func(int64) RowRef) {
			rung(t, l, b, r(1))
			rung(t, l, b, r(2))
			_, turn := begin(t, l, b, r(1))
			record(t, turn, 1, Row{Outcome: Declined}, true)
			end(t, turn)
		}, true},
		"newer row waits": {func(t *testing.T, r func(int64) RowRef) {
			rung(t, l, b, r(3))
			_, turn := begin(t, l, b, r(4))
			record(t, turn, 4, Row{Detail: "still rings"}, true)
			end(t, turn)
		}, true},
		"newer row is refused": {func(t *testing.T, r func(int64) RowRef) {
			rung(t, l, b, r(5))
			_, turn := begin(t, l, b, r(6))
			record(t, turn, 6, Row{Outcome: Rejected}, true)
			end(t, turn)
		}, true},
		"newer row is removed": {func(t *testing.T, r func(int64) RowRef) {
			rung(t, l, b, r(7))
			_, turn := begin(t, l, b, r(8))
			record(t, turn, 8, Row{Outcome: Removed}, true)
			end(t, turn)
		}, false},
		"rung again": {func(t *testing.T, r func(int64) RowRef) {
			_, turn := begin(t, l, b, r(9))
			intend(t, turn, 9, Row{Attempts: 1})
			record(t, turn, 9, Row{Attempts: 1, Detail: "throttled"}, true)
			intend(t, turn, 9, Row{Attempts: 1})
			end(t, turn)
		}, true},
	} {
		key := "user:" + name
		c.do(t, func(n int64) RowRef { return ref(n, key) })
		if got := ring(t, l, newest, ref(1, key)); got.Until.IsZero() == c.rings {
			t.Errorf("%s: then the newest sees %+v", name, got)
		}
	}

	// A row between the two that is skipped was never sent.
	old, skipped := batch(t, l, "old", 1), batch(t, l, "skipped", 1)
	newest = batch(t, l, "even newer", 1)
	r := ref(1, "user:skipped")
	rung(t, l, old, r)
	observe(t, l, newest, r)
	_, turn := begin(t, l, skipped, r)
	wantStandings(t, turn, Settled)
	end(t, turn)
	if got := ring(t, l, newest, r); got.Until.IsZero() {
		t.Error("a superseded row ends the ringing of an older one")
	}
}

func testIntendClaimLost(t *testing.T, rdb *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 3)
	for n, lose := range []func(fields ...string){
		func(...string) { rdb.Del(t.Context(), claimsKey("t/call")) },
		func(fields ...string) {
			until := time.Now().Add(time.Minute).UnixMilli()
			rdb.HSet(t.Context(), claimsKey("t/call"), fields[1], fmt.Sprintf("other:%d:9", until))
		},
		func(fields ...string) { // it is the turn's, but it has run out
			claim := rdb.HGet(t.Context(), claimsKey("t/call"), fields[1]).Val()
			owner := claim[:slices.Index([]byte(claim), ':')]
			rdb.HSet(t.Context(), claimsKey("t/call"), fields[1], owner+":1:9")
		},
	} {
		r := ref(int64(n+1), fmt.Sprint("participant:", n), fmt.Sprint("user:", n))
		_, turn := begin(t, l, b, r)
		wantStandings(t, turn, Ready)
		lose(fieldsOf(r)...)
		written, err := turn.Intend(t.Context(), ringTime, Settlement{N: r.N, Row: Row{Attempts: 1}})
		if !errors.Is(err, ErrClaimLost) || written != nil || turn.Rows[0] != (Row{}) {
			t.Errorf("%d: written %v, %v; row %+v", n, written, err, turn.Rows[0])
		}
	}
	if n := rdb.Exists(t.Context(), rowsKey("b", 0), ringingKey("t/call")).Val(); n != 0 {
		t.Errorf("%d keys were written without a claim", n)
	}
}

// twoTurns gives two turns that both believe they work on the row, the first of
// which has lost its claim.
func twoTurns(t *testing.T, rdb *redis.Client, l *Ledger, b Batch, r RowRef) (first, second *Turn) {
	t.Helper()
	_, first = begin(t, l, b, r)
	wantStandings(t, first, Ready)
	rdb.Del(t.Context(), claimsKey("t/call"))
	_, second = begin(t, l, b, r)
	wantStandings(t, second, Ready)
	return first, second
}

func testCompareAndSet(t *testing.T, rdb *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 3)
	for n := range int64(3) {
		n++
		r := ref(n, fmt.Sprint("user:", n))
		if n > 1 { // something is known of it before
			_, turn := begin(t, l, b, r)
			record(t, turn, n, Row{Attempts: 1, Status: 503}, true)
			end(t, turn)
		}
		first, second := twoTurns(t, rdb, l, b, r)
		intend(t, second, n, Row{Attempts: 2})
		at := second.Rows[0].Intent.At
		record(t, second, n, Row{Attempts: 2, Intent: Intent{At: at, Accepted: true, Operation: "op"}}, true)

		mine := Row{Attempts: 7, Status: 429}
		if n == 3 { // nor an intent, whose claim was lost after the note
			mine.Intent.At = first.Now()
		}
		record(t, first, n, mine, false)
		got := first.Rows[0]
		if i := got.Intent; !i.At.Equal(at) || !i.Accepted || i.Operation != "op" || got.Attempts != 2 {
			t.Errorf("the first is shown %+v", got)
		}
		if stored := rows(t, l, b)[n-1]; stored != got {
			t.Errorf("stored is %+v, shown was %+v", stored, got)
		}
		// What both know, together.
		got.Attempts += 7
		record(t, first, n, got, true)
		if stored := rows(t, l, b)[n-1]; stored.Attempts != 9 || stored.Intent != got.Intent {
			t.Errorf("stored is %+v", stored)
		}
		// Now the second knows less.
		record(t, second, n, Row{Attempts: 3}, false)
		if second.Rows[0].Attempts != 9 {
			t.Errorf("the second is shown %+v", second.Rows[0])
		}
	}

	// An outcome replaces whatever is known.
	first, second := twoTurns(t, rdb, l, b, ref(1, "user:1"))
	record(t, second, 1, Row{Attempts: 10}, true)
	record(t, first, 1, Row{Outcome: Joined, Attempts: 9, Intent: first.Rows[0].Intent}, true)
	if got := rows(t, l, b)[0]; got.Outcome != Joined || got.Intent != (Intent{}) {
		t.Errorf("stored is %+v", got)
	}
	record(t, second, 1, Row{Attempts: 11, Intent: Intent{At: second.Now()}}, false)
	if got := second.Rows[0]; got.Outcome != Joined {
		t.Errorf("the second is shown %+v", got)
	}
	record(t, second, 1, Row{Outcome: Declined}, false)
	if st := status(t, l, b); st.Outcomes[Joined] != 1 || st.Pending != 2 {
		t.Errorf("status %+v", st)
	}
}

// deaf loses the answers of one script while it is switched on.
type deaf struct {
	script *redis.Script
	on     *atomic.Bool
}

var errDeaf = errors.New("connection lost")

func (d deaf) DialHook(n redis.DialHook) redis.DialHook { return n }

func (d deaf) ProcessHook(n redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := n(ctx, cmd)
		if err == nil && is(cmd, d.script) && d.on.Load() {
			cmd.SetErr(errDeaf)
			return errDeaf
		}
		return err
	}
}

func (d deaf) ProcessPipelineHook(n redis.ProcessPipelineHook) redis.ProcessPipelineHook { return n }

func testRecordReplyLost(t *testing.T, rdb *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 2)
	if err := settleScript.Load(t.Context(), rdb).Err(); err != nil {
		t.Fatal(err)
	}
	var lost atomic.Bool
	c := another(t, rdb)
	c.AddHook(deaf{settleScript, &lost})
	_, turn := begin(t, New(c), b, ref(1, "user:a"), ref(2, "user:b"))

	row := Row{Attempts: 1, Status: 503, Detail: "again"}
	lost.Store(true)
	if _, err := turn.Record(t.Context(), Settlement{N: 1, Row: row}); !errors.Is(err, errDeaf) {
		t.Fatal(err)
	}
	lost.Store(false)
	record(t, turn, 1, row, true)
	record(t, turn, 1, Row{Attempts: 2}, true)

	// An intent that is written again has a new time; the lost one is still the
	// turn's own, and not a reason to believe that somebody else has rung.
	lost.Store(true)
	if _, err := turn.Intend(t.Context(), ringTime, Settlement{N: 2, Row: Row{Attempts: 1}}); !errors.Is(err, errDeaf) {
		t.Fatal(err)
	}
	lost.Store(false)
	at := rows(t, l, b)[1].Intent.At
	if at.IsZero() {
		t.Fatal("it was not lost on the way back")
	}
	testutil.Advance(t, time.Millisecond)
	intend(t, turn, 2, Row{Attempts: 1})
	if got := rows(t, l, b)[1].Intent.At; !got.After(at) || !got.Equal(turn.Rows[1].Intent.At) {
		t.Errorf("stored is an intent of %s, shown %s", got, turn.Rows[1].Intent.At)
	}

	// Somebody else's writing in between is not taken for the lost one.
	lost.Store(true)
	if _, err := turn.Record(t.Context(), Settlement{N: 1, Row: Row{Attempts: 3}}); !errors.Is(err, errDeaf) {
		t.Fatal(err)
	}
	lost.Store(false)
	rdb.Del(t.Context(), claimsKey("t/call"))
	_, other := begin(t, l, b, ref(1, "user:a"))
	record(t, other, 1, Row{Attempts: 4}, true)
	record(t, turn, 1, Row{Attempts: 3}, false)
	if turn.Rows[0].Attempts != 4 {
		t.Errorf("shown %+v", turn.Rows[0])
	}
}

func testStaleAfterReopen(t *testing.T, rdb *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 1)
	rung(t, l, b, ref(1, "user:a"))
	first, second := twoTurns(t, rdb, l, b, ref(1, "user:a"))
	record(t, second, 1, Row{Outcome: Declined}, true)
	end(t, second)
	if n, err := l.Reopen(t.Context(), b, []Outcome{Declined}); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	record(t, first, 1, first.Rows[0], false)
	if first.Rows[0] != (Row{}) || rows(t, l, b)[0] != (Row{}) {
		t.Errorf("shown %+v, stored %+v", first.Rows[0], rows(t, l, b)[0])
	}
}

func testInstead(t *testing.T, rdb *redis.Client, l *Ledger) {
	for want, stop := range map[Outcome]func(b Batch, r ...RowRef){
		Superseded: func(b Batch, r ...RowRef) {
			for i := range r {
				observe(t, l, batch(t, l, fmt.Sprint(b.ID, " newer ", i), 9), ref(1, r[i].Keys...))
			}
		},
		Cancelled: func(b Batch, _ ...RowRef) {
			if err := l.Cancel(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		},
		Expired: func(b Batch, _ ...RowRef) {
			rdb.HSet(t.Context(), metaKey(b.ID), "deadline", b.CreatedAt.UnixMilli())
		},
	} {
		name := want.String()
		b := batch(t, l, name, 3)
		sent, plain, waits := ref(1, name+":sent"), ref(2, name+":plain"), ref(3, name+":waits")
		at := rung(t, l, b, sent).At
		_, turn := begin(t, l, b, waits)
		intend(t, turn, 3, Row{Attempts: 1})
		record(t, turn, 3, Row{At: turn.Now().Add(time.Minute), Intent: turn.Rows[0].Intent}, true)
		end(t, turn)
		stop(b, sent, plain, waits)

		_, turn = begin(t, l, b, sent, plain, waits)
		wantStandings(t, turn, Ready, Settled, Later)
		if turn.Instead[0].Outcome != want || !turn.Rows[0].Intent.At.Equal(at) || turn.Rows[0].Outcome != Pending {
			t.Errorf("%s: instead %s, row %+v", name, turn.Instead[0].Outcome, turn.Rows[0])
		}
		if len(turn.Skipped) != 1 || turn.Skipped[0].N != 2 || turn.Skipped[0].Row.Outcome != want {
			t.Errorf("%s: skipped %+v", name, turn.Skipped)
		}
		// What became of it is written, whatever it would have been instead.
		record(t, turn, 1, Row{Outcome: Joined, Attempts: 1}, true)
		end(t, turn)
		got := rows(t, l, b)
		if got[0].Outcome != Joined || got[1].Outcome != want || got[2].Outcome != Pending {
			t.Errorf("%s: rows %+v", name, got)
		}
	}
}

func testSupersededBusy(t *testing.T, _ *redis.Client, l *Ledger) {
	b, newer := batch(t, l, "b", 2), batch(t, l, "newer", 2)
	refs := []RowRef{ref(1, "user:sent"), ref(2, "user:plain")}
	rung(t, l, b, refs[0])
	observe(t, l, newer, refs...)
	_, works := begin(t, l, newer, refs...)
	wantStandings(t, works, Ready, Ready)
	_, turn := begin(t, l, b, refs...)
	wantStandings(t, turn, Busy, Settled)
	if len(turn.Skipped) != 1 || turn.Skipped[0].Row.Outcome != Superseded {
		t.Errorf("skipped %+v", turn.Skipped)
	}
	end(t, turn)
	// The one who works on them has not lost them.
	_, other := begin(t, l, batch(t, l, "third", 2), refs...)
	wantStandings(t, other, Busy, Busy)
	end(t, works)
	_, turn = begin(t, l, b, refs[0])
	wantStandings(t, turn, Ready)
	if turn.Instead[0].Outcome != Superseded {
		t.Errorf("instead %s", turn.Instead[0].Outcome)
	}
}

func testParticipantTwice(t *testing.T, rdb *redis.Client, l *Ledger) {
	b, other := batch(t, l, "b", 4), batch(t, l, "other", 2)
	refs := []RowRef{ref(1, "user:a"), ref(2, "user:a"), ref(3, "user:sent"), ref(4, "user:sent")}
	rung(t, l, b, refs[2])
	observe(t, l, b, refs...)
	// Superseded without an intent: only the newer is worked on. With one: both
	// are, in this turn, and the newer sees the older ring.
	ctx, turn := begin(t, l, b, refs...)
	wantStandings(t, turn, Settled, Ready, Ready, Ready)
	if turn.Instead[2].Outcome != Superseded || turn.Instead[3].Outcome != Pending || turn.Rings[3].Until.IsZero() {
		t.Errorf("instead %v, rings %+v", turn.Instead, turn.Rings)
	}
	_, busy := begin(t, l, other, ref(1, "user:a"), ref(2, "user:sent"))
	wantStandings(t, busy, Busy, Busy)
	testutil.Advance(t, 10*DefaultClaimLife)
	_, busy = begin(t, l, other, ref(1, "user:a"), ref(2, "user:sent"))
	wantStandings(t, busy, Busy, Busy)
	if ctx.Err() != nil {
		t.Errorf("the turn ended: %v", context.Cause(ctx))
	}
	end(t, turn)
	if n := rdb.HLen(t.Context(), claimsKey("t/call")).Val(); n != 0 {
		t.Errorf("%d claims are left", n)
	}
}

func testChanged(t *testing.T, rdb *redis.Client, l *Ledger) {
	a, b := batch(t, l, "a", 3), batch(t, l, "b", 3)
	// Rows that are not worked on change nobody.
	_, turn := begin(t, l, a, ref(3, "user:late"))
	record(t, turn, 3, Row{At: turn.Now().Add(time.Hour)}, true)
	end(t, turn)
	rdb.Del(t.Context(), changedKey("t/call"))
	observe(t, l, b, ref(2, "user:old"))

	_, turn = begin(t, l, a, ref(1, "participant:p", "user:a"), ref(2, "user:old"), ref(3, "user:late"))
	wantStandings(t, turn, Ready, Settled, Later)
	if !turn.Changed[0].IsZero() {
		t.Errorf("changed at %s before anybody worked on it", turn.Changed[0])
	}
	_, busy := begin(t, l, b, ref(1, "user:a"))
	wantStandings(t, busy, Busy)
	end(t, busy)
	if n := rdb.Exists(t.Context(), changedKey("t/call")).Val(); n != 0 {
		t.Error("a change is noted before a turn that could make one has ended")
	}
	record(t, turn, 1, Row{Attempts: 1}, true)
	testutil.Advance(t, time.Second)
	ended := time.Now()
	end(t, turn)

	testutil.Advance(t, time.Second)
	_, turn = begin(t, l, b, ref(1, "user:a"), ref(2, "user:old"), ref(3, "user:late"))
	wantStandings(t, turn, Ready, Ready, Ready)
	wantTime(t, "the change", turn.Changed[0], ended)
	if !turn.Changed[1].IsZero() || !turn.Changed[2].IsZero() {
		t.Errorf("changed %v: nobody worked on the last two", turn.Changed)
	}
	end(t, turn)

	// The latest of a row's keys counts.
	long := ended.Add(-30 * time.Second)
	rdb.Append(t.Context(), changedKey("t/call"), string(appendEntry(nil, "participant:long", long.UnixMilli())))
	_, turn = begin(t, l, b, ref(1, "participant:long", "user:a"), ref(2, "participant:long"))
	wantTime(t, "the change by two keys", turn.Changed[0], ended)
	if turn.Changed[1].UnixMilli() != long.UnixMilli() {
		t.Errorf("changed at %s, want %s", turn.Changed[1], long)
	}
}

func testLastChange(t *testing.T, rdb *redis.Client, l *Ledger) {
	a, b := batch(t, l, "a", 1), batch(t, l, "b", 2)
	_, mine := begin(t, l, a, ref(1, "user:mine"))
	_, other := begin(t, l, b, ref(1, "user:other"))
	last := func(keys ...string) time.Time {
		t.Helper()
		at, err := mine.LastChange(t.Context(), keys...)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	if at := last("user:mine", "user:nobody"); !at.IsZero() {
		t.Errorf("changed at %s by nobody", at)
	}
	if at := last(); !at.IsZero() {
		t.Errorf("without keys: changed at %s", at)
	}
	wantTime(t, "the change under way", last("user:nobody", "user:other"), time.Now())
	testutil.Advance(t, time.Second)
	wantTime(t, "the change under way", last("user:other"), time.Now())

	record(t, other, 1, Row{Attempts: 1}, true)
	ended := time.Now()
	end(t, other)
	testutil.Advance(t, time.Second)
	wantTime(t, "the change", last("user:other"), ended)
	wantTime(t, "the change", last("user:nobody", "user:other"), ended)

	// A claim of the dead is nobody's.
	rdb.HSet(t.Context(), claimsKey("t/call"), participantField("user:dead"), "dead:1000:1")
	if at := last("user:dead"); !at.IsZero() {
		t.Errorf("changed at %s by the dead", at)
	}

	record(t, mine, 1, Row{Attempts: 1}, true)
	end(t, mine)
	// A turn that did nothing changed nobody.
	_, idle := begin(t, l, b, ref(2, "user:idle"))
	end(t, idle)
	if at := last("user:idle"); !at.IsZero() {
		t.Errorf("changed at %s by a turn that did nothing", at)
	}
	if ttl := rdb.TTL(t.Context(), changedKey("t/call")).Val(); ttl > changeMemory || ttl <= 0 {
		t.Errorf("it is remembered for %s", ttl)
	}
	wantTime(t, "its own change", last("user:mine"), time.Now())
}

func testCallKeyLife(t *testing.T, rdb *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 2)
	rung(t, l, b, ref(1, "user:a"))
	wantTTL := func(key string, from, to time.Duration) {
		t.Helper()
		if ttl := rdb.PTTL(t.Context(), key).Val(); ttl <= from || ttl > to {
			t.Errorf("%q expires in %s", key, ttl)
		}
	}
	wantTTL(ringingKey("t/call"), ringTime, 2*ringTime)
	wantTTL(changedKey("t/call"), 0, changeMemory)
	wantTTL(rowsKey("b", 0), time.Hour, 2*time.Hour)

	// A shorter one does not end a longer one's, a longer one prolongs it.
	_, turn := begin(t, l, b, ref(2, "user:b"))
	if _, err := turn.Intend(t.Context(), time.Second, Settlement{N: 2}); err != nil {
		t.Fatal(err)
	}
	wantTTL(ringingKey("t/call"), ringTime, 2*ringTime)
	if _, err := turn.Intend(t.Context(), 3*ringTime, Settlement{N: 2}); err != nil {
		t.Fatal(err)
	}
	wantTTL(ringingKey("t/call"), 3*ringTime, 6*ringTime)
	for _, key := range rdb.Keys(t.Context(), "rollcall:{c:*").Val() {
		wantTTL(key, 0, 2*time.Hour)
	}
}

func testIntendSeveral(t *testing.T, rdb *redis.Client, l *Ledger) {
	const n = BucketRows + 2 // in two buckets
	b := batch(t, l, "b", n)
	refs := []RowRef{ref(1, "participant:p", "user:a"), ref(2, "user:b"), ref(n, "user:c")}
	_, turn := begin(t, l, b, refs...)
	// Meanwhile somebody learned something of the second.
	if _, _, err := l.settle(t.Context(), b, []Settlement{{N: 2, Row: Row{Attempts: 5}}}); err != nil {
		t.Fatal(err)
	}
	mine := []Settlement{{N: n, Row: Row{Attempts: 3}}, {N: 2, Row: Row{Attempts: 2}}, {N: 1, Row: Row{Attempts: 1}}}
	written, err := turn.Intend(t.Context(), ringTime, mine...)
	if err != nil || !slices.Equal(written, []bool{true, false, true}) {
		t.Fatal(written, err)
	}
	for i, want := range []Row{{Attempts: 1}, {Attempts: 5}, {Attempts: 3}} {
		got := turn.Rows[i]
		if got.Attempts != want.Attempts || got.Intent.sent() != (i != 1) {
			t.Errorf("row %d is %+v", refs[i].N, got)
		}
	}
	if mine[0].Row.Intent.sent() {
		t.Error("the caller's rows were changed")
	}
	if n := rdb.HLen(t.Context(), ringingKey("t/call")).Val(); n != 4 {
		t.Errorf("%d of 4 participants are noted", n)
	}
	all := rows(t, l, b)
	if !all[0].Intent.sent() || all[1].Intent.sent() || !all[n-1].Intent.sent() {
		t.Errorf("rows %+v, %+v, %+v", all[0], all[1], all[n-1])
	}
}

// testOutcomeAnswerLost: an outcome whose answer was lost is this turn's own when
// it is written again, and nobody is thought to be rung after it.
func testOutcomeAnswerLost(t *testing.T, rdb *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 1)
	observe(t, l, b, ref(1, "user:a"))
	lossy := another(t, rdb)
	var lost atomic.Bool
	lossy.AddHook(deaf{settleScript, &lost})
	_, turn, err := New(lossy).Begin(t.Context(), b, "t/call", []RowRef{ref(1, "user:a")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := turn.Intend(t.Context(), time.Minute, Settlement{N: 1, Row: Row{Attempts: 1}}); err != nil {
		t.Fatal(err)
	}
	lost.Store(true)
	s := Settlement{N: 1, Row: Row{Outcome: Declined, Attempts: 1}}
	if _, err := turn.Record(t.Context(), s); err == nil {
		t.Fatal("the answer was not lost")
	}
	lost.Store(false)
	testutil.Advance(t, time.Second) // so that the time of the outcome is another
	if written, err := turn.Record(t.Context(), s); err != nil || !written[0] {
		t.Errorf("written again: %v, %v", written, err)
	}
	if err := turn.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := rdb.HLen(t.Context(), ringingKey("t/call")).Val(); n != 0 {
		t.Error("somebody is noted as being rung")
	}
	if st := status(t, l, b); st.Outcomes[Declined] != 1 || st.Pending != 0 {
		t.Errorf("status is %+v", st)
	}
}
