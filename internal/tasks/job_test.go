package tasks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/graph/graphsim"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/roster"
	"rollcall/internal/testutil"
)

func TestJob(t *testing.T) {
	redistest.Suite(t, map[string]func(*testing.T, *redis.Client){
		"main job":                  testMainJob,
		"stale invite":              testStaleInvite,
		"stale delete":              testStaleDelete,
		"never two at once":         testNeverTwoAtOnce,
		"throttled":                 testThrottled,
		"expired by its task":       testExpiredByTask,
		"expired by the sweeper":    testExpiredBySweeper,
		"queue lost":                testQueueLost,
		"archived":                  testArchived,
		"queue half lost":           testQueueHalfLost,
		"retry":                     testRetry,
		"cancel without a worker":   testCancelNoWorker,
		"cancel of half an enqueue": testCancelHalf,
		"delete by identity":        testDeleteByIdentity,
		"roster of 100":             testFullRoster,
		"shutdown hands back":       testShutdown,
		"token comes late":          testTokenLate,
		"ledger lost":               testLedgerLost,
		"call ended is asked once":  testCallEnded,
	})
}

func testMainJob(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{})
	b := w.enqueue(`action,call_id,participant_id,user_id,phone,note
invite,c1,,user-1,,
delete,c1,p-1,,,
delete,c1,gone-1,,,
invite,ended-1,,user-2,,
delete,ended-1,p-2,,,
invite,c2,,,+14255550100,
invite,c1,,user-3,,"two
lines"
delete,c1,,user-3,,later wins
delete,c1,,user-4,,
delete,c1,,gone-4,,
`)
	if b.Totals != (ledger.Totals{Tasks: 5, Invites: 4, Deletes: 6, Calls: 3}) {
		t.Errorf("totals %+v", b.Totals)
	}
	w.work()
	w.finish(b)
	w.wantOutcomes(b, ledger.Joined, ledger.Removed, ledger.AlreadyRemoved, ledger.CallEnded, ledger.CallEnded,
		ledger.Joined, ledger.Superseded, ledger.Removed, ledger.Removed, ledger.AlreadyRemoved)
	for i, r := range w.rows(b) {
		if r.At.IsZero() || (r.Attempts == 0) != (r.Outcome == ledger.Superseded || r.Outcome == ledger.CallEnded && r.Attempts == 0) {
			t.Errorf("row %d: %+v", i+1, r)
		}
		if r.Status != 0 && r.RequestID == "" {
			t.Errorf("row %d has no request id", i+1)
		}
	}
	// The same again does nothing.
	before := w.sim.Counters().ByKind["invite"]
	again, existing, err := w.q.Enqueue(t.Context(), w.request("action,call_id,user_id\ninvite,c1,user-9\n", false))
	if err != nil || existing {
		t.Fatal(existing, err)
	}
	w.finish(again)
	if n := w.sim.Counters().ByKind["invite"] - before; n != 1 {
		t.Errorf("%d invitations for one invite", n)
	}
}

// outage makes requests of a kind fail while it is on.
func (w *world) outage(kind string) (end func()) {
	w.t.Helper()
	if err := w.sim.SetFaults(graphsim.Faults{kind + ".unavailable": 1}); err != nil {
		w.t.Fatal(err)
	}
	return func() {
		if err := w.sim.SetFaults(nil); err != nil {
			w.t.Fatal(err)
		}
	}
}

// tried waits until the first row has been tried and is to be tried again.
func (w *world) tried(b ledger.Batch) {
	w.t.Helper()
	testutil.Eventually(w.t, "the row has been tried", func() bool { return w.rows(b)[0].Attempts > 0 })
}

func testStaleInvite(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{})
	w.work(confirmWithin(2 * time.Second))
	end := w.outage("invite")
	old := w.enqueue("action,call_id,participant_id,user_id\ninvite,c1,p-1,user-1\n")
	w.tried(old)
	young := w.enqueue("action,call_id,participant_id,user_id\ndelete,c1,p-1,\n")
	w.finish(young)
	end()
	before := w.sim.Counters().ByKind["invite"]
	w.finish(old)
	w.wantOutcomes(old, ledger.Superseded)
	if n := w.sim.Counters().ByKind["invite"] - before; n != 0 {
		t.Errorf("the stale invite was sent %d times after the newer delete", n)
	}
	if n := len(w.sim.State().Calls["c1"].Participants); n != 0 {
		t.Errorf("%d participants are in the call", n)
	}
}

func testStaleDelete(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{})
	w.work()
	end := w.outage("delete")
	old := w.enqueue("action,call_id,participant_id,user_id\ndelete,c1,p-1,\n")
	w.tried(old)
	w.sim.SetLatency(0, 0)
	young := w.put(w.request("action,call_id,participant_id,user_id\ninvite,c1,p-1,user-1\n", false))
	w.finish(young)
	end()
	before := w.sim.Counters().ByKind["delete"]
	w.finish(old)
	w.wantOutcomes(old, ledger.Superseded)
	if n := w.sim.Counters().ByKind["delete"] - before; n != 0 {
		t.Errorf("the stale delete was sent %d times after the newer invite", n)
	}
}

func testNeverTwoAtOnce(t *testing.T, rdb *redis.Client) {
	const people, times = 100, 5
	w := newWorld(t, rdb, graphsim.Config{Latency: 3 * time.Millisecond})
	w.work()
	w.work()
	rng := rand.New(rand.NewPCG(1, 2))
	last := map[string]bool{} // present in the end
	var batches []ledger.Batch
	for range times {
		var csv strings.Builder
		csv.WriteString("action,call_id,participant_id,user_id\n")
		for i := range people {
			present := rng.IntN(2) == 0
			last[fmt.Sprintf("p-%d", i)] = present
			if present {
				fmt.Fprintf(&csv, "invite,c%d,p-%d,u-%d\n", i%10, i, i)
			} else {
				fmt.Fprintf(&csv, "delete,c%d,p-%d,\n", i%10, i)
			}
		}
		batches = append(batches, w.put(w.request(csv.String(), len(batches) == 0)))
	}
	w.finish(batches...)
	if c := w.sim.Counters(); c.Overlaps != 0 {
		t.Errorf("%d requests overlapped another for the same participant: %v", c.Overlaps, c.MaxOverlap)
	}
	got := map[string]bool{}
	for _, c := range w.sim.State().Calls {
		for _, p := range c.Participants {
			got[p.ID] = true
		}
	}
	for id, want := range last {
		if got[id] != want {
			t.Errorf("%s present: %t, want %t", id, got[id], want)
		}
	}
	total := 0
	for _, b := range batches {
		w.wantOutcomes(b)
		total += len(w.rows(b))
	}
	if total != people*times {
		t.Errorf("%d rows", total)
	}
}

func testThrottled(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{Limit: graphsim.Limit{Window: 4, Per: graphsim.Duration(time.Second)}})
	b := w.enqueue(deletes(20, 3))
	var said strings.Builder // slog's handlers write one line at a time
	metrics := prometheus.NewRegistry()
	stop := w.work(func(c *WorkerConfig) {
		c.MaxAttempts, c.Concurrency, c.Metrics = 1, 4, metrics
		c.Log = slog.New(slog.NewTextHandler(&said, nil))
	})
	w.finish(b)
	stop()
	throttles := w.sim.Counters().ByStatus["429"]
	if throttles == 0 {
		t.Fatal("nothing was throttled: the test tests nothing")
	}
	for i, r := range w.rows(b) {
		if r.Outcome != ledger.Removed || r.Attempts != 1 {
			t.Errorf("row %d: %+v", i+1, r)
		}
	}
	has := scrape(t, metrics)
	pauses := has["rollcall_limit_pauses_total"]
	if pauses < 1 || has["rollcall_limit_slots_total"] != float64(20+throttles) || has["rollcall_limit_rate"] <= 0 ||
		has["rollcall_limit_wait_seconds_total"] <= 0 {
		t.Errorf("after %d answers 429: %v", throttles, has)
	}
	// One line a pause, and no error.
	if text := said.String(); strings.Count(text, "Graph throttles") != int(pauses) || strings.Contains(text, "level=ERROR") {
		t.Errorf("%v pauses:\n%s", pauses, text)
	}
}

// scrape gives the metrics that have no labels.
func scrape(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			if len(m.GetLabel()) == 0 {
				out[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return out
}

func testExpiredByTask(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{})
	r := w.request(deletes(30, 2), true)
	r.Expire = time.Second
	b := w.put(r)
	testutil.Eventually(t, "the deadline is over", func() bool { return time.Now().After(b.Deadline) })
	w.work(func(c *WorkerConfig) { c.SweepEvery = time.Hour })
	w.finish(b)
	if n := w.status(b).Outcomes[ledger.Expired]; n != 30 || w.sim.Counters().Requests != 0 {
		t.Errorf("%d expired, %d requests", n, w.sim.Counters().Requests)
	}
}

func (w *world) dropQueue() {
	w.t.Helper()
	keys, err := w.rdb.Keys(w.t.Context(), "asynq:*").Result()
	if err != nil || len(keys) == 0 {
		w.t.Fatal("no keys of the queue: ", err)
	}
	if err := w.rdb.Del(w.t.Context(), keys...).Err(); err != nil {
		w.t.Fatal(err)
	}
}

func testExpiredBySweeper(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{})
	r := w.request(deletes(30, 2), true)
	r.Expire = time.Second
	b := w.put(r)
	w.dropQueue()
	w.work(func(c *WorkerConfig) { c.SweepEvery = 100 * time.Millisecond })
	w.finish(b)
	w.wantOutcomes(b)
	// What the sweeper found in time was done, the rest expired.
	if st := w.status(b); st.Outcomes[ledger.Expired]+st.Outcomes[ledger.Removed] != 30 {
		t.Errorf("outcomes %v", st.Outcomes)
	}
}

func testQueueLost(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{})
	b := w.enqueue(deletes(700, 7))
	w.dropQueue()
	w.work(func(c *WorkerConfig) { c.SweepEvery = 50 * time.Millisecond })
	w.wantRemoved(b, 700)
}

func testArchived(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{})
	b := w.enqueue(deletes(100, 5))
	if n, err := w.q.inspector.ArchiveAllPendingTasks(queueName("default")); err != nil || n == 0 {
		t.Fatal(n, err)
	}
	w.work(func(c *WorkerConfig) { c.SweepEvery = 50 * time.Millisecond })
	w.finish(b)
	w.wantOnce()
}

// testQueueHalfLost: what is left of tasks keeps nobody from putting them back.
func testQueueHalfLost(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{})
	b := w.enqueue(deletes(600, 6)) // 30 tasks
	queue := queueName("default")
	pending := queueKey(queue, "pending")
	for i := range 10 { // taken by a worker that died, whose leases are lost
		id, err := rdb.LMove(t.Context(), pending, queueKey(queue, "active"), "right", "left").Result()
		if err != nil {
			t.Fatal(err)
		}
		rdb.HSet(t.Context(), queueKey(queue, "t:"+id), "state", "active")
		if i%2 == 0 { // the same, and of the task itself a part is lost
			rdb.HDel(t.Context(), queueKey(queue, "t:"+id), "msg")
			rdb.ZAdd(t.Context(), queueKey(queue, "lease"), redis.Z{Member: id, Score: float64(time.Now().Unix())})
		}
	}
	rdb.LTrim(t.Context(), pending, 0, 9) // ten more are in no list
	w.work(func(c *WorkerConfig) { c.SweepEvery = 100 * time.Millisecond })
	w.wantRemoved(b, 600)
}

func testRetry(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{})
	stop := w.work(func(c *WorkerConfig) { c.MaxAttempts = 1 })
	end := w.outage("delete")
	b := w.enqueue(deletes(50, 3))
	w.finish(b)
	w.wantOutcomes(b)
	if n := w.status(b).Outcomes[ledger.Exhausted]; n != 50 {
		t.Fatalf("%d exhausted", n)
	}
	// One of them is overtaken by a newer change before the retry.
	end()
	young := w.put(w.request("action,call_id,participant_id\ndelete,call-0,p-0\n", false))
	w.finish(young)
	stop()
	n, err := w.q.Retry(t.Context(), b, []ledger.Outcome{ledger.Exhausted})
	if err != nil || n != 50 {
		t.Fatal(n, err)
	}
	w.work()
	w.finish(b)
	if st := w.status(b); st.Outcomes[ledger.Removed] != 49 || st.Outcomes[ledger.Superseded] != 1 {
		t.Errorf("outcomes %v", st.Outcomes)
	}
	w.wantOutcomes(b, ledger.Superseded)
}

func testCancelNoWorker(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{})
	b := w.enqueue(deletes(600, 7))
	if err := w.q.Cancel(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	st := w.status(b)
	if st.State != ledger.Stopped || st.Outcomes[ledger.Cancelled] != 600 {
		t.Errorf("status %+v", st)
	}
	other := w.put(w.request("action,call_id,participant_id\ndelete,call-1,p-1\n", false))
	w.work()
	w.finish(other)
	if n := w.sim.Counters().Requests; n != 1 {
		t.Errorf("%d requests, of which 1 is the other batch's", n)
	}
}

func testCancelHalf(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{})
	const rows = 6*flightRows + 500
	r := w.request(deletes(rows, 7), true)
	ctx, cut := context.WithCancel(t.Context())
	r.Progress = func(int64) { cut() } // after the first flight
	if _, _, err := w.q.Enqueue(ctx, r); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	id := Identity{Sum: r.Summary.Sum}.BatchID()
	st, err := w.q.Ledger.Status(t.Context(), id)
	if err != nil || st.Sealed || st.Pending != rows {
		t.Fatal(st, err)
	}
	if err := w.q.Cancel(t.Context(), st.Batch); err != nil {
		t.Fatal(err)
	}
	if st := w.status(st.Batch); st.Outcomes[ledger.Cancelled] != rows {
		t.Errorf("status %+v", st)
	}
}

func testDeleteByIdentity(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{})
	w.sim.AddCall("c1")
	user := "AAAAAAAA-1111-4222-8333-444444444444"
	for range 3 {
		w.sim.AddParticipant("c1", graphsim.Participant{Kind: "user", Identity: user})
	}
	w.sim.AddParticipant("c1", graphsim.Participant{Kind: "phone", Identity: "+14255550101"})
	w.sim.AddParticipant("c1", graphsim.Participant{Kind: "user", Identity: "user-2"})
	b := w.put(w.request("action,call_id,user_id,phone\n"+
		"delete,c1,"+strings.ToLower(user)+",\ndelete,c1,,+14255550101\ndelete,c1,user-3,\n", false))
	w.work()
	w.finish(b)
	w.wantOutcomes(b, ledger.Removed, ledger.Removed, ledger.AlreadyRemoved)
	if d := w.rows(b)[0].Detail; d != "3 endpoints removed" {
		t.Errorf("detail %q", d)
	}
	if left := w.sim.State().Calls["c1"].Participants; len(left) != 1 {
		t.Errorf("%d participants are left", len(left))
	}
}

func testFullRoster(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{})
	w.sim.AddCall("c1")
	for i := range 150 {
		w.sim.AddParticipant("c1", graphsim.Participant{Kind: "user", Identity: fmt.Sprintf("user-%03d", i)})
	}
	b := w.put(w.request("action,call_id,user_id\ndelete,c1,user-140\ndelete,c1,nobody\n", false))
	w.work()
	w.finish(b)
	w.wantOutcomes(b, ledger.Unresolved, ledger.Unresolved)
	if d := w.rows(b)[0].Detail; !strings.Contains(d, "participant_id") {
		t.Errorf("the detail gives no hint: %q", d)
	}
}

func testShutdown(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{Latency: 10 * time.Millisecond})
	b := w.enqueue(deletes(400, 4))
	for range 4 { // a rolling restart
		stop := w.work(func(c *WorkerConfig) { c.Concurrency = 4 })
		done := int64(400) - w.status(b).Pending
		testutil.Eventually(t, "some progress", func() bool {
			p := w.status(b).Pending
			return 400-p >= done+40 || p == 0
		})
		stop()
	}
	w.work()
	w.wantRemoved(b, 400)
}

func testTokenLate(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{})
	tokens := &lateToken{}
	b := w.enqueue(deletes(3, 1))
	w.work(func(c *WorkerConfig) { c.Graph.Tokens = tokens; c.MaxAttempts = 1 })
	testutil.Eventually(t, "a token was asked for", func() bool { return tokens.asked.Load() > 0 })
	tokens.there.Store(true)
	w.finish(b)
	w.wantOutcomes(b, ledger.Removed, ledger.Removed, ledger.Removed)
}

type lateToken struct {
	there atomic.Bool
	asked atomic.Int64
}

func testLedgerLost(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{})
	r := w.request(deletes(30, 2), true)
	b := w.put(r)
	keys := rdb.Keys(t.Context(), "rollcall:*").Val()
	rdb.Del(t.Context(), keys...)
	stop := w.work()
	testutil.Eventually(t, "the tasks were dropped", func() bool {
		info, err := w.q.inspector.GetQueueInfo(queueName("default"))
		return err == nil && info.Size == 0
	})
	stop()
	if n := w.sim.Counters().Requests; n != 0 {
		t.Errorf("%d requests without a ledger", n)
	}
	// The way out: the same enqueue again.
	again, existing, err := w.q.Enqueue(t.Context(), r)
	if err != nil || existing || again.ID != b.ID {
		t.Fatal(again, existing, err)
	}
	w.work()
	w.finish(again)
	w.wantOnce()
}

func testCallEnded(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{})
	b := w.enqueue(strings.ReplaceAll(deletes(20, 1), "call-0", "ended-call"))
	w.work()
	w.finish(b)
	if n := w.status(b).Outcomes[ledger.CallEnded]; n != 20 || w.sim.Counters().Requests != 1 {
		t.Errorf("%d ended, %d requests", n, w.sim.Counters().Requests)
	}
}

// TestRedisRestart kills Redis while requests are under way. What was done at
// Graph is recorded when Redis is back, and not done again.
func TestRedisRestart(t *testing.T) {
	t.Parallel()
	server := redistest.StartServer(t)
	var arrived atomic.Int64
	release := make(chan struct{})
	sim, err := graphsim.New(graphsim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldWith(t, server.Client(t), http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		arrived.Add(1)
		<-release
		sim.ServeHTTP(rw, r)
	}))
	w.sim = sim
	// However long this machine takes to start Redis.
	w.tune = func(worker *Worker) { worker.queue.Ledger.ClaimLife = testutil.WaitLimit }
	b := w.enqueue(deletes(320, 16))
	w.work(func(c *WorkerConfig) { c.Graph.Timeout = testutil.WaitLimit })
	testutil.Eventually(t, "16 requests under way", func() bool { return arrived.Load() == 16 })
	server.Kill()
	close(release)
	testutil.Eventually(t, "Graph has answered them", func() bool { return sim.Counters().Requests >= 16 })
	server.Start()
	w.wantRemoved(b, 320)
}

// TestInterruptedEnqueue cuts an enqueue off at points from its first command on
// to nearly its last, and runs it again.
func TestInterruptedEnqueue(t *testing.T) {
	t.Parallel()
	csv := deletes(interruptedRows, 10)
	var whole int
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{})
		var err error
		if whole, err = w.interrupted(w.request(csv, false), 1<<30); err != nil {
			t.Fatal(err)
		}
	})
	for _, left := range []int{0, 1, 3, 5, 20, whole / 4, whole / 2, whole * 3 / 4, whole * 9 / 10} {
		t.Run(fmt.Sprintf("%d of %d", left, whole), func(t *testing.T) {
			t.Parallel()
			redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
				w := newWorld(t, rdb, graphsim.Config{})
				r := w.request(csv, true)
				if _, err := w.interrupted(r, left); !errors.Is(err, errCut) {
					t.Fatalf("the enqueue was not cut off: %v", err)
				}
				w.work()
				w.wantRemoved(w.put(r), interruptedRows)
			})
		})
	}
}

// interruptedRows are rows of two flights.
const interruptedRows = firstFlightRows + 300

// interrupted enqueues with the given number of commands let through, and returns
// how many there were.
func (w *world) interrupted(r Request, left int) (commands int, err error) {
	w.t.Helper()
	rdb := redis.NewClient(w.rdb.Options())
	defer rdb.Close()
	hook := &cutHook{left: left}
	rdb.AddHook(hook)
	_, _, err = NewQueue(rdb).Enqueue(w.t.Context(), r)
	return hook.seen, err
}

func TestBatchID(t *testing.T) {
	base := Identity{Sum: [32]byte{1}}
	same := Identity{Sum: [32]byte{1}}
	if base.BatchID() != same.BatchID() {
		t.Error("the same identity has two ids")
	}
	seen := map[string]Identity{}
	for _, i := range []Identity{
		base,
		{Sum: [32]byte{2}},
		{Sum: [32]byte{1}, Key: "k"},
		{Sum: [32]byte{1}, Options: roster.Options{Action: roster.Invite}},
		{Sum: [32]byte{1}, Options: roster.Options{Action: roster.Delete}},
		{Sum: [32]byte{1}, Options: roster.Options{CallID: "k"}},
		{Sum: [32]byte{1}, Options: roster.Options{TenantID: "k"}},
		{Sum: [32]byte{1}, Again: true},
		{Sum: [32]byte{1}, Again: true},
	} {
		id := i.BatchID()
		if err := CheckBatchID(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
		if other, ok := seen[id]; ok {
			t.Errorf("%+v and %+v are one batch", other, i)
		}
		seen[id] = i
	}
}
