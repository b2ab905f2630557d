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
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// TestSideBySide: a task's requests do not wait for each other where the worker
// has nothing else to do, but for the first, which may show that all are in vain.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	invites := "action,call_id,user_id\n"
	for i := range 20 {
		invites += fmt.Sprintf("invite,c,u-%d\n", i)
	}
	for name, tt := range map[string]struct {
		csv  string
		want int // requests under way; of the invites all but the first
	}{
		"deletes": {deletes(20, 1), 4},
		"invites": {invites, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
				w := newWorld(t, rdb, graphsim.Config{Latency: time.Second, AutoCalls: true})
				b := w.put(w.request(tt.csv, true))
				w.work(func(c *WorkerConfig) { c.AcceptOnly = true })
				testutil.Eventually(t, "several requests are under way", func() bool { return w.sim.Counters().InFlight >= tt.want })
				w.finish(b)
			})
		})
	}
}

// TestFirstAlone: of a call that has ended, one request tells.
func TestFirstAlone(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		var asked atomic.Int32
		w := newWorldWith(t, rdb, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(http.StatusNotFound)
			_, _ = rw.Write([]byte(`{"error":{"code":"8522","message":"Call not found."}}`))
		}))
		b := w.enqueue(deletes(20, 1))
		w.work()
		w.finish(b)
		if n := asked.Load(); n != 1 {
			t.Errorf("%d requests", n)
		}
		if st := w.status(b); st.Outcomes[ledger.CallEnded] != 20 {
			t.Errorf("outcomes %v", st.Outcomes)
		}
	})
}

// TestCalledBack: tasks that were sent away because too many waited for slots are
// called back when they can have one, long before they would come by themselves.
func TestCalledBack(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		const rows, rate = 160, 20
		w := newWorld(t, rdb, graphsim.Config{AutoCalls: true})
		b := w.put(w.request(deletes(rows, rows/2), false))
		w.work(func(c *WorkerConfig) { c.Concurrency, c.Rate = 8, rate })
		w.finish(b)
		if took := w.status(b).FinishedAt.Sub(b.CreatedAt); took > (rows/rate+1)*time.Second || took >= backlogAway {
			t.Errorf("%d rows took %s at %d a second", rows, took, rate)
		}
	})
}

// TestPausedBetween: the scope is paused between a request that Graph refuses for
// the sake of one of its rows and those that tell which. The rows come back when the
// pause is over.
func TestPausedBetween(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		var worker *Worker
		var refused atomic.Bool
		w := newWorldWith(t, rdb, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			switch {
			case r.Method == http.MethodGet:
				_, _ = rw.Write([]byte(`{"value":[]}`))
			case refused.CompareAndSwap(false, true):
				if _, _, err := worker.limiter.Refused(r.Context(), worker.scope(""), 0, time.Second, true); err != nil {
					t.Error(err)
				}
				rw.WriteHeader(http.StatusBadRequest)
				_, _ = rw.Write([]byte(`{"error":{"code":"BadRequest","message":"one of them"}}`))
			default:
				_, _ = rw.Write([]byte(`{"id":"op","status":"running"}`))
			}
		}))
		w.tune = func(built *Worker) { worker = built }
		b := w.enqueue("action,call_id,user_id\ninvite,c,u-1\ninvite,c,u-2\n")
		w.work(func(c *WorkerConfig) { c.AcceptOnly = true })
		w.finish(b)
		w.wantOutcomes(b, ledger.Invited, ledger.Invited)
	})
}

// TestBrokenLane: a panic in what is done side by side is the task's.
func TestBrokenLane(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w, err := NewWorker(WorkerConfig{Redis: rdb, Graph: graph.Config{BaseURL: "http://127.0.0.1:1", Tokens: staticToken{}}})
		if err != nil {
			t.Fatal(err)
		}
		if s, err := w.limiter.Next(t.Context(), w.scope("")); err != nil { // so that the rate is known
			t.Fatal(err)
		} else {
			s.Release()
		}
		r := &round{w: w, task: &task{}}
		r.mu.Lock()
		defer r.mu.Unlock()
		defer func() {
			if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "lane 2") {
				t.Errorf("recovered %v", p)
			}
			if n := w.hands.busy.Load(); n != 0 {
				t.Errorf("%d hands are busy", n)
			}
		}()
		begun := make(chan struct{})
		r.spread(3, func(i int) {
			if i == 1 {
				r.outside(func() { <-begun }) // the next is another lane's
			}
			if i == 2 {
				close(begun)
				panic("lane 2")
			}
		})
	})
}

// TestBrokenBeside: a task that panics waits for what is done beside it, which
// needs its claims.
func TestBrokenBeside(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w, err := NewWorker(WorkerConfig{Redis: rdb, Graph: graph.Config{BaseURL: "http://127.0.0.1:1", Tokens: staticToken{}}})
		if err != nil {
			t.Fatal(err)
		}
		if s, err := w.limiter.Next(t.Context(), w.scope("")); err != nil {
			t.Fatal(err)
		} else {
			s.Release()
		}
		r := &round{w: w, task: &task{}}
		r.mu.Lock()
		defer r.mu.Unlock()
		begun, ended := make(chan struct{}), false
		defer func() {
			if p := recover(); p != "the task" || !ended {
				t.Errorf("recovered %v, ended %v", p, ended)
			}
		}()
		r.spread(3, func(i int) {
			switch i {
			case 1:
				r.outside(func() { <-begun })
				panic("the task")
			case 2:
				r.outside(func() { close(begun); testutil.Advance(t, time.Minute) })
				ended = true
			}
		})
	})
}
