package tasks

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/graph"
	"rollcall/internal/ledger"
	"rollcall/internal/ratelimit"
	"rollcall/internal/roster"
)

// metrics are what a worker tells of itself. Labels are bounded and name nobody;
// series whose labels are known are there from the start, as what begins with 1
// has not risen for those who watch.
type metrics struct {
	changesTotal  *prometheus.CounterVec
	requestsTotal *prometheus.CounterVec
	duration      *prometheus.HistogramVec
	throttled     *prometheus.CounterVec
	recovered     prometheus.Counter
	sweeper       *prometheus.CounterVec

	rows, requests atomic.Int64 // all of the first two, for the fleet
}

// What the sweeper does, as rollcall_sweeper_actions_total tells it.
const (
	sweptRequeued  = "requeued"      // a batch that stood still was looked through
	sweptEnqueued  = "task_enqueued" // a lost task was put back
	sweptExpired   = "expired"       // pending rows of a batch were given that outcome
	sweptCancelled = "cancelled"     // likewise
)

func newMetrics(reg prometheus.Registerer, w *Worker) (*metrics, error) {
	m := &metrics{
		changesTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_changes_total", Help: "Rows that got their outcome from this worker.",
		}, []string{"action", "outcome"}),
		requestsTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_graph_requests_total", Help: "Requests to Graph by kind and HTTP status (0: no answer).",
		}, []string{"kind", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rollcall_graph_request_duration_seconds", Help: "How long requests to Graph took, to the end of the answer or until there was none.",
			Buckets: []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
		}, []string{"kind"}),
		throttled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_graph_throttled_total", Help: "Requests that Graph answered with 429.",
		}, []string{"kind"}),
		recovered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_tasks_recovered_total", Help: "Tasks of dead workers that this worker put back into the queue.",
		}),
		sweeper: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_sweeper_actions_total", Help: "What this worker did for batches that stood still or were over.",
		}, []string{"action"}),
	}
	for _, kind := range []string{graph.OpInvite, graph.OpDelete, graph.OpRoster, graph.OpOperation} {
		m.duration.WithLabelValues(kind)
		m.throttled.WithLabelValues(kind)
	}
	for _, o := range ledger.Outcomes() {
		for _, a := range []roster.Action{roster.Invite, roster.Delete} {
			if canEnd(a, o) {
				m.changesTotal.WithLabelValues(actionLabel(a), o.String())
			}
		}
	}
	for _, o := range []ledger.Outcome{ledger.Expired, ledger.Cancelled} {
		m.changesTotal.WithLabelValues(actionLabel(0), o.String())
	}
	for _, action := range []string{sweptRequeued, sweptEnqueued, sweptExpired, sweptCancelled} {
		m.sweeper.WithLabelValues(action)
	}
	all := []prometheus.Collector{m.changesTotal, m.requestsTotal, m.duration, m.throttled, m.recovered, m.sweeper}
	all = append(all, w.limitMetrics()...)
	all = append(all,
		gauge("rollcall_tasks_busy", "Hands of this worker that are busy: tasks, and requests that are sent beside theirs.",
			func() float64 { return float64(min(w.hands.busy.Load(), w.hands.most)) }),
		gauge("rollcall_tasks_capacity", "Hands that this worker has (--concurrency).",
			func() float64 { return float64(w.hands.most) }),
		gauge("rollcall_redis_up", "1 while Redis answers this worker and takes writes.",
			func() float64 { return truth(w.redisUp()) }),
		gauge("rollcall_token_up", "0 while this worker gets no token for Graph, of several tenants for one or more.",
			func() float64 { return truth(!w.noToken.any(time.Now())) }),
		&fleetMetrics{queue: w.queue},
	)
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// limitMetrics are what the limiter knows in this process.
func (w *Worker) limitMetrics() []prometheus.Collector {
	stat := func(value func(ratelimit.Stats) float64) func() float64 {
		return func() float64 { return value(w.limiter.Stats()) }
	}
	counter := func(name, help string, value func(ratelimit.Stats) float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, stat(value))
	}
	return []prometheus.Collector{
		gauge("rollcall_limit_rate", "Requests a second that the fleet sends at most at present, by the search for Graph's limit and the ceiling; of several tenants the lowest. 0 before the first request.",
			stat(func(s ratelimit.Stats) float64 { return s.Rate })),
		gauge("rollcall_limit_paused", "1 while Graph has asked this worker's fleet to wait.",
			stat(func(s ratelimit.Stats) float64 { return truth(s.Paused) })),
		counter("rollcall_limit_pauses_total", "Pauses of the fleet that began with an answer 429 to this worker.",
			func(s ratelimit.Stats) float64 { return float64(s.Pauses) }),
		counter("rollcall_limit_slots_total", "Slots for requests that this worker used.",
			func(s ratelimit.Stats) float64 { return float64(s.Slots) }),
		counter("rollcall_limit_wait_seconds_total", "What this worker's tasks waited for slots, in all.",
			func(s ratelimit.Stats) float64 { return s.Waited.Seconds() }),
	}
}

func gauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// canEnd tells whether a row of that action can end so.
func canEnd(a roster.Action, o ledger.Outcome) bool {
	switch o {
	case ledger.Pending:
		return false
	case ledger.Joined, ledger.Invited, ledger.AlreadyPresent, ledger.Declined:
		return a == roster.Invite
	case ledger.Removed, ledger.AlreadyRemoved:
		return a == roster.Delete
	}
	return true
}

func (m *metrics) changes(a roster.Action, o ledger.Outcome) {
	m.rows.Add(1)
	m.changesTotal.WithLabelValues(actionLabel(a), o.String()).Inc()
}

// actionLabel names an action; 0 is that of rows whose enqueue never came to them.
func actionLabel(a roster.Action) string {
	if a == 0 {
		return "unknown"
	}
	return a.String()
}

func (m *metrics) request(r graph.Result) {
	m.requests.Add(1)
	m.requestsTotal.WithLabelValues(r.Kind, strconv.Itoa(r.Status)).Inc()
	m.duration.WithLabelValues(r.Kind).Observe(r.Duration.Seconds())
	if r.Status == http.StatusTooManyRequests {
		m.throttled.WithLabelValues(r.Kind).Inc()
	}
}

func (m *metrics) swept(action string, n int) { m.sweeper.WithLabelValues(action).Add(float64(n)) }
