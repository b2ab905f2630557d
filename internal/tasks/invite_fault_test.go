package tasks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/graph/graphsim"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// behind is a world whose simulator stands behind a handler.
func behind(t *testing.T, rdb *redis.Client, cfg graphsim.Config, handle func(sim *graphsim.Sim, rw http.ResponseWriter, r *http.Request)) *world {
	t.Helper()
	sim, err := graphsim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldWith(t, rdb, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handle(sim, rw, r) }))
	w.sim = sim
	return w
}

// TestSlowInvitation: the time that a request takes is no time in which its
// people could have answered.
func TestSlowInvitation(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprint("lost ", lost), func(t *testing.T) {
			t.Parallel()
			redistest.Either(t, func(t *testing.T, rdb *redis.Client) { testSlowInvitation(t, rdb, lost) })
		})
	}
}

func testSlowInvitation(t *testing.T, rdb *redis.Client, lost bool) {
	var posts atomic.Int64
	cfg := graphsim.Config{RingMin: 2500 * time.Millisecond, RingMax: 2500 * time.Millisecond}
	w := behind(t, rdb, cfg, func(sim *graphsim.Sim, rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || posts.Add(1) > 1 {
			sim.ServeHTTP(rw, r)
			return
		}
		testutil.Advance(t, 1500*time.Millisecond) // before it is applied
		if lost {
			sim.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		sim.ServeHTTP(rw, r)
	})
	b := w.enqueue(inviteList("c", "u-1"))
	w.work(confirmWithin(short))
	w.finish(b)
	w.wantOutcomes(b, ledger.Joined)
	w.wantRung(1)
}

// TestNeverKnown: where no answer to any invitation arrives and nobody comes,
// they are rung once more, and not as often as there are attempts.
func TestNeverKnown(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{NoAnswerRate: 1, RingMax: 500 * time.Millisecond, Faults: graphsim.Faults{"invite.gateway": 1}})
		b := w.enqueue(inviteList("c", "u-1"))
		w.work(confirmWithin(time.Second))
		w.finish(b)
		w.wantOutcomes(b, ledger.Exhausted)
		if n := w.sim.State().Calls["c"].Rings["user:u-1"]; n != 2 {
			t.Errorf("they were rung %d times", n)
		}
	})
}

// TestCameAlone: one of three comes by themselves. That is no proof that the
// request arrived with which all three were invited.
func TestCameAlone(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{Faults: graphsim.Faults{"invite.reset": 1}})
		b := w.enqueue(inviteList("c", "u-1", "u-2", "u-3"))
		w.work(confirmWithin(short))
		w.sent(1)
		w.faults(nil)
		w.sim.AddParticipant("c", graphsim.Participant{Kind: "user", Identity: "u-1"})
		w.finish(b)
		w.wantOutcomes(b, ledger.Joined, ledger.Joined, ledger.Joined)
		w.wantRung(2)
	})
}

// TestSeenThenKilled: the answer is lost; two of three come; the worker dies
// right after it has written that they did. The third is not rung again.
func TestSeenThenKilled(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{RingMax: 200 * time.Millisecond, Faults: graphsim.Faults{"invite.lost": 1}})
		b := w.enqueue(inviteList("c", "u-1", "u-2", "noanswer-3"))
		c := another(t, rdb)
		var dead atomic.Bool
		c.AddHook(cutAfter{func(cmd redis.Cmder) bool {
			for _, a := range cmd.Args() {
				if s, ok := a.([]byte); ok && len(s) > 0 && s[0] == 'J' {
					dead.Store(true)
					return false // this one arrives
				}
			}
			return dead.Load()
		}})
		stop := w.work(confirmWithin(short), func(cfg *WorkerConfig) { cfg.Redis = c; cfg.ShutdownTimeout = time.Second })
		testutil.Eventually(t, "somebody was seen", dead.Load)
		stop()
		w.faults(nil)
		w.dropQueue() // which believes that the dead one still works
		w.work(confirmWithin(short), func(cfg *WorkerConfig) { cfg.SweepEvery = 100 * time.Millisecond })
		w.finish(b)
		w.wantOutcomes(b, ledger.Joined, ledger.Joined, ledger.Unresolved)
		w.wantRung(3)
	})
}

// cutAfter refuses commands.
type cutAfter struct{ cut func(redis.Cmder) bool }

func (h cutAfter) DialHook(n redis.DialHook) redis.DialHook { return n }

func (h cutAfter) ProcessHook(n redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if h.cut(cmd) {
			cmd.SetErr(errCut)
			return errCut
		}
		return n(ctx, cmd)
	}
}

func (h cutAfter) ProcessPipelineHook(n redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if h.cut(cmd) {
				for _, c := range cmds {
					c.SetErr(errCut)
				}
				return errCut
			}
		}
		return n(ctx, cmds)
	}
}

// TestPresentAndWorkedOn: somebody is shown whose participant id another task
// holds. Nobody asks Graph for the roster over and over meanwhile.
func TestPresentAndWorkedOn(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{Latency: 20 * time.Millisecond})
		w.sim.AddParticipant("c", graphsim.Participant{ID: "p-1", Kind: "user", Identity: "u-1"})
		remove := w.put(w.request("action,call_id,participant_id\ndelete,c,p-1\n", false))
		w.dropQueue()
		_, turn, err := w.q.Ledger.Begin(t.Context(), remove, "/c", []ledger.RowRef{{N: 1, Keys: []string{"participant:p-1"}}})
		if err != nil {
			t.Fatal(err)
		}
		b := w.put(w.request(inviteList("c", "u-1", "u-2"), false))
		w.work(confirmWithin(short))
		testutil.Eventually(t, "the other is seen", func() bool { return w.rows(b)[1].Outcome == ledger.Joined })
		if n := w.kinds("roster"); n > 12 {
			t.Errorf("the roster was read %d times", n)
		}
		if o := w.rows(b)[0].Outcome; o != ledger.Pending {
			t.Errorf("the row is %s while its participant is perhaps being removed", o)
		}
		if err := turn.End(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.finish(b)
		w.wantOutcomes(b, ledger.AlreadyPresent, ledger.Joined)
	})
}

// TestReconnected: the endpoint that the roster showed is gone, and its user is
// there with another one.
func TestReconnected(t *testing.T) {
	t.Parallel()
	for others, want := range map[int]ledger.Outcome{0: ledger.Removed, 120: ledger.Unresolved} {
		t.Run(fmt.Sprint(others, " others"), func(t *testing.T) {
			t.Parallel()
			redistest.Either(t, func(t *testing.T, rdb *redis.Client) { testReconnected(t, rdb, others, want) })
		})
	}
}

func testReconnected(t *testing.T, rdb *redis.Client, others int, want ledger.Outcome) {
	var once sync.Once
	w := behind(t, rdb, graphsim.Config{}, func(sim *graphsim.Sim, rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			once.Do(func() {
				sim.ServeHTTP(httptest.NewRecorder(), r.Clone(context.Background()))
				sim.AddParticipant("c", graphsim.Participant{ID: "second", Kind: "user", Identity: "u-1"})
			})
		}
		sim.ServeHTTP(rw, r)
	})
	w.sim.AddParticipant("c", graphsim.Participant{ID: "first", Kind: "user", Identity: "u-1"})
	w.crowd("c", others)
	b := w.put(w.request("action,call_id,user_id\ndelete,c,u-1\n", false))
	w.work()
	w.finish(b)
	w.wantOutcomes(b, want)
	if w.present("c", "u-1") != (want == ledger.Unresolved) {
		t.Error("the outcome is not true")
	}
}

// TestDeleteOfBoth: a participant id that is gone does not mean that the user is
// whom the row also names.
func TestDeleteOfBoth(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{})
		for _, id := range []string{"laptop", "phone"} {
			w.sim.AddParticipant("c", graphsim.Participant{ID: id, Kind: "user", Identity: "u-1"})
		}
		b := w.put(w.request("action,call_id,participant_id,user_id\ndelete,c,p-old,u-1\ndelete,c,p-gone,u-gone\n", false))
		w.work()
		w.finish(b)
		w.wantOutcomes(b, ledger.Removed, ledger.AlreadyRemoved)
		if w.present("c", "u-1") {
			t.Error("they are in the call")
		}
	})
}

// TestRosterForbidden: that the roster is not shown says nothing about who may be
// removed.
func TestRosterForbidden(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w := unreadable(t, rdb, 403, 1e9, graphsim.Config{})
		w.sim.AddCall("c")
		b := w.put(w.request("action,call_id,user_id\ndelete,c,u-1\n", false))
		w.work()
		w.finish(b)
		w.wantOutcomes(b, ledger.Unresolved)
		if r := w.rows(b)[0]; r.Status != 403 || !strings.Contains(r.Detail, "participant_id") {
			t.Errorf("%+v", r)
		}
	})
}

// TestLookedTooLate: whoever is looked for long after they were invited may have
// come and gone: nobody claims that they did not answer, nor rings them again.
func TestLookedTooLate(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{NoAnswerRate: 1, OperationLife: -1})
		w.tune = func(worker *Worker) { worker.looks.first = short }
		stop := w.work()
		known := w.enqueue(inviteList("c", "u-1"))
		w.sent(1)
		w.faults(graphsim.Faults{"invite.lost": 1})
		unknown := w.enqueue(inviteList("d", "u-2"))
		w.sent(2)
		testutil.Eventually(t, "the answer is lost", func() bool { return w.rows(unknown)[0].Detail != "" })
		stop()
		w.faults(nil)
		w.tune = func(worker *Worker) { worker.looks.late = 2 * time.Second }
		w.work(confirmWithin(time.Second))
		w.finish(known, unknown)
		w.wantOutcomes(known, ledger.Invited)
		w.wantOutcomes(unknown, ledger.Unresolved)
		w.wantRung(2)
	})
}

// revoked is a token that is taken away.
type revoked struct{ gone atomic.Bool }

func (r *revoked) Token(context.Context, string, bool) (string, error) {
	if r.gone.Load() {
		return "", errors.New("revoked")
	}
	return "t", nil
}

// TestNoTokenToLook: a row that is over, and that nobody can look at in time, does
// not stay pending for ever.
func TestNoTokenToLook(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{RingMin: time.Minute, RingMax: time.Minute})
		w.tune = func(worker *Worker) { worker.looks.late = 2 * time.Second }
		r := w.request(inviteList("c", "u-1"), true)
		r.Expire = 2 * time.Second
		b := w.put(r)
		tokens := &revoked{}
		w.work(confirmWithin(time.Second), func(cfg *WorkerConfig) { cfg.Graph.Tokens = tokens })
		w.sent(1)
		tokens.gone.Store(true)
		w.finish(b)
		w.wantOutcomes(b, ledger.Invited)
	})
}

// TestNothingToSend: who is in the call already costs no slots of the rate.
func TestNothingToSend(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{PageSize: 1000})
		w.crowd("c", 200)
		csv := strings.ReplaceAll(inviteList("c", people(200)...), "u-", "there-")
		b := w.put(w.request(csv, false))
		metrics := prometheus.NewRegistry()
		w.work(func(cfg *WorkerConfig) { cfg.Rate, cfg.Metrics = 2, metrics })
		w.finish(b)
		w.wantOutcomes(b, all(200, ledger.AlreadyPresent)...)
		// A slow machine takes more than one roster's life.
		reads := w.kinds("roster")
		if slots := scrape(t, metrics)["rollcall_limit_slots_total"]; slots != float64(reads) || reads > 5 {
			t.Errorf("the roster was read %d times, and %v slots were used", reads, slots)
		}
	})
}

// TestHardlyArrived: where nobody of several came, their request did not arrive:
// it is sent as often as there are attempts.
func TestHardlyArrived(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{Faults: graphsim.Faults{"invite.unavailable": 1}})
		b := w.enqueue(inviteList("c", "u-1", "u-2", "u-3"))
		w.work(confirmWithin(time.Second))
		w.sent(3)
		w.faults(nil)
		w.finish(b)
		w.wantOutcomes(b, ledger.Joined, ledger.Joined, ledger.Joined)
		w.wantRung(3)
		if r := w.rows(b)[0]; r.Attempts != 4 {
			t.Errorf("%+v", r)
		}
	})
}

// TestLooksComeFirst: whether somebody came is looked at in time, however much
// else is waiting.
func TestLooksComeFirst(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{})
		invite := w.enqueue(inviteList("c", "u-1"))
		backlog := w.enqueue(deletes(120, 120))
		w.work(confirmWithin(2*time.Second), func(cfg *WorkerConfig) { cfg.Rate, cfg.Concurrency = 15, 1 })
		w.finish(invite, backlog)
		w.wantOutcomes(invite, ledger.Joined)
		if seen, end := w.rows(invite)[0].At, w.status(backlog).FinishedAt; end.Sub(seen) < 2*time.Second {
			t.Errorf("they were seen %s before the end of %s", end.Sub(seen), end.Sub(invite.CreatedAt))
		}
	})
}
