package ledger

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// finish gives all rows of the batch an outcome.
func finish(t *testing.T, l *Ledger, b Batch) Status {
	t.Helper()
	if _, err := l.SettleUnsent(t.Context(), b, 1, b.Rows, Row{Outcome: Exhausted}); err != nil {
		t.Fatal(err)
	}
	return status(t, l, b)
}

func take(t *testing.T, l *Ledger, st Status, receiver string) Notice {
	t.Helper()
	n, err := l.TakeNotice(t.Context(), st, receiver, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func listed(t *testing.T, l *Ledger) []Listed {
	t.Helper()
	all, err := l.Finished(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestNotices(t *testing.T) {
	redistest.Suite(t, map[string]func(t *testing.T, rdb *redis.Client){
		"a notice is one's alone until it failed or was sent": func(t *testing.T, rdb *redis.Client) {
			l := New(rdb)
			st := finish(t, l, batch(t, l, "b", 3))
			mine := take(t, l, st, "r")
			if other := take(t, New(rdb), st, "r"); mine.State != NoticeMine || other.State != NoticeBusy || other.Wait != time.Minute {
				t.Fatalf("%+v, then %+v", mine, other)
			}
			if other := take(t, l, st, "r2"); other.State != NoticeMine {
				t.Errorf("another receiver's: %+v", other)
			}
			if err := l.NoticeFailed(t.Context(), mine, time.Hour); err != nil {
				t.Fatal(err)
			}
			if again := take(t, l, st, "r"); again.State != NoticeWait || again.Failures != 1 || again.Wait != time.Hour {
				t.Errorf("after a failure: %+v", again)
			}
			if err := l.NoticeSent(t.Context(), mine); err != nil {
				t.Fatal(err)
			}
			if again := take(t, l, st, "r"); again.State != NoticeOver {
				t.Errorf("after it was sent: %+v", again)
			}
			for _, key := range []string{mine.key, keyFinished} {
				if ttl := rdb.TTL(t.Context(), key).Val(); ttl < time.Hour || ttl > 26*time.Hour {
					t.Errorf("%s expires in %s", key, ttl)
				}
			}
		},
		"what a slow sender says late does not disturb the next": func(t *testing.T, rdb *redis.Client) {
			l := New(rdb)
			st := finish(t, l, batch(t, l, "b", 1))
			slow, err := l.TakeNotice(t.Context(), st, "r", time.Second)
			if err != nil {
				t.Fatal(err)
			}
			testutil.Advance(t, time.Second)
			if next := take(t, l, st, "r"); next.State != NoticeMine {
				t.Errorf("the next gets %+v", next)
			}
			if err := l.NoticeFailed(t.Context(), slow, time.Millisecond); err != nil {
				t.Fatal(err)
			}
			if third := take(t, l, st, "r"); third.State != NoticeBusy || third.Failures != 0 {
				t.Errorf("%+v", third)
			}
		},
		"each finish is another notice": func(t *testing.T, rdb *redis.Client) {
			l := New(rdb)
			b := batch(t, l, "b", 1)
			st := finish(t, l, b)
			if err := l.NoticeSent(t.Context(), take(t, l, st, "r")); err != nil {
				t.Fatal(err)
			}
			first := listed(t, l)
			testutil.Advance(t, time.Millisecond)
			if _, err := l.Reopen(t.Context(), b, []Outcome{Exhausted}); err != nil {
				t.Fatal(err)
			}
			if _, err := l.TakeNotice(t.Context(), status(t, l, b), "r", time.Minute); err == nil {
				t.Error("a batch that is open again has a notice")
			}
			st = finish(t, l, b)
			if n := take(t, l, st, "r"); n.State != NoticeMine {
				t.Errorf("%+v", n)
			}
			again := listed(t, l)
			if len(first) != 1 || len(again) != 1 || !again[0].At.After(first[0].At) {
				t.Errorf("listed %v, then %v", first, again)
			}
			if none, err := l.Finished(t.Context(), again[0].At.Add(time.Millisecond)); err != nil || len(none) != 0 {
				t.Errorf("%v, %v", none, err)
			}
		},
		"one that is a day old is given up, once": func(t *testing.T, rdb *redis.Client) {
			l := New(rdb)
			st := finish(t, l, batch(t, l, "b", 1))
			st.FinishedAt = st.FinishedAt.Add(-NoticeLife - time.Second)
			if n := take(t, l, st, "r"); n.State != NoticeLate {
				t.Errorf("%+v", n)
			}
			if n := take(t, l, st, "r"); n.State != NoticeOver {
				t.Errorf("%+v", n)
			}
		},
		"old batches leave the list": func(t *testing.T, rdb *redis.Client) {
			l := New(rdb)
			rdb.ZAdd(t.Context(), keyFinished, redis.Z{Score: float64(time.Now().Add(-listedFinished - time.Minute).UnixMilli()), Member: "old"},
				redis.Z{Score: float64(time.Now().Add(-listedFinished + time.Minute).UnixMilli()), Member: "younger"})
			finish(t, l, batch(t, l, "b", 1))
			if all := listed(t, l); len(all) != 2 || all[0].ID != "younger" || all[1].ID != "b" {
				t.Errorf("%v", all)
			}
		},
		"since when a receiver gets any is set once": func(t *testing.T, rdb *redis.Client) {
			l := New(rdb)
			first, err := l.Receiver(t.Context(), "r", time.Time{})
			if err != nil || !first.Equal(time.Now()) {
				t.Fatalf("%v, %v", first, err)
			}
			again, err := l.Receiver(t.Context(), "r", first.Add(time.Hour))
			if err != nil || !again.Equal(first) {
				t.Errorf("%v, then %v, %v", first, again, err)
			}
			rdb.FlushDB(t.Context())
			again, err = l.Receiver(t.Context(), "r", first)
			if err != nil || !again.Equal(first) {
				t.Errorf("after Redis lost it: %v, not %v, %v", again, first, err)
			}
		},
	})
}

// TestFinishedIsNotLost: the writer of the last outcome dies before it has told
// anybody; whoever reads the list of open batches does it then.
func TestFinishedIsNotLost(t *testing.T) {
	dies := func(when func(cmd redis.Cmder) bool) func(*testing.T, *redis.Client, *Ledger) {
		return func(t *testing.T, rdb *redis.Client, l *Ledger) {
			c := another(t, rdb)
			c.AddHook(hook{before: func(cmd redis.Cmder) error {
				if when(cmd) {
					return errors.New("killed")
				}
				return nil
			}})
			finish(t, New(c), batch(t, l, "b", 1))
			if open, err := l.Open(t.Context()); err != nil || len(open) != 0 {
				t.Errorf("open are %v, %v", open, err)
			}
			if all := listed(t, l); len(all) != 1 || all[0].ID != "b" {
				t.Errorf("finished are %v", all)
			}
		}
	}
	suite(t, map[string]func(*testing.T, *redis.Client, *Ledger){
		"before it is in the list":           dies(func(cmd redis.Cmder) bool { return is(cmd, finishedScript) }),
		"before it is off that of open ones": dies(func(cmd redis.Cmder) bool { return cmd.Name() == "zrem" }),
	})
}
