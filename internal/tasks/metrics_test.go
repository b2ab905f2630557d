package tasks

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/graph/graphsim"
	"rollcall/internal/ledger"
	"rollcall/internal/redisconn"
	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// told gives what a registry tells, by name and labels.
func told(t testing.TB, reg prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			labels := make([]string, len(m.Label))
			for i, l := range m.Label {
				labels[i] = l.GetValue()
			}
			name := strings.Join(append([]string{strings.TrimPrefix(f.GetName(), "rollcall_")}, labels...), " ")
			switch {
			case m.Counter != nil:
				out[name] = m.Counter.GetValue()
			case m.Gauge != nil:
				out[name] = m.Gauge.GetValue()
			case m.Histogram != nil:
				out[name] = float64(m.Histogram.GetSampleCount())
			}
		}
	}
	return out
}

// TestFleetMetrics compares what is told of the queue with asynq's own view of it,
// and of batches with the ledger's.
func TestFleetMetrics(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{})
		reg := prometheus.NewRegistry()
		reg.MustRegister(&fleetMetrics{queue: w.q})
		first := told(t, reg)
		if len(first) != 4*6+5 || slices.Max(slices.Collect(maps.Values(first))) != 0 { // the limit is not known
			t.Errorf("of an empty Redis: %v", first)
		}

		w.enqueue("action,call_id,participant_id\ndelete,c1,p1\ndelete,c2,p2\n")
		r := w.request("action,call_id,participant_id\ndelete,c3,p3\n", true)
		r.Queue = "high"
		w.put(r)
		later := asynq.NewTask("other", nil)
		if _, err := w.q.client.EnqueueContext(t.Context(), later, asynq.Queue(lookQueue), asynq.ProcessIn(time.Hour)); err != nil {
			t.Fatal(err)
		}
		testutil.Eventually(t, "tasks have waited a while", func() bool {
			v, err := w.q.queueViews(t.Context())
			return err == nil && v[0].latency > 100*time.Millisecond
		})
		reg = prometheus.NewRegistry()
		reg.MustRegister(&fleetMetrics{queue: w.q})
		got := told(t, reg)
		for what, want := range map[string]float64{
			"queue_tasks high pending": 1, "queue_tasks default pending": 2, "queue_tasks low pending": 0, "queue_tasks look scheduled": 1,
			"queue_latency_seconds low": 0, "batches_open": 2, "rows_pending": 3, "fleet_workers": 0, "limit_pause_seconds": 0,
		} {
			if v, ok := got[what]; !ok || v != want {
				t.Errorf("%s is %g (there: %t), want %g", what, v, ok, want)
			}
		}
		for what, most := range map[string]float64{"queue_latency_seconds high": 60, "oldest_pending_row_seconds": 60} {
			if v := got[what]; v <= 0 || v > most {
				t.Errorf("%s is %g", what, v)
			}
		}
		views, err := w.q.queueViews(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range views {
			info, err := w.q.inspector.GetQueueInfo(queueName(v.name))
			if err != nil {
				if v.name == "low" || strings.Contains(err.Error(), "MEMORY") { // nothing was ever put there, or miniredis
					continue
				}
				t.Fatal(err)
			}
			asynqs := fmt.Sprint(info.Pending, info.Active, info.Scheduled, info.Retry, info.Archived)
			ours := fmt.Sprint(v.tasks["pending"], v.tasks["active"], v.tasks["scheduled"], v.tasks["retry"], v.tasks["archived"])
			if asynqs != ours || (info.Latency-v.latency).Abs() > 5*time.Second {
				t.Errorf("%s: %s after %s, asynq says %s after %s", v.name, ours, v.latency, asynqs, info.Latency)
			}
		}

		// A scope whose limit is known, and a pause.
		rdb.ZAdd(t.Context(), "rollcall:scopes", redis.Z{Score: float64(time.Now().UnixMilli()), Member: "a/b"})
		rdb.HSet(t.Context(), "rollcall:{s:a/b}:limit", "until", time.Now().Add(time.Minute).UnixMicro())
		v, err := w.q.view(t.Context())
		if err != nil || v.pause < 50*time.Second || v.pause > time.Minute {
			t.Errorf("the pause is %+v, %v", v, err)
		}
	})
}

// counting is a hook that counts what is asked of Redis.
type counting struct {
	mu     sync.Mutex
	trips  int
	seen   []string
	answer error
}

func (h *counting) note(cmds ...redis.Cmder) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trips++
	for _, c := range cmds {
		h.seen = append(h.seen, c.Name())
	}
	return h.answer
}

func (h *counting) DialHook(next redis.DialHook) redis.DialHook { return next }
func (h *counting) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := h.note(cmd); err != nil {
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}
func (h *counting) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if err := h.note(cmds...); err != nil {
			for _, c := range cmds {
				c.SetErr(err)
			}
			return err
		}
		return next(ctx, cmds)
	}
}

// TestFleetMetricsCost: many who scrape at once cost Redis as much as one, and none
// of it grows with what is in Redis.
func TestFleetMetricsCost(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{})
		w.enqueue(deletes(400, 40))
		hook := &counting{}
		rdb.AddHook(hook)
		reg := prometheus.NewRegistry()
		reg.MustRegister(&fleetMetrics{queue: w.q})
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { told(t, reg) })
		}
		all.Wait()
		if hook.trips > 12 || len(hook.seen) > 60 {
			t.Errorf("20 scrapes: %d round trips, %d commands", hook.trips, len(hook.seen))
		}
		for _, name := range hook.seen {
			if slices.Contains([]string{"keys", "scan", "lrange", "eval", "evalsha"}, name) {
				t.Errorf("asks for %s", name)
			}
		}
	})
}

// TestFleetMetricsWithoutRedis: of a Redis that refuses, or does not answer at all,
// nothing is told, and soon.
func TestFleetMetricsWithoutRedis(t *testing.T) {
	t.Parallel()
	t.Run("refuses", func(t *testing.T) {
		t.Parallel()
		redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
			rdb.AddHook(&counting{answer: errCut})
			reg := prometheus.NewRegistry()
			reg.MustRegister(&fleetMetrics{queue: NewQueue(rdb)})
			if got := told(t, reg); len(got) > 0 {
				t.Errorf("tells %v", got)
			}
		})
	})
	t.Run("silent", func(t *testing.T) {
		t.Parallel()
		redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
			options := rdb.Options()
			options.Dialer = func(context.Context, string, string) (net.Conn, error) {
				client, server := net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, server) }() // it takes all, and says nothing
				return client, nil
			}
			silent := redis.NewClient(options)
			defer silent.Close()
			reg := prometheus.NewRegistry()
			reg.MustRegister(&fleetMetrics{queue: NewQueue(silent)})

			begun := time.Now()
			if got := told(t, reg); len(got) > 0 {
				t.Errorf("tells %v", got)
			}
			told(t, reg) // not asked again so soon
			if took := time.Since(begun); took != fleetReadTime {
				t.Errorf("two scrapes took %s", took)
			}
		})
	})
}

// TestSweeperMetrics: what the sweeper does is counted: a lost task that it puts
// back, a batch that expires and one that was cancelled, whose tasks are lost too.
func TestSweeperMetrics(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{})
		drop := func(b ledger.Batch) {
			id := rdb.LIndex(t.Context(), queueKey(queueName("default"), "pending"), 0).Val()
			if !strings.HasPrefix(id, b.ID) || w.q.inspector.DeleteTask(queueName("default"), id) != nil {
				t.Fatalf("%s is not lost", id)
			}
		}
		lost := w.enqueue("action,call_id,participant_id\ndelete,c1,p1\n")
		drop(lost)
		r := w.request("action,call_id,participant_id\ndelete,c2,p2\ndelete,c2,p3\n", true)
		r.Expire = time.Millisecond
		expired := w.put(r)
		drop(expired)
		cancelled := w.enqueue("action,call_id,participant_id\ndelete,c3,p3\n")
		drop(cancelled)
		if err := w.q.Ledger.Cancel(t.Context(), cancelled); err != nil { // its command was killed then
			t.Fatal(err)
		}
		// Its enqueue was interrupted before it had stored anything.
		unsent, _, err := w.q.Ledger.Create(t.Context(), ledger.Batch{ID: "unsent", Rows: 3, Queue: "default", Expire: time.Millisecond, Keep: time.Hour, Layout: expired.Layout})
		if err != nil {
			t.Fatal(err)
		}
		reg := prometheus.NewRegistry()
		w.work(func(c *WorkerConfig) { c.Metrics, c.SweepEvery = reg, 50*time.Millisecond })
		w.finish(lost, expired, cancelled, unsent)
		want := map[string]float64{
			"sweeper_actions_total task_enqueued": 1, "sweeper_actions_total expired": 2, "sweeper_actions_total cancelled": 1,
			"changes_total delete expired": 2, "changes_total unknown expired": 3, "changes_total delete cancelled": 1, "changes_total delete removed": 1,
		}
		testutil.Eventually(t, "it is all counted", func() bool {
			got := told(t, reg)
			for what, n := range want {
				if got[what] != n {
					return false
				}
			}
			return got["sweeper_actions_total requeued"] >= 1
		})
	})
}

// TestFleetMetricsOfCluster: the keys are on several servers.
func TestFleetMetricsOfCluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	o, err := redisconn.Parse(cluster.URL())
	if err != nil {
		t.Fatal(err)
	}
	rdb := o.Client()
	defer rdb.Close()
	testutil.Eventually(t, "all metrics are there", func() bool { // each scrape has two seconds
		reg := prometheus.NewRegistry()
		reg.MustRegister(&fleetMetrics{queue: NewQueue(rdb)})
		return len(told(t, reg)) == 4*6+5
	})
}
