package tasks

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

const (
	// fleetReadEvery is how often Redis is asked for the fleet's metrics at most,
	// however many scrape, and fleetReadTime how long one scrape waits for it.
	fleetReadEvery = 5 * time.Second
	fleetReadTime  = 2 * time.Second
	// shortLife is the --expire of batches that are meant to be over soon in any case.
	shortLife = 2 * time.Hour
)

// fleetMetrics are what Redis tells of the queue, the open batches and the workers:
// every worker tells the same. It is read when it is scraped. While Redis does not
// answer there is nothing of it, as zeros would be a lie.
type fleetMetrics struct {
	queue *Queue

	mu   sync.Mutex
	read time.Time // when it last was
	view *fleetView
}

// fleetView is what was read; nil if Redis did not answer.
type fleetView struct {
	queues  []queueView
	batches int
	rows    int64
	oldest  time.Duration
	next    time.Duration // to the first deadline; negative: there is none
	pause   time.Duration
	found   float64
	workers int
}

// queueView is a queue: its tasks by state, and how long the oldest pending one has
// waited.
type queueView struct {
	name    string
	tasks   map[string]int64
	latency time.Duration
}

var (
	descQueueTasks   = desc("rollcall_queue_tasks", "Tasks in the queue.", "queue", "state")
	descQueueLatency = desc("rollcall_queue_latency_seconds", "How long the oldest pending task has waited.", "queue")
	descBatches      = desc("rollcall_batches_open", "Batches that have pending rows.")
	descRows         = desc("rollcall_rows_pending", "Pending rows of all batches.")
	descOldest       = desc("rollcall_oldest_pending_row_seconds", "How long the oldest of the batches that have pending rows has been there, or since it was retried; 0 if there is none.")
	descNext         = desc("rollcall_next_deadline_seconds", "How long until rows of the first of the open batches expire, without those that are given two hours or less. Missing if there is none.")
	descPause        = desc("rollcall_limit_pause_seconds", "How long the wait that Graph asked for goes on; of several tenants the longest.")
	descFound        = desc("rollcall_limit_found", "Requests a second that Graph was found to take; of several tenants the lowest. Missing while it is not known.")
	descWorkers      = desc("rollcall_fleet_workers", "Workers that told of themselves within 10 s.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (*fleetMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descQueueTasks, descQueueLatency, descBatches, descRows, descOldest, descNext, descPause, descFound, descWorkers} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *fleetMetrics) Collect(ch chan<- prometheus.Metric) {
	v := m.look()
	if v == nil {
		return
	}
	tell := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for _, q := range v.queues {
		for state, n := range q.tasks {
			tell(descQueueTasks, float64(n), q.name, state)
		}
		tell(descQueueLatency, q.latency.Seconds(), q.name)
	}
	tell(descBatches, float64(v.batches))
	tell(descRows, float64(v.rows))
	tell(descOldest, v.oldest.Seconds())
	if v.next >= 0 {
		tell(descNext, v.next.Seconds())
	}
	tell(descPause, v.pause.Seconds())
	if v.found > 0 {
		tell(descFound, v.found)
	}
	tell(descWorkers, float64(v.workers))
}

// look reads Redis, if that was not done a moment ago. Whoever scrapes meanwhile
// waits for it.
func (m *fleetMetrics) look() *fleetView {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.read) < fleetReadEvery {
		return m.view
	}
	ctx, cancel := context.WithTimeout(context.Background(), fleetReadTime)
	defer cancel()
	v, err := m.queue.view(ctx)
	if err != nil {
		v = nil // the worker speaks of it
	}
	m.view, m.read = v, time.Now()
	return v
}

// view reads all that the fleet's metrics tell.
func (q *Queue) view(ctx context.Context) (*fleetView, error) {
	v := fleetView{next: -1}
	var err error
	if v.queues, err = q.queueViews(ctx); err != nil {
		return nil, err
	}
	open, err := q.Ledger.Open(ctx)
	if err != nil {
		return nil, err
	}
	now, err := q.rdb.Time(ctx).Result()
	if err != nil {
		return nil, err
	}
	for _, st := range open {
		left := max(st.Deadline.Sub(now), 0)
		if st.Expire > shortLife && (v.next < 0 || left < v.next) {
			v.next = left
		}
		v.batches++
		v.rows += st.Pending
		// Rows of a batch that was made long ago and is retried are as old as that.
		v.oldest = max(v.oldest, now.Sub(st.Deadline.Add(-st.Expire)))
	}
	fleet, err := q.Fleet(ctx)
	if err != nil {
		return nil, err
	}
	v.workers = len(fleet.Workers)
	for _, s := range fleet.Scopes {
		v.pause = max(v.pause, s.Pause)
		if s.Limit > 0 && (v.found == 0 || s.Limit < v.found) {
			v.found = s.Limit
		}
	}
	return &v, nil
}

// queueViews reads the queues' state from asynq's keys, by commands that cost the
// same however long a queue is. asynq's Inspector has no context, and estimates the
// memory of a queue each time, by a command that Redis need not allow.
func (q *Queue) queueViews(ctx context.Context) ([]queueView, error) {
	names := append(Queues(), "look")
	lists := []string{"pending", "active"}
	sets := []string{"scheduled", "retry", "archived"}
	counts := map[string]*redis.IntCmd{}
	oldest := map[string]*redis.StringCmd{}
	err := q.pipe(ctx, func(p redis.Pipeliner) error {
		for _, name := range names {
			for _, state := range lists {
				counts[name+state] = p.LLen(ctx, queueKey(queueName(name), state))
			}
			for _, state := range sets {
				counts[name+state] = p.ZCard(ctx, queueKey(queueName(name), state))
			}
			oldest[name] = p.LIndex(ctx, queueKey(queueName(name), "pending"), -1)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	since := map[string]*redis.StringCmd{}
	err = q.pipe(ctx, func(p redis.Pipeliner) error {
		for _, name := range names {
			if id := oldest[name].Val(); id != "" {
				since[name] = p.HGet(ctx, queueKey(queueName(name), "t:"+id), "pending_since")
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	views := make([]queueView, len(names))
	for i, name := range names {
		views[i] = queueView{name: name, tasks: map[string]int64{}}
		for _, state := range append(lists, sets...) {
			views[i].tasks[state] = counts[name+state].Val()
		}
		if got := since[name]; got != nil {
			// It may have been taken meanwhile; else these are nanoseconds.
			if ns, err := strconv.ParseInt(got.Val(), 10, 64); err == nil {
				views[i].latency = max(time.Since(time.Unix(0, ns)), 0)
			}
		}
	}
	return views, nil
}

// pipe reads several things at once, some of which may not be there.
func (q *Queue) pipe(ctx context.Context, read func(redis.Pipeliner) error) error {
	cmds, err := q.rdb.Pipelined(ctx, read)
	for _, c := range cmds { // err is the first only, of perhaps several servers
		if err := c.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}
