package ledger

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/testutil"
)

// hook sees each command before it; an error stands for the command's, and for that
// of all that follow in a pipeline.
type hook struct{ before func(cmd redis.Cmder) error }

func (h hook) DialHook(n redis.DialHook) redis.DialHook { return n }

func (h hook) ProcessHook(n redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := h.before(cmd); err != nil {
			cmd.SetErr(err)
			return err
		}
		return n(ctx, cmd)
	}
}

func (h hook) ProcessPipelineHook(n redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for i, cmd := range cmds {
			err := h.before(cmd)
			if err == nil {
				continue
			}
			if i > 0 {
				_ = n(ctx, cmds[:i])
			}
			for _, lost := range cmds[i:] {
				lost.SetErr(err)
			}
			return err
		}
		return n(ctx, cmds)
	}
}

func is(cmd redis.Cmder, s *redis.Script) bool {
	return len(cmd.Args()) > 1 && cmd.Name() == "evalsha" && cmd.Args()[1] == s.Hash()
}

func another(t *testing.T, rdb *redis.Client) *redis.Client {
	t.Helper()
	c := redis.NewClient(rdb.Options())
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestFaults: Redis is slow, commands are not carried out, or answers are lost.
func TestFaults(t *testing.T) {
	suite(t, map[string]func(*testing.T, *redis.Client, *Ledger){
		"claim ran out within begin": testBeginAfterClaimRanOut,
		"release fails in begin":     testBeginReleaseFails,
		"keeper gives up in time":    testKeepMargin,
		"reopen interrupted":         testReopenInterrupted,
		"reopen's answer lost":       testReopenAnswerLost,
		"open races reopen":          testOpenRacesReopen,
		"mark of what is gone":       testMarkGone,
		"time of the unsent":         testUnsentTime,
		"newest batch has expired":   testNewestExpired,
	})
}

// testBeginAfterClaimRanOut: Redis is so slow that a claim runs out within Begin.
func testBeginAfterClaimRanOut(t *testing.T, rdb *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 1)
	observe(t, l, b, ref(1, "u"))
	if err := inspectScript.Load(t.Context(), rdb).Err(); err != nil {
		t.Fatal(err)
	}
	ranOut, goOn := make(chan struct{}), make(chan struct{})
	slow := another(t, rdb)
	slow.AddHook(hook{before: func(cmd redis.Cmder) error {
		if is(cmd, inspectScript) {
			close(ranOut)
			<-goOn
		}
		return nil
	}})
	done := make(chan *Turn)
	var ctx1 context.Context
	var err1 error
	go func() {
		var turn *Turn
		ctx1, turn, err1 = New(slow).Begin(context.Background(), b, "t/call", []RowRef{ref(1, "u")})
		done <- turn
	}()
	<-ranOut
	testutil.Advance(t, DefaultClaimLife)
	_, second := begin(t, l, b, ref(1, "u"))
	wantStandings(t, second, Ready)

	close(goOn)
	first := <-done
	if !errors.Is(err1, ErrClaimLost) {
		t.Errorf("two turns are ready for one participant at once: %v, %v, %v", first, ctx1, err1)
	}
}

// testBeginReleaseFails: a turn that does not begin holds nobody, also where
// giving up the rows it would have skipped failed at first.
func testBeginReleaseFails(t *testing.T, rdb *redis.Client, _ *Ledger) {
	old, b := batch(t, New(rdb), "old", 2), batch(t, New(rdb), "b", 1)
	observe(t, New(rdb), b, ref(1, "user:a"))
	c := another(t, rdb)
	failed := false
	c.AddHook(hook{before: func(cmd redis.Cmder) error {
		if is(cmd, releaseScript) && !failed {
			failed = true
			return errors.New("connection lost")
		}
		return nil
	}})
	refs := []RowRef{ref(1, "user:a"), ref(2, "user:b")}
	if _, _, err := New(c).Begin(t.Context(), old, "t/call", refs); err == nil {
		t.Fatal("no error")
	}
	if n := rdb.HLen(t.Context(), claimsKey("t/call")).Val(); n != 0 {
		t.Errorf("%d claims are left", n)
	}
}

// testKeepMargin: the keeper of a claim must give up before the claim can have run out.
func testKeepMargin(t *testing.T, rdb *redis.Client, l *Ledger) {
	c := another(t, rdb)
	b := batch(t, l, "b", 1)
	var hang atomic.Bool
	c.AddHook(ctxHook{&hang})
	start := time.Now()
	ctx, _ := begin(t, New(c), b, ref(1, "u"))
	hang.Store(true)
	<-ctx.Done()
	hang.Store(false)
	if d := time.Since(start); d != DefaultClaimLife*2/3 {
		t.Errorf("given up after %s, the claim lasts %s", d, DefaultClaimLife)
	}
}

// ctxHook hangs until the context of a command ends, as a Redis does that
// accepts connections and answers nothing.
type ctxHook struct{ hang *atomic.Bool }

func (h ctxHook) DialHook(n redis.DialHook) redis.DialHook { return n }

func (h ctxHook) ProcessHook(n redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if h.hang.Load() {
			<-ctx.Done()
			cmd.SetErr(ctx.Err())
			return ctx.Err()
		}
		return n(ctx, cmd)
	}
}

func (h ctxHook) ProcessPipelineHook(n redis.ProcessPipelineHook) redis.ProcessPipelineHook { return n }

// testReopenInterrupted: a retry that is interrupted must not leave rows pending in a batch that no list of open batches has.
func testReopenInterrupted(t *testing.T, rdb *redis.Client, _ *Ledger) {
	c := another(t, rdb)
	l := New(c)
	b := batch(t, l, "b", 300)
	if _, err := l.SettleUnsent(t.Context(), b, 1, 300, Row{Outcome: Exhausted}); err != nil {
		t.Fatal(err)
	}
	if err := reopenScript.Load(t.Context(), rdb).Err(); err != nil {
		t.Fatal(err)
	}
	n := 0
	c.AddHook(hook{before: func(cmd redis.Cmder) error {
		if is(cmd, reopenScript) {
			if n++; n == 2 {
				return errors.New("connection lost")
			}
		}
		return nil
	}})
	if _, err := l.Reopen(t.Context(), b, []Outcome{Exhausted}); err == nil {
		t.Fatal("no error")
	}
	open, err := New(rdb).Open(t.Context())
	st := status(t, l, b)
	if err != nil || len(open) == 0 || st.Pending == 0 {
		t.Errorf("%d rows are pending, open batches: %d %v", st.Pending, len(open), err)
	}
}

// testReopenAnswerLost: an answer is lost and go-redis sends the script again,
// which then reopens nothing.
func testReopenAnswerLost(t *testing.T, rdb *redis.Client, _ *Ledger) {
	c := another(t, rdb)
	l := New(c)
	b := batch(t, l, "b", 1)
	if _, err := l.SettleUnsent(t.Context(), b, 1, 1, Row{Outcome: Exhausted}); err != nil {
		t.Fatal(err)
	}
	// What go-redis does on a lost answer: the same command twice, the second answer counts.
	_ = reopenScript.Run(t.Context(), rdb, []string{metaKey(b.ID), countsKey(b.ID), rowsKey(b.ID, 0)},
		seconds(b.keyLife()), time.Now().Add(time.Hour).UnixMilli(), []byte{Exhausted.letter()}).Err()
	n, err := l.Reopen(t.Context(), b, []Outcome{Exhausted})
	open, _ := l.Open(t.Context())
	if st := status(t, l, b); err != nil || st.Pending == 1 && len(open) == 0 {
		t.Errorf("Reopen says %d, %d pending, %d open batches, %v", n, st.Pending, len(open), err)
	}
}

// testOpenRacesReopen: a batch is reopened while it is taken off the list.
func testOpenRacesReopen(t *testing.T, rdb *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 1)
	if _, err := l.SettleUnsent(t.Context(), b, 1, 1, Row{Outcome: Exhausted}); err != nil {
		t.Fatal(err)
	}
	// the writer of the last row died before it took it off the list
	rdb.ZAdd(t.Context(), keyOpen, redis.Z{Score: 1, Member: b.ID})
	c := another(t, rdb)
	c.AddHook(hook{before: func(cmd redis.Cmder) error {
		if cmd.Name() == "zrem" {
			if _, err := l.Reopen(context.Background(), b, []Outcome{Exhausted}); err != nil {
				t.Error(err)
			}
		}
		return nil
	}})
	if _, err := New(c).Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	open, _ := l.Open(t.Context())
	if st := status(t, l, b); st.Pending == 1 && len(open) == 0 {
		t.Error("a batch with a pending row is in no list")
	}
}

// testMarkGone: sealing or cancelling a batch that is gone makes no batch of it
// that would stand in the way of the next.
func testMarkGone(t *testing.T, rdb *redis.Client, l *Ledger) {
	for name, f := range map[string]func(*Ledger, Batch) error{
		"seal":   func(l *Ledger, b Batch) error { return l.Seal(context.Background(), b, Totals{}) },
		"cancel": func(l *Ledger, b Batch) error { return l.Cancel(context.Background(), b) },
	} {
		rdb.FlushDB(t.Context())
		b := batch(t, l, "b", 1)
		rdb.FlushDB(t.Context())
		err := f(l, b)
		ttl := rdb.TTL(t.Context(), metaKey("b")).Val()
		_, _, again := l.Create(t.Context(), b)
		if err == nil || again != nil {
			t.Errorf("%s of a batch that is gone: %v; TTL of its key %v; creating it again: %v", name, err, ttl, again)
		}
	}
}

// testUnsentTime: rows that were never sent have a time, too.
func testUnsentTime(t *testing.T, _ *redis.Client, l *Ledger) {
	b := batch(t, l, "b", 1)
	if _, err := l.SettleUnsent(t.Context(), b, 1, 1, Row{Outcome: Expired}); err != nil {
		t.Fatal(err)
	}
	if r := rows(t, l, b)[0]; r.At.IsZero() {
		t.Error("finished at", r.At.Format(time.RFC3339))
	}
}

// testNewestExpired: the newest batch has expired, older ones are there.
func testNewestExpired(t *testing.T, rdb *redis.Client, l *Ledger) {
	batch(t, l, "a", 1)
	batch(t, l, "b", 1)
	rdb.ZAdd(t.Context(), keyBatches, redis.Z{Score: 1, Member: "a"})
	rdb.Del(t.Context(), metaKey("b"))
	if got, _ := l.List(t.Context(), 1); len(got) != 1 {
		t.Error("no batch is listed, but one is there")
	}
}
