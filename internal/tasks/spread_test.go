package tasks

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/graph"
	"rollcall/internal/graph/graphsim"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// TestSideBySide: a task's requests do not wait for each other where the worker
// has nothing else to do, but for the first, which may show that all are in vain.
func TestSideBySide(t *testing.T) {
	for name, csv := range map[string]string{
		"deletes": deletes(20, 1),
		"invites": "action,call_id,user_id\n" + strings.Repeat("invite,c,u-%d\n", 20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := 4 // requests under way; of the invites all but the first
			if name == "invites" {
				want = 3
				for i := range 20 {
					csv = strings.Replace(csv, "%d", fmt.Sprint(i), 1)
				}
			}
			w := newWorld(t, redistest.Any(t), graphsim.Config{Latency: time.Second, AutoCalls: true})
			b := w.put(w.request(csv, true))
			w.work(func(c *WorkerConfig) { c.AcceptOnly = true })
			testutil.Eventually(t, "several requests are under way", func() bool { return w.sim.Counters().InFlight >= want })
			w.finish(b)
		})
	}
}

// TestFirstAlone: of a call that has ended, one request tells.
func TestFirstAlone(t *testing.T) {
	var asked atomic.Int32
	w := newWorldWith(t, redistest.Any(t), http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
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
}

// TestCalledBack: tasks that were sent away because too many waited for slots are
// called back when they can have one, long before they would come by themselves.
func TestCalledBack(t *testing.T) {
	const rows, rate = 160, 20
	w := newWorld(t, redistest.Any(t), graphsim.Config{AutoCalls: true})
	b := w.put(w.request(deletes(rows, rows/2), false))
	w.work(func(c *WorkerConfig) { c.Concurrency, c.Rate = 8, rate })
	testutil.Eventually(t, "all rows are done", func() bool { return w.status(b).Pending == 0 })
}

// TestPausedBetween: the scope is paused between a request that Graph refuses for
// the sake of one of its rows and those that tell which. The rows come back when the
// pause is over.
func TestPausedBetween(t *testing.T) {
	var worker *Worker
	var refused atomic.Bool
	w := newWorldWith(t, redistest.Any(t), http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
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
	testutil.Eventually(t, "the rows are done", func() bool { return w.status(b).Pending == 0 })
	w.wantOutcomes(b, ledger.Invited, ledger.Invited)
}

// TestBrokenLane: a panic in what is done side by side is the task's.
func TestBrokenLane(t *testing.T) {
	w, err := NewWorker(WorkerConfig{Redis: redistest.Any(t), Graph: graph.Config{BaseURL: "http://127.0.0.1:1", Tokens: staticToken{}}})
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
	r.spread(3, func(i int) {
		if i == 1 {
			r.outside(func() { time.Sleep(10 * time.Millisecond) }) // the next is another lane's
		}
		if i == 2 {
			panic("lane 2")
		}
	})
}

// TestBrokenBeside: a task that panics waits for what is done beside it, which
// needs its claims.
func TestBrokenBeside(t *testing.T) {
	w, err := NewWorker(WorkerConfig{Redis: redistest.Any(t), Graph: graph.Config{BaseURL: "http://127.0.0.1:1", Tokens: staticToken{}}})
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
			r.outside(func() { close(begun); time.Sleep(50 * time.Millisecond) })
			ended = true
		}
	})
}
