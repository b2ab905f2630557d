package tasks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/graph"
	"rollcall/internal/graph/graphsim"
	"rollcall/internal/ledger"
	"rollcall/internal/ratelimit"
	"rollcall/internal/redistest"
	"rollcall/internal/roster"
	"rollcall/internal/testutil"
)

// beforeHook sees each single command before it is sent.
type beforeHook struct{ before func(redis.Cmder) }

func (h beforeHook) DialHook(n redis.DialHook) redis.DialHook { return n }

func (h beforeHook) ProcessHook(n redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { h.before(cmd); return n(ctx, cmd) }
}

func (h beforeHook) ProcessPipelineHook(n redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return n
}

func another(t *testing.T, rdb *redis.Client) *redis.Client {
	t.Helper()
	c := redis.NewClient(rdb.Options())
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestPauseBeforeFirstRequest: a pause begins after a task has waited for its slot.
func TestPauseBeforeFirstRequest(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		const pause = 1500 * time.Millisecond
		var paused, asked time.Time
		w := newWorldWith(t, rdb, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			asked = time.Now()
			rw.WriteHeader(204)
		}))
		b := w.enqueue("action,call_id,participant_id\ndelete,c,p\n")
		c := another(t, rdb)
		l := ratelimit.New(rdb, 0, 32)
		var once sync.Once
		c.AddHook(beforeHook{func(cmd redis.Cmder) {
			for _, a := range cmd.Args() {
				if s, ok := a.(string); ok && strings.HasSuffix(s, ":claims") {
					once.Do(func() {
						paused = time.Now()
						_, _, _ = l.Refused(context.Background(), "test/", 0, pause, true)
						testutil.Advance(t, 10*time.Millisecond) // the word that there is no pause is good for a moment
					})
				}
			}
		}})

		w.work(func(cfg *WorkerConfig) { cfg.Redis = c })
		w.finish(b)
		if waited := asked.Sub(paused); waited < pause {
			t.Errorf("a request %s after the beginning of a pause of %s", waited, pause)
		}
	})
}

type panicToken struct{ n atomic.Int64 }

func (p *panicToken) Token(context.Context, string, bool) (string, error) {
	if p.n.Add(1) == 1 {
		panic("once")
	}
	return "t", nil
}

// TestPanic: a panic in a handler gives its claims up, and the row is done later.
func TestPanic(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{})
		b := w.enqueue("action,call_id,participant_id\ndelete,c,p\n")
		w.work(func(cfg *WorkerConfig) { cfg.Graph.Tokens = &panicToken{} })
		w.finish(b)
		w.wantOutcomes(b, ledger.Removed)
	})
}

// TestScopeCase: a tenant is one scope, however its id is written.
func TestScopeCase(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{AutoCalls: true})
		b := w.enqueue("action,tenant_id,call_id,participant_id\ndelete,81E74EF5-E8E2-4D94-9ED9-04759531985D,c,p\ndelete,81e74ef5-e8e2-4d94-9ed9-04759531985d,d,q\n")
		w.work(func(cfg *WorkerConfig) { cfg.Rate = 100 })
		w.finish(b)
		keys := rdb.Keys(t.Context(), "rollcall:{s:*:limit").Val()
		if len(keys) != 1 {
			t.Errorf("one tenant has %d limits: %q", len(keys), keys)
		}
	})
}

// TestSweepPoisoned: a batch that cannot be swept does not keep others from it.
func TestSweepPoisoned(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{AutoCalls: true})
		old := w.enqueue("action,call_id,participant_id\ndelete,c,p\n")
		bad := w.enqueue("action,call_id,participant_id\ndelete,c,q\n")
		w.dropQueue()
		rdb.HSet(t.Context(), "rollcall:{b:"+bad.ID+"}:meta", "layout", `{"files":[{"name":"x","columns":["future"]}]}`, "deadline", 1)
		w.work(func(c *WorkerConfig) { c.SweepEvery = time.Second })
		w.finish(old)
	})
}

// TestSweepCutOff: a sweep that is cut off at any point is made up for by the next.
func TestSweepCutOff(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{})
		r := w.request(deletes(30, 2), true)
		r.Expire = time.Second
		b := w.put(r)
		testutil.Advance(t, 2*time.Second)
		c := another(t, rdb)
		sweeper, err := NewWorker(WorkerConfig{Redis: c, Graph: graph.Config{BaseURL: w.srv.URL, Dial: w.srv.Dial, Tokens: staticToken{}}})
		if err != nil {
			t.Fatal(err)
		}

		ctx, cancel := context.WithCancel(t.Context())
		c.AddHook(beforeHook{func(cmd redis.Cmder) {
			if strings.Contains(fmt.Sprint(cmd.Args()...), ":claims") { // it begins rows of the batch
				cancel()
			}
		}})
		if err := sweeper.sweepOnce(ctx, map[string]*progress{}); !errors.Is(err, context.Canceled) {
			t.Errorf("a sweep whose worker ends says %v", err)
		}
		hook := &cutHook{}
		c.AddHook(hook)
		for left := 0; w.status(b).Pending > 0; left++ {
			if left > 100 {
				t.Fatal("the batch does not expire")
			}
			hook.left = left
			if err := sweeper.sweepOnce(t.Context(), map[string]*progress{}); err == nil && left == 0 {
				t.Error("no error of a Redis that refuses everything")
			}
			testutil.Advance(t, time.Minute) // claims that were not given up run out
		}
		w.wantOutcomes(b, all(30, ledger.Expired)...)
	})
}

// TestOverdueInTask: the deadline of a batch comes while a task is carried out
// whose rows wait for the rate. What was not sent by then expires.
func TestOverdueInTask(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{})
		r := w.request(deletes(15, 1), true)
		r.Expire = 5 * time.Second
		b := w.put(r)
		w.work(func(c *WorkerConfig) { c.Rate = 1 })
		w.finish(b)
		w.wantOnce()
		requests := w.sim.Requests(0)
		if st := w.status(b); st.Outcomes[ledger.Removed] != int64(len(requests)) || st.Outcomes[ledger.Expired] != int64(15-len(requests)) {
			t.Errorf("outcomes %v after %d requests", st.Outcomes, len(requests))
		}
		for _, q := range requests {
			if late := q.Start.Sub(b.Deadline); late > 2*time.Second { // what waited for its slot by then
				t.Errorf("a request %s after the deadline", late)
			}
		}
	})
}

// TestGuestCase: ids that differ by case alone are one only where they are GUIDs.
func TestGuestCase(t *testing.T) {
	r := graph.Roster{Participants: []graph.Participant{{ID: "1", Identities: []graph.Identity{{Kind: graph.Guest, ID: "8:guest:aBcD"}}}}}
	s := newSnapshot(time.Now(), r, nil)
	if got := s.endpoints(roster.Change{Kind: roster.Guest, ID: "8:guest:AbCd"}); len(got) != 0 {
		t.Error("another guest is removed; the ledger holds them for two")
	}
}

// TestRetryAgain: a retry that was cut off is completed by the next, or by the
// sweeper.
func TestRetryAgain(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		for left := 1; left < 12; left++ {
			rdb.FlushDB(t.Context())
			w := newWorld(t, rdb, graphsim.Config{AutoCalls: true})
			b := w.enqueue(deletes(3, 1))
			w.dropQueue()
			if _, err := w.q.Ledger.SettleUnsent(t.Context(), b, 1, 3, ledger.Row{Outcome: ledger.Exhausted}); err != nil {
				t.Fatal(err)
			}

			c := another(t, rdb)
			q := NewQueue(c)
			c.AddHook(&cutHook{left: left})
			if _, err := q.Retry(t.Context(), b, []ledger.Outcome{ledger.Exhausted}); err == nil {
				break
			}
			pending := w.status(b).Pending
			n, err := w.q.Retry(t.Context(), b, []ledger.Outcome{ledger.Exhausted})
			open, _ := w.q.Ledger.Open(t.Context())
			tasks := rdb.Keys(t.Context(), "asynq:*:t:*").Val()
			if err != nil || w.status(b).Pending != 3 || len(open) != 1 || len(tasks) == 0 {
				t.Errorf("cut after %d commands with %d pending: the second retry says %d, %v; %d open batches, %d tasks",
					left, pending, n, err, len(open), len(tasks))
			}
		}
	})
}

// TestClaimLost: losing the claim in the middle of a request costs no attempt,
// here the last. Its answer is waited for: what has been sent is not sent again.
func TestClaimLost(t *testing.T) {
	t.Parallel()
	for _, answers := range []bool{false, true} {
		t.Run(fmt.Sprintf("answers %t", answers), func(t *testing.T) {
			t.Parallel()
			redistest.Either(t, func(t *testing.T, rdb *redis.Client) { testClaimLost(t, rdb, answers) })
		})
	}
}

func testClaimLost(t *testing.T, rdb *redis.Client, answers bool) {
	const claimLife = 3 * time.Second
	var n atomic.Int64
	w := newWorldWith(t, rdb, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			rdb.Del(context.Background(), "rollcall:{c:/c}:claims")
			if !answers {
				<-r.Context().Done() // the worker hangs up
				return
			}
			testutil.Advance(t, claimLife*2/3) // they are to be renewed after a third
		}
		rw.WriteHeader(204)
	}))
	w.tune = func(worker *Worker) { worker.queue.Ledger.ClaimLife = claimLife }
	b := w.enqueue("action,call_id,participant_id\ndelete,c,p\ndelete,c,q\n")

	w.work(func(cfg *WorkerConfig) { cfg.MaxAttempts = 1; cfg.Graph.Timeout = 5 * time.Second })
	w.finish(b)
	w.wantOutcomes(b, ledger.Removed, ledger.Removed)
	if want := int64(2); answers && n.Load() != want {
		t.Errorf("%d requests, want %d", n.Load(), want)
	}
}

// TestRetryRemembers: what supersedes a row is remembered as long as the row
// that is retried lives.
func TestRetryRemembers(t *testing.T) {
	w := newWorld(t, redistest.Any(t), graphsim.Config{})
	b := w.enqueue("action,call_id,participant_id\ndelete,c,p\n")
	if _, err := w.q.Ledger.SettleUnsent(t.Context(), b, 1, 1, ledger.Row{Outcome: ledger.Exhausted}); err != nil {
		t.Fatal(err)
	}
	const newest = "rollcall:{c:/c}:newest"
	w.rdb.Expire(t.Context(), newest, time.Minute)
	if n, err := w.q.Retry(t.Context(), b, []ledger.Outcome{ledger.Exhausted}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if life := w.rdb.TTL(t.Context(), newest).Val(); life < b.Expire+b.Keep-time.Minute {
		t.Errorf("it is remembered for %s only", life)
	}
}

// TestRetryOfCancelled: retrying a cancelled batch sends no row that was pending
// when it was cancelled.
func TestRetryOfCancelled(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{})
		b := w.enqueue(deletes(3, 3))
		if _, err := w.q.Ledger.SettleUnsent(t.Context(), b, 1, 1, ledger.Row{Outcome: ledger.Exhausted}); err != nil {
			t.Fatal(err)
		}
		if err := w.q.Ledger.Cancel(t.Context(), b); err != nil { // and cut off there
			t.Fatal(err)
		}
		if n, err := w.q.Retry(t.Context(), b, []ledger.Outcome{ledger.Exhausted}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		w.work()
		w.finish(b)
		w.wantOutcomes(b, ledger.Removed, ledger.Cancelled, ledger.Cancelled)
	})
}

// TestSweepRacesRetry: the sweeper has read that a batch is cancelled, and the
// batch is retried before it acts. It must not cancel the retried rows.
func TestSweepRacesRetry(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{})
		b := w.enqueue(deletes(3, 1))
		if err := w.q.Cancel(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		read := w.status(b)
		if n, err := w.q.Retry(t.Context(), b, []ledger.Outcome{ledger.Cancelled}); n != 3 || err != nil {
			t.Fatal(n, err)
		}

		sweeper, err := NewWorker(WorkerConfig{Redis: w.rdb, Graph: graph.Config{BaseURL: w.srv.URL, Dial: w.srv.Dial, Tokens: staticToken{}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := sweeper.sweepBatch(t.Context(), read, &progress{}, b.CreatedAt); err != nil {
			t.Fatal(err)
		}
		w.work()
		w.finish(b)
		w.wantOutcomes(b, ledger.Removed, ledger.Removed, ledger.Removed)
	})
}

// TestFullRedis: a Redis that takes nothing is not asked again without a rest, and
// when it takes writes again the work is done.
func TestFullRedis(t *testing.T) {
	t.Parallel()
	redistest.StartServer(t).Fake(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{AutoCalls: true})
		b := w.enqueue(deletes(20, 2))
		rdb.ConfigSet(t.Context(), "maxmemory", "1")
		var said strings.Builder // slog's handlers write one line at a time
		stop := w.work(func(c *WorkerConfig) { c.Log = slog.New(slog.NewTextHandler(&said, nil)) })
		calls := func() int {
			info := rdb.InfoMap(t.Context(), "stats").Val()["Stats"]
			n, err := strconv.Atoi(info["total_commands_processed"])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}

		const seconds = 60
		before := calls()
		testutil.Advance(t, seconds*time.Second)
		if each := (calls() - before) / seconds; each > 100 {
			t.Errorf("a full Redis is asked %d times a second", each)
		}
		rdb.ConfigSet(t.Context(), "maxmemory", "0")
		w.wantRemoved(b, 20)
		stop()
		if text := said.String(); strings.Count(text, "takes no writes") != 1 || strings.Count(text, "level=ERROR") != 1 {
			t.Errorf("it says:\n%s", text)
		}
	})
}

// TestReadyAgain: a Redis that comes back empty takes outcomes, though there is
// nothing to write the last ones to.
func TestReadyAgain(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		answer := make(chan struct{})
		var asked, down atomic.Bool
		w := newWorldWith(t, rdb, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			asked.Store(true)
			<-answer
			rw.WriteHeader(http.StatusNoContent)
		}))
		c := another(t, rdb)
		c.AddHook(cutAfter{func(redis.Cmder) bool { return down.Load() }})
		var worker *Worker
		w.tune = func(x *Worker) { worker = x }
		w.enqueue("action,call_id,participant_id\ndelete,c,p\n")

		w.work(func(cfg *WorkerConfig) { cfg.Redis = c })
		testutil.Eventually(t, "the request is there", asked.Load)
		down.Store(true)
		close(answer)
		testutil.Eventually(t, "the outcome cannot be written", worker.stuck.on.Load)
		rdb.FlushDB(t.Context())
		down.Store(false)
		testutil.Eventually(t, "it is ready again", worker.Ready)
	})
}

// TestCutOff: a worker has less time to end than its request takes, which Graph
// goes on with. Another change to the participant is not sent meanwhile.
func TestCutOff(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		var asked, under, overlaps atomic.Int64
		w := newWorldWith(t, rdb, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			if under.Add(1) > 1 {
				overlaps.Add(1)
			}
			defer under.Add(-1)
			if asked.Add(1) == 1 {
				testutil.Advance(t, 4*time.Second) // a client that hangs up does not stop it
			}
			rw.WriteHeader(http.StatusNoContent)
		}))
		stop := w.work(func(cfg *WorkerConfig) { cfg.ShutdownTimeout = 300 * time.Millisecond })
		old := w.enqueue("action,call_id,participant_id\ndelete,c,p\n")
		testutil.Eventually(t, "the delete is under way", func() bool { return asked.Load() == 1 })
		newer := w.enqueue("action,call_id,participant_id,note\ndelete,c,p,newer\n")

		stop()
		w.work()
		w.finish(old, newer)
		if overlaps.Load() > 0 {
			t.Error("the newer change was sent while the older was being carried out")
		}
	})
}

// TestCancelRemembers: cancelling a batch does not make others forget that a dead
// worker's request for it may still be carried out.
func TestCancelRemembers(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{})
		old := w.enqueue("action,call_id,participant_id\ndelete,c,p\n")
		ref := []ledger.RowRef{{N: 1, Keys: []string{"participant:p"}}}
		dead := ledger.New(w.rdb)
		dead.ClaimLife = 200 * time.Millisecond
		_, turn, err := dead.Begin(t.Context(), old, "/c", ref)
		if err == nil {
			err = turn.Leave(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}

		testutil.Eventually(t, "the batch is cancelled", func() bool {
			return w.q.Cancel(t.Context(), old) == nil && w.status(old).Outcomes[ledger.Cancelled] == 1
		})
		newer := w.enqueue("action,call_id,participant_id,note\ndelete,c,p,newer\n")
		_, turn, err = w.q.Ledger.Begin(t.Context(), newer, "/c", ref)
		if err != nil {
			t.Fatal(err)
		}
		if turn.Standings[0] != ledger.Busy {
			t.Errorf("the newer change is %v, want busy", turn.Standings)
		}
		if err := turn.End(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
