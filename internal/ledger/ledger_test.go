package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// batch makes a batch of n rows with a stored source.
func batch(t *testing.T, l *Ledger, id string, n int64) Batch {
	t.Helper()
	b, _, err := l.Create(t.Context(), Batch{
		ID: id, Rows: n, Queue: "default", Expire: time.Hour, Keep: time.Hour, Layout: []byte(`{}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func ref(n int64, keys ...string) RowRef { return RowRef{N: n, Keys: keys} }

func begin(t *testing.T, l *Ledger, b Batch, refs ...RowRef) (context.Context, *Turn) {
	t.Helper()
	ctx, turn, err := l.Begin(t.Context(), b, "t/call", refs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = turn.End(context.WithoutCancel(ctx)) })
	return ctx, turn
}

func observe(t *testing.T, l *Ledger, b Batch, refs ...RowRef) {
	t.Helper()
	if err := l.Put(t.Context(), b, 0, nil, []CallRows{{Call: "t/call", Rows: refs}}); err != nil {
		t.Fatal(err)
	}
}

func wantStandings(t *testing.T, turn *Turn, want ...Standing) {
	t.Helper()
	if !slices.Equal(turn.Standings, want) {
		t.Fatalf("standings %v, want %v", turn.Standings, want)
	}
}

func status(t *testing.T, l *Ledger, b Batch) Status {
	t.Helper()
	st, err := l.Status(t.Context(), b.ID)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// rows reads all rows of a batch.
func rows(t *testing.T, l *Ledger, b Batch) []Row {
	t.Helper()
	var all []Row
	if err := l.Buckets(t.Context(), b, func(k Bucket) error { all = append(all, k.Rows...); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// suite runs each behaviour on a new ledger, on miniredis and on a real server.
func suite(t *testing.T, behaviours map[string]func(*testing.T, *redis.Client, *Ledger)) {
	t.Helper()
	all := map[string]func(*testing.T, *redis.Client){}
	for name, test := range behaviours {
		all[name] = func(t *testing.T, rdb *redis.Client) { test(t, rdb, New(rdb)) }
	}
	redistest.Suite(t, all)
}

func TestLedger(t *testing.T) {
	suite(t, map[string]func(*testing.T, *redis.Client, *Ledger){
		"create twice":            testCreateTwice,
		"outcome once":            testOutcomeOnce,
		"counters follow rows":    testCounters,
		"newer supersedes":        testSupersede,
		"newer in the same task":  testSupersedeSameTask,
		"two keys":                testTwoKeys,
		"busy":                    testBusy,
		"delivered twice":         testDeliveredTwice,
		"claim of the dead":       testClaimOfTheDead,
		"claim lingers":           testClaimLingers,
		"claim renewed":           testClaimRenewed,
		"claim lost":              testClaimLost,
		"not before":              testNotBefore,
		"expired":                 testExpired,
		"cancelled":               testCancelled,
		"settled before claimed":  testSettledRow,
		"no batch":                testNoBatch,
		"reopen":                  testReopen,
		"open heals":              testOpenHeals,
		"lists":                   testLists,
		"sources":                 testSources,
		"unsent":                  testUnsent,
		"everything expires":      testKeyLife,
		"prolonged":               testProlong,
		"sequence over batches":   testSequence,
		"sequence lost":           testSequenceLost,
		"newest change lost":      testLatestLost,
		"newest in the same task": testLatestLostHere,
		"many in one call":        testManyInOneCall,
		"the same every day":      testSameAgainAndAgain,
		"made anew":               testMadeAnew,
		"made again":              testMadeAgain,
		"script cache is emptied": testScriptFlush,
		"account":                 testAccount,
		"buckets from a row":      testBucketsFrom,
		"late spans":              testLateSpans,
		"many reasons":            testManyReasons,
		"another reason":          testAnotherReason,
	})
}

func testCreateTwice(t *testing.T, _ *redis.Client, l *Ledger) {
	first := batch(t, l, "b", 3)
	second, created, err := l.Create(t.Context(), Batch{ID: "b", Rows: 3, Queue: "low", Expire: time.Minute, Keep: time.Hour})
	if err != nil || created {
		t.Fatal(created, err)
	}
	if second.Base != first.Base || second.Queue != "default" || second.Expire != time.Hour || !second.CreatedAt.Equal(first.CreatedAt) {
		t.Errorf("the second creation changed the batch: %+v, was %+v", second, first)
	}
	if d := first.Deadline.Sub(first.CreatedAt); d != time.Hour {
		t.Errorf("deadline is %s after creation", d)
	}
	// Two at once: exactly one creates.
	var wg sync.WaitGroup
	var mu sync.Mutex
	made, bases := 0, map[int64]bool{}
	for range 8 {
		wg.Go(func() {
			b, created, err := l.Create(t.Context(), Batch{ID: "race", Rows: 5, Queue: "default", Expire: time.Hour, Keep: time.Hour})
			mu.Lock()
			defer mu.Unlock()
			bases[b.Base] = true
			if err != nil {
				t.Error(err)
			}
			if created {
				made++
			}
		})
	}
	wg.Wait()
	if made != 1 || len(bases) != 1 {
		t.Errorf("%d created it, with bases %v", made, bases)
	}
}

func testOutcomeOnce(t *testing.T, _ *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 2)
	_, turn := begin(t, l, b, ref(1, "user:a"))
	wantStandings(t, turn, Ready)
	for _, r := range []Row{
		{Attempts: 1, Detail: "try again", Status: 503},
		{Outcome: Removed, Attempts: 2, Status: 204, RequestID: "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"},
		{Outcome: Rejected, Attempts: 3, Detail: "too late"},
		{Attempts: 9, Detail: "too late"},
	} {
		if _, err := turn.Record(t.Context(), Settlement{N: 1, Row: r}); err != nil {
			t.Fatal(err)
		}
	}
	got := rows(t, l, b)[0]
	if got.Outcome != Removed || got.Attempts != 2 || got.Status != 204 || got.RequestID != "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee" || got.At.IsZero() {
		t.Errorf("row is %+v", got)
	}
	if st := status(t, l, b); st.Pending != 1 || st.Outcomes[Removed] != 1 || len(st.Outcomes) != 1 || st.State != Running {
		t.Errorf("status is %+v", st)
	}
}

func testCounters(t *testing.T, rdb *redis.Client, l *Ledger) {
	const n = 600 // three buckets
	b := batch(t, l, "b", n)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			// Every row is settled by several at once, with different outcomes.
			for i := int64(1); i <= n; i++ {
				o := Outcomes()[(int(i)*7+w)%len(Outcomes())]
				if _, _, err := l.settle(t.Context(), b, []Settlement{{N: i, Row: Row{Outcome: o, At: b.CreatedAt}}}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	want := map[Outcome]int64{}
	for _, r := range rows(t, l, b) {
		want[r.Outcome]++
	}
	st := status(t, l, b)
	if fmt.Sprint(st.Outcomes) != fmt.Sprint(want) || st.Pending != 0 || st.State != Finished || st.FinishedAt.IsZero() {
		t.Errorf("counters %v, rows %v; %+v", st.Outcomes, want, st)
	}
	if done := rdb.HGet(t.Context(), countsKey("b"), "done").Val(); done != "600" {
		t.Errorf("done is %s", done)
	}
	if open, err := l.Open(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("open: %v, %v", open, err)
	}
}

func testSupersede(t *testing.T, _ *redis.Client, l *Ledger) {
	old, young := batch(t, l, "old", 1), batch(t, l, "new", 1)
	observe(t, l, young, ref(1, "user:a"))
	observe(t, l, old, ref(1, "user:a")) // an interrupted enqueue that is completed later
	_, turn := begin(t, l, old, ref(1, "user:a"))
	wantStandings(t, turn, Settled)
	if len(turn.Skipped) != 1 || turn.Skipped[0].Row.Outcome != Superseded {
		t.Errorf("skipped %+v", turn.Skipped)
	}
	if r := rows(t, l, old)[0]; r.Outcome != Superseded || r.Attempts != 0 {
		t.Errorf("row is %+v", r)
	}
	_, turn = begin(t, l, young, ref(1, "user:a"))
	wantStandings(t, turn, Ready)
}

func testSupersedeSameTask(t *testing.T, _ *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 3)
	refs := []RowRef{ref(1, "user:a"), ref(2, "user:b"), ref(3, "user:a")}
	observe(t, l, b, refs...)
	_, turn := begin(t, l, b, refs...)
	wantStandings(t, turn, Settled, Ready, Ready)
}

func testTwoKeys(t *testing.T, _ *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 4)
	refs := []RowRef{ref(1, "participant:p", "user:a"), ref(2, "user:b"), ref(3, "participant:p")}
	observe(t, l, b, refs...)
	_, turn := begin(t, l, b, refs[0])
	wantStandings(t, turn, Settled) // row 3 is about the same participant id
	_, turn = begin(t, l, b, refs[2])
	wantStandings(t, turn, Ready)
	// All of a row's keys or none: a row that is busy by one holds none.
	_, other := begin(t, l, b, ref(4, "user:b", "participant:p"))
	wantStandings(t, other, Busy)
	_, third := begin(t, l, b, ref(2, "user:b"))
	wantStandings(t, third, Ready)
}

func testBusy(t *testing.T, _ *redis.Client, l *Ledger) {
	a, b := batch(t, l, "a", 1), batch(t, l, "b", 1)
	observe(t, l, a, ref(1, "user:x"))
	_, first := begin(t, l, a, ref(1, "user:x"))
	wantStandings(t, first, Ready)
	observe(t, l, b, ref(1, "user:x")) // newer, while the older is under way
	_, second := begin(t, l, b, ref(1, "user:x"))
	wantStandings(t, second, Busy)
	// The older gets its natural outcome, then the newer runs.
	if _, err := first.Record(t.Context(), Settlement{N: 1, Row: Row{Outcome: Invited, Attempts: 1}}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // ending twice is harmless
		if err := first.End(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_, second = begin(t, l, b, ref(1, "user:x"))
	wantStandings(t, second, Ready)
}

// testDeliveredTwice: a row's task is delivered a second time while the first
// run is under way and a newer change exists. The second must not call the row
// superseded: its request may be applied at this moment.
func testDeliveredTwice(t *testing.T, _ *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 1)
	observe(t, l, b, ref(1, "participant:p", "user:a"))
	_, first := begin(t, l, b, ref(1, "participant:p", "user:a"))
	young := batch(t, l, "young", 1)
	observe(t, l, young, ref(1, "user:a"))
	_, second := begin(t, l, b, ref(1, "participant:p", "user:a"))
	wantStandings(t, second, Busy)
	if _, err := first.Record(t.Context(), Settlement{N: 1, Row: Row{Outcome: Removed}}); err != nil {
		t.Fatal(err)
	}
	if r := rows(t, l, b)[0]; r.Outcome != Removed {
		t.Errorf("row is %+v", r)
	}
}

// testClaimLingers: what a worker has sent that is gone may be done yet. Another
// change to the participant waits for that, the same one does not.
func testClaimLingers(t *testing.T, _ *redis.Client, l *Ledger) {
	b, newer := batch(t, l, "b", 2), batch(t, l, "newer", 2)
	r := ref(1, "user:a")
	_, turn := begin(t, l, b, r)
	turn.cancel(nil) // nobody renews it, nor gives it up
	observe(t, l, newer, r)
	l.Linger = 30 * time.Second
	standing := func(b Batch, r RowRef) Standing {
		t.Helper()
		_, turn := begin(t, l, b, r)
		defer end(t, turn)
		return turn.Standings[0]
	}

	testutil.Advance(t, DefaultClaimLife-time.Millisecond)
	if s := standing(b, r); s != Busy {
		t.Errorf("while the claim lives, the same change is %v", s)
	}
	testutil.Advance(t, time.Millisecond)
	if s := standing(b, r); s == Busy {
		t.Error("the same change waits for what it is itself")
	}

	r = ref(2, "user:b")
	_, turn = begin(t, l, b, r)
	turn.cancel(nil)
	testutil.Advance(t, DefaultClaimLife)
	if s := standing(b, r); s == Busy { // and it ends
		t.Error("the same change waits for what it is itself")
	}
	testutil.Advance(t, l.Linger-time.Millisecond)
	if s := standing(newer, r); s != Busy {
		t.Errorf("while what was sent may be done, another change is %v", s)
	}
	testutil.Advance(t, time.Millisecond)
	if s := standing(newer, r); s != Ready {
		t.Errorf("after that another change is %v", s)
	}
}

func testClaimOfTheDead(t *testing.T, rdb *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 1)
	// A worker that claims and is gone.
	err := claimScript.Run(t.Context(), rdb, []string{newestKey("t/call"), claimsKey("t/call"), ringingKey("t/call"), changedKey("t/call")},
		"dead", DefaultClaimLife.Milliseconds(), 60, 0, 1, 1, participantField("user:a")).Err()
	if err != nil {
		t.Fatal(err)
	}
	_, turn := begin(t, l, b, ref(1, "user:a"))
	wantStandings(t, turn, Busy)
	testutil.Advance(t, DefaultClaimLife-time.Millisecond)
	_, turn = begin(t, l, b, ref(1, "user:a"))
	wantStandings(t, turn, Busy)
	testutil.Advance(t, time.Millisecond)
	_, turn = begin(t, l, b, ref(1, "user:a"))
	wantStandings(t, turn, Ready)
}

func testClaimRenewed(t *testing.T, rdb *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 1)
	ctx, turn := begin(t, l, b, ref(1, "user:a"))
	testutil.Advance(t, 10*DefaultClaimLife)
	_, other := begin(t, l, b, ref(1, "user:a"))
	wantStandings(t, other, Busy)
	if ctx.Err() != nil {
		t.Errorf("the turn ended: %v", context.Cause(ctx))
	}
	if err := turn.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := rdb.HLen(t.Context(), claimsKey("t/call")).Val(); n != 0 {
		t.Errorf("%d claims are left", n)
	}
}

func testClaimLost(t *testing.T, rdb *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 1)
	ctx, _ := begin(t, l, b, ref(1, "user:a"))
	rdb.Del(t.Context(), claimsKey("t/call"))
	began := time.Now()
	<-ctx.Done()
	if d := time.Since(began); d != DefaultClaimLife/3 {
		t.Errorf("the turn ended after %s", d)
	}
	if !errors.Is(context.Cause(ctx), ErrClaimLost) {
		t.Errorf("cause is %v", context.Cause(ctx))
	}
}

func testNotBefore(t *testing.T, rdb *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 1)
	_, turn := begin(t, l, b, ref(1, "user:a"))
	at := turn.Now().Add(time.Minute)
	if _, err := turn.Record(t.Context(), Settlement{N: 1, Row: Row{Attempts: 1, At: at}}); err != nil {
		t.Fatal(err)
	}
	if err := turn.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, turn = begin(t, l, b, ref(1, "user:a"))
	wantStandings(t, turn, Later)
	if d := turn.Rows[0].At.Sub(at); d.Abs() > time.Millisecond {
		t.Errorf("due at %s, want %s", turn.Rows[0].At, at)
	}
	if n := rdb.HLen(t.Context(), claimsKey("t/call")).Val(); n != 0 {
		t.Errorf("a row that waits holds %d claims", n)
	}
}

func testExpired(t *testing.T, rdb *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 2)
	_, turn := begin(t, l, b, ref(1, "user:a"))
	if _, err := turn.Record(t.Context(), Settlement{N: 1, Row: Row{Attempts: 3, Status: 503, Detail: "Graph had a temporary error"}}); err != nil {
		t.Fatal(err)
	}
	_ = turn.End(t.Context())
	rdb.HSet(t.Context(), metaKey("b"), "deadline", b.CreatedAt.UnixMilli())
	_, turn = begin(t, l, b, ref(1, "user:a"), ref(2, "user:b"))
	wantStandings(t, turn, Settled, Settled)
	got := rows(t, l, b)
	if got[0].Outcome != Expired || got[0].Attempts != 3 || got[0].Status != 503 || got[1].Outcome != Expired {
		t.Errorf("rows %+v", got)
	}
}

func testCancelled(t *testing.T, _ *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 2)
	_, under := begin(t, l, b, ref(1, "user:a"))
	if err := l.Cancel(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	_, turn := begin(t, l, b, ref(1, "user:a"), ref(2, "user:b"))
	wantStandings(t, turn, Busy, Settled)
	// The row under way gets what really happened to it.
	if _, err := under.Record(t.Context(), Settlement{N: 1, Row: Row{Outcome: Removed}}); err != nil {
		t.Fatal(err)
	}
	st := status(t, l, b)
	if st.State != Stopped || st.Pending != 0 || st.Outcomes[Removed] != 1 || st.Outcomes[Cancelled] != 1 {
		t.Errorf("status %+v", st)
	}
}

func testSettledRow(t *testing.T, rdb *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 1)
	_, turn := begin(t, l, b, ref(1, "user:a"))
	if _, err := turn.Record(t.Context(), Settlement{N: 1, Row: Row{Outcome: Removed}}); err != nil {
		t.Fatal(err)
	}
	_ = turn.End(t.Context())
	observe(t, l, batch(t, l, "newer", 1), ref(1, "user:a"))
	_, turn = begin(t, l, b, ref(1, "user:a")) // its task is delivered once more
	wantStandings(t, turn, Settled)
	if len(turn.Skipped) != 0 || rows(t, l, b)[0].Outcome != Removed {
		t.Errorf("a settled row was settled again: %+v", turn.Skipped)
	}
	if n := rdb.HLen(t.Context(), claimsKey("t/call")).Val(); n != 0 {
		t.Errorf("%d claims are left", n)
	}
}

func testNoBatch(t *testing.T, rdb *redis.Client, l *Ledger) {
	_, err := l.Status(t.Context(), "b")
	if !errors.Is(err, ErrNoBatch) {
		t.Errorf("status: %v", err)
	}
	gone := Batch{ID: "b", Rows: 1, Keep: time.Hour}
	if _, _, err := l.Begin(t.Context(), gone, "t/call", []RowRef{ref(1, "user:a")}); !errors.Is(err, ErrNoBatch) {
		t.Errorf("begin: %v", err)
	}
	b := batch(t, l, "c", 1)
	_, turn := begin(t, l, b, ref(1, "user:a"))
	rdb.FlushDB(t.Context())
	if _, err := turn.Record(t.Context(), Settlement{N: 1, Row: Row{Outcome: Removed}}); !errors.Is(err, ErrNoBatch) {
		t.Errorf("record: %v", err)
	}
	if n := rdb.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys were written for a batch that is not there", n)
	}
}

func testReopen(t *testing.T, _ *redis.Client, l *Ledger) {
	const n = 300
	b := batch(t, l, "b", n)
	for i := int64(1); i <= n; i++ {
		o := Removed
		if i%3 == 0 {
			o = Exhausted
		}
		if _, _, err := l.settle(t.Context(), b, []Settlement{{N: i, Row: Row{Outcome: o, Attempts: 8}}}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := l.Reopen(t.Context(), b, []Outcome{Exhausted, Rejected})
	if err != nil || got != 100 {
		t.Fatalf("reopened %d, %v", got, err)
	}
	st := status(t, l, b)
	if st.Pending != 100 || st.State != Running || st.Outcomes[Exhausted] != 0 || st.Outcomes[Removed] != 200 || !st.FinishedAt.IsZero() || st.Base != b.Base {
		t.Errorf("status %+v", st)
	}
	if st.Deadline.Before(b.Deadline) {
		t.Errorf("the deadline went back from %s to %s", b.Deadline, st.Deadline)
	}
	if r := rows(t, l, b)[2]; r != (Row{}) {
		t.Errorf("a reopened row remembers %+v", r)
	}
	if open, err := l.Open(t.Context()); err != nil || len(open) != 1 {
		t.Errorf("open: %d, %v", len(open), err)
	}
	if got, err := l.Reopen(t.Context(), b, []Outcome{Exhausted}); err != nil || got != 0 {
		t.Errorf("reopened again: %d, %v", got, err)
	}
}

func testOpenHeals(t *testing.T, rdb *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 1)
	if _, _, err := l.settle(t.Context(), b, []Settlement{{N: 1, Row: Row{Outcome: Removed}}}); err != nil {
		t.Fatal(err)
	}
	// As if the one who settled the last row had died before telling.
	rdb.ZAdd(t.Context(), keyOpen, redis.Z{Score: 1, Member: "b"}, redis.Z{Score: 2, Member: "expired"})
	if open, err := l.Open(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("open: %v, %v", open, err)
	}
	if n := rdb.ZCard(t.Context(), keyOpen).Val(); n != 0 {
		t.Errorf("%d stale entries are left", n)
	}
}

func testLists(t *testing.T, rdb *redis.Client, l *Ledger) {
	for i := range 3 {
		id := fmt.Sprintf("b%d", i)
		batch(t, l, id, 1)
		rdb.ZAdd(t.Context(), keyBatches, redis.Z{Score: float64(i), Member: id})
	}
	rdb.Del(t.Context(), metaKey("b1")) // expired
	got, err := l.List(t.Context(), 10)
	if err != nil || len(got) != 2 || got[0].ID != "b2" || got[1].ID != "b0" {
		t.Errorf("list %+v, %v", got, err)
	}
	if got, err := l.List(t.Context(), 1); err != nil || len(got) != 1 || got[0].ID != "b2" {
		t.Errorf("newest %+v, %v", got, err)
	}
	if got, err := l.List(t.Context(), 2); err != nil || len(got) != 2 || got[1].ID != "b0" {
		t.Errorf("two newest %+v, %v", got, err)
	}
	// Whoever looks may not write: who makes the next batches takes it off.
	if n := rdb.ZCard(t.Context(), keyBatches).Val(); n != 3 {
		t.Errorf("%d batches are listed", n)
	}
	batch(t, l, "b3", 1)
	if n := rdb.ZCard(t.Context(), keyBatches).Val(); n != 3 {
		t.Errorf("%d batches are listed after another was made", n)
	}
}

func testSources(t *testing.T, _ *redis.Client, l *Ledger) {
	const n = 40*BucketRows + 7 // more than one round trip of Buckets
	b := batch(t, l, "b", n)
	var sources [][]byte
	for i := range 41 {
		sources = append(sources, fmt.Appendf(nil, "source of bucket %d", i))
	}
	for range 2 {
		if err := l.Put(t.Context(), b, 0, sources, nil); err != nil {
			t.Fatal(err)
		}
	}
	i, total := 0, 0
	err := l.Buckets(t.Context(), b, func(k Bucket) error {
		if string(k.Source) != string(sources[i]) || k.First != int64(i)*BucketRows+1 {
			t.Errorf("bucket %d: %q from row %d", i, k.Source, k.First)
		}
		i++
		total += len(k.Rows)
		return nil
	})
	if err != nil || total != n {
		t.Errorf("%d rows, %v", total, err)
	}
	stop := errors.New("enough")
	if err := l.Buckets(t.Context(), b, func(Bucket) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the callback's error became %v", err)
	}
}

func testUnsent(t *testing.T, _ *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 700)
	if _, _, err := l.settle(t.Context(), b, []Settlement{{N: 300, Row: Row{Outcome: Removed}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.SettleUnsent(t.Context(), b, 257, 700, Row{Outcome: Cancelled}); err != nil {
		t.Fatal(err)
	}
	if st := status(t, l, b); st.Pending != 256 || st.Outcomes[Cancelled] != 443 || st.Outcomes[Removed] != 1 {
		t.Errorf("status %+v", st)
	}
}

func testKeyLife(t *testing.T, rdb *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 1)
	if err := l.Put(t.Context(), b, 0, [][]byte{[]byte("x")}, nil); err != nil {
		t.Fatal(err)
	}
	observe(t, l, b, ref(1, "user:a"))
	_, turn := begin(t, l, b, ref(1, "user:a"))
	if _, err := turn.Record(t.Context(), Settlement{N: 1, Row: Row{Outcome: Removed}}); err != nil {
		t.Fatal(err)
	}
	for _, key := range rdb.Keys(t.Context(), "rollcall:*").Val() {
		if key == keyBatches || key == keyOpen || key == keySeq {
			continue
		}
		most := 2 * time.Hour
		if key == keyFinished { // it is of all batches
			most = listedFinished
		}
		if ttl := rdb.TTL(t.Context(), key).Val(); ttl <= 0 || ttl > most {
			t.Errorf("%q expires in %s", key, ttl)
		}
	}
}

// testProlong: a batch whose file is enqueued again lives as if it were new, with all
// that belongs to it.
func testProlong(t *testing.T, rdb *redis.Client, l *Ledger) {
	const n = renewAhead*hashRows + 7
	b := batch(t, l, "b", n)
	sources := make([][]byte, (n+BucketRows-1)/BucketRows)
	for i := range sources {
		sources[i] = []byte("x")
	}
	if err := l.Put(t.Context(), b, 0, sources, nil); err != nil {
		t.Fatal(err)
	}
	_, _, err := l.settle(t.Context(), b, []Settlement{{N: 1, Row: Row{Outcome: Rejected}}, {N: n, Row: Row{Outcome: Removed}}})
	if err != nil {
		t.Fatal(err)
	}
	keys := rdb.Keys(t.Context(), "rollcall:{b:b}:*").Val()
	if len(keys) != len(sources)+2+len(settleKeys("b")) {
		t.Fatal(len(keys), "keys")
	}
	age := func(left time.Duration) {
		for _, key := range keys {
			rdb.Expire(t.Context(), key, left)
		}
	}
	lives := func(least, most time.Duration) {
		t.Helper()
		if err := l.Prolong(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			if ttl := rdb.TTL(t.Context(), key).Val(); ttl < least || ttl > most {
				t.Fatalf("%s lives for %s", key, ttl)
			}
		}
	}
	age(115 * time.Minute)
	lives(100*time.Minute, 115*time.Minute) // not worth it yet
	age(time.Hour)
	lives(100*time.Minute, 2*time.Hour)

	// Of the time it was prolonged for, nobody remembers who changed what.
	if _, err := l.Reopen(t.Context(), b, []Outcome{Rejected}); err != nil {
		t.Error(err)
	}
	rdb.HIncrBy(t.Context(), metaKey(b.ID), "created", -(2*time.Hour + time.Minute).Milliseconds())
	if _, err := l.Reopen(t.Context(), status(t, l, b).Batch, []Outcome{Removed}); !errors.Is(err, ErrOld) {
		t.Errorf("an old batch is reopened: %v", err)
	}
	rdb.Del(t.Context(), metaKey(b.ID))
	if err := l.Prolong(t.Context(), b); !errors.Is(err, ErrNoBatch) {
		t.Errorf("a batch that is gone is prolonged: %v", err)
	}
}

// testSequenceLost: a Redis that has forgotten which numbers it gave out, as one
// node of a cluster can, gives none that make a newer change the older one.
func testSequenceLost(t *testing.T, rdb *redis.Client, l *Ledger) {
	older := batch(t, l, "older", 3)
	rdb.Del(t.Context(), keySeq)
	testutil.Advance(t, time.Millisecond) // as any restart of Redis takes
	newer := batch(t, l, "newer", 1)
	if newer.Seq(1) <= older.Seq(3) {
		t.Errorf("the newer batch's first row has number %d, the older one's last %d", newer.Seq(1), older.Seq(3))
	}
}

// testLatestLost: a change that is carried out is known to be newer than others,
// even if Redis has lost that.
func testLatestLost(t *testing.T, rdb *redis.Client, l *Ledger) {
	older, newer := batch(t, l, "older", 1), batch(t, l, "newer", 1)
	r := ref(1, "p")
	observe(t, l, older, r)
	observe(t, l, newer, r)
	rdb.Del(t.Context(), newestKey("t/call"))
	_, turn := begin(t, l, newer, r)
	wantStandings(t, turn, Ready)
	end(t, turn)
	_, turn = begin(t, l, older, r)
	wantStandings(t, turn, Settled)
	if o := rows(t, l, older)[0].Outcome; o != Superseded {
		t.Errorf("the older change is %s", o)
	}
	if life := rdb.TTL(t.Context(), newestKey("t/call")).Val(); life < newer.keyLife()/2 {
		t.Errorf("that is remembered for %s only", life)
	}
}

// testLatestLostHere: of two rows of one task about a participant only the newer
// is sent, even if Redis has lost that there is a newer.
func testLatestLostHere(t *testing.T, rdb *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 2)
	refs := []RowRef{ref(1, "p"), ref(2, "p")}
	observe(t, l, b, refs...)
	rdb.Del(t.Context(), newestKey("t/call"))
	_, turn := begin(t, l, b, refs...)
	wantStandings(t, turn, Settled, Ready)
}

// testMadeAnew: Redis lost a batch that then was enqueued again. A task or a turn
// of its former life must not judge its rows by the numbers they had.
func testMadeAnew(t *testing.T, rdb *redis.Client, l *Ledger) {
	old := batch(t, l, "b", 2)
	observe(t, l, old, ref(1, "p"), ref(2, "q"))
	_, turn := begin(t, l, old, ref(1, "p"))
	rdb.FlushDB(t.Context())
	testutil.Advance(t, time.Millisecond)
	anew := batch(t, l, "b", 2)
	observe(t, l, anew, ref(1, "p"), ref(2, "q"))
	if _, err := turn.Record(t.Context(), Settlement{N: 1, Row: Row{Outcome: Removed}}); !errors.Is(err, ErrNoBatch) {
		t.Errorf("a turn of its former life writes: %v", err)
	}
	if _, _, err := l.Begin(t.Context(), old, "t/call", []RowRef{ref(2, "q")}); !errors.Is(err, ErrNoBatch) {
		t.Errorf("a task of its former life begins: %v", err)
	}
	_, now := begin(t, l, anew, ref(1, "p"), ref(2, "q"))
	wantStandings(t, now, Ready, Ready)
}

// testMadeAgain: however late outcomes of a batch come, they expire with it: a batch
// that is made again then knows nothing of them.
func testMadeAgain(t *testing.T, rdb *redis.Client, l *Ledger) {
	old := batch(t, l, "b", 2)
	const left = 30 * time.Minute // most of its life is over
	rdb.PExpire(t.Context(), metaKey("b"), left)
	some := []Settlement{{N: 1, Row: Row{Outcome: Removed, At: old.CreatedAt}}, {N: 2, Row: Row{Outcome: Rejected, At: old.CreatedAt}}}
	if _, _, err := l.settle(t.Context(), old, some); err != nil {
		t.Fatal(err)
	}
	keys := append(settleKeys("b"), rowsKey("b", 0))
	for _, key := range keys {
		if ttl := rdb.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > left {
			t.Errorf("%s lives for %s", key, ttl)
		}
	}

	rdb.Del(t.Context(), keys...)
	b := batch(t, l, "b", 2)
	if st := status(t, l, b); st.Pending != 2 || rows(t, l, b)[0].Outcome != Pending {
		t.Errorf("made again, it has %+v", st)
	}
}

func testSequence(t *testing.T, _ *redis.Client, l *Ledger) {
	a, b := batch(t, l, "a", 1000), batch(t, l, "b", 10)
	if a.Seq(1000) >= b.Seq(1) || a.Seq(1) >= a.Seq(2) {
		t.Errorf("a ends with %d, b begins with %d", a.Seq(1000), b.Seq(1))
	}
}

func testScriptFlush(t *testing.T, rdb *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 1)
	observe(t, l, b, ref(1, "user:a"))
	if err := rdb.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	observe(t, l, b, ref(1, "user:a"))
	_, turn := begin(t, l, b, ref(1, "user:a"))
	wantStandings(t, turn, Ready)
}

// testManyInOneCall: what is noted of a call goes on in further blocks, in which
// older and newer changes are told apart as in one, and noting the same again and
// again adds nothing.
func testManyInOneCall(t *testing.T, rdb *redis.Client, l *Ledger) {
	const n = 40_000
	older, newer := batch(t, l, "older", n), batch(t, l, "newer", n)
	put := func(b Batch, first, last int64) {
		t.Helper()
		var refs []RowRef
		for i := first; i <= last; i++ {
			refs = append(refs, ref(i, fmt.Sprint("user:", i)))
		}
		observe(t, l, b, refs...)
	}
	size := func() (bytes int64, blocks int) {
		keys := rdb.Keys(t.Context(), "rollcall:{c:t/call}:newest*").Val()
		for _, k := range keys {
			b := rdb.StrLen(t.Context(), k).Val()
			if b > 16384 {
				t.Errorf("%s has %d bytes", k, b)
			}
			if rdb.TTL(t.Context(), k).Val() < older.keyLife()/2 {
				t.Errorf("%s lives for %s only", k, rdb.TTL(t.Context(), k).Val())
			}
			bytes += b
		}
		return bytes, len(keys)
	}
	for first := int64(1); first <= n; first += 4000 {
		put(older, first, first+3999)
	}
	bytes, blocks := size()
	if bytes != n*16 || blocks < 2 {
		t.Errorf("%d participants take %d bytes in %d blocks", n, bytes, blocks)
	}
	older.fresh = false // as for an enqueue that goes on
	put(older, 1, 4000)
	once, _ := size() // what is in a full block is not looked for: it stands once more below
	put(older, 1, 4000)
	if again, _ := size(); once > bytes+4000*16 || again != once {
		t.Errorf("noted again, they take %d bytes, and then %d", once, again)
	}
	put(newer, n/2, n)
	check := func(b Batch, row int64, want Standing) {
		t.Helper()
		_, turn := begin(t, l, b, ref(row, fmt.Sprint("user:", row)))
		defer end(t, turn)
		wantStandings(t, turn, want)
	}
	for row := int64(1); row < n; row += 997 {
		if row < n/2 {
			check(older, row, Ready)
		} else {
			check(older, row, Settled)
			check(newer, row, Ready)
		}
	}
}

// testSameAgainAndAgain: participants who are changed every day do not take more
// and more.
func testSameAgainAndAgain(t *testing.T, rdb *redis.Client, l *Ledger) {
	const n = 400
	var last Batch
	for day := range 20 {
		last = batch(t, l, fmt.Sprint("day-", day), n)
		var refs []RowRef
		for i := range int64(n) {
			refs = append(refs, ref(i+1, fmt.Sprint("user:", i)))
		}
		observe(t, l, last, refs...)
	}
	keys := rdb.Keys(t.Context(), "rollcall:{c:t/call}:newest*").Val()
	if b := rdb.StrLen(t.Context(), newestKey("t/call")).Val(); len(keys) != 1 || b > 16384 {
		t.Errorf("%d blocks, the first of %d bytes", len(keys), b)
	}
	_, turn := begin(t, l, last, ref(1, "user:0"))
	wantStandings(t, turn, Ready)
}
