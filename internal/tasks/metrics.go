package tasks

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/graph"
	"rollcall/internal/ledger"
	"rollcall/internal/ratelimit"
	"rollcall/internal/roster"
)

// metrics are what a worker counts. Labels are bounded and name nobody.
type metrics struct {
	changesTotal  *prometheus.CounterVec
	requestsTotal *prometheus.CounterVec
	recovered     prometheus.Counter

	rows, requests atomic.Int64 // all of the first two, for the fleet
}

func newMetrics(reg prometheus.Registerer, limiter func() ratelimit.Stats) (*metrics, error) {
	m := &metrics{
		changesTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_changes_total", Help: "Rows that got their outcome from this worker.",
		}, []string{"action", "outcome"}),
		requestsTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_graph_requests_total", Help: "Requests to Graph by kind and HTTP status (0: no answer).",
		}, []string{"kind", "status"}),
		recovered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_tasks_recovered_total", Help: "Tasks of dead workers that this worker put back into the queue.",
		}),
	}
	all := []prometheus.Collector{m.changesTotal, m.requestsTotal, m.recovered}
	for _, g := range []struct {
		name, help string
		value      func(ratelimit.Stats) float64
	}{
		{"rollcall_limit_rate", "Requests a second that the fleet sends at most at present, by the search for Graph's limit and the ceiling; of several tenants the lowest. 0 before the first request.",
			func(s ratelimit.Stats) float64 { return s.Rate }},
		{"rollcall_limit_paused", "1 while Graph has asked this worker's fleet to wait.",
			func(s ratelimit.Stats) float64 {
				if s.Paused {
					return 1
				}
				return 0
			}},
	} {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help}, func() float64 { return g.value(limiter()) }))
	}
	for _, c := range []struct {
		name, help string
		value      func(ratelimit.Stats) float64
	}{
		{"rollcall_limit_pauses_total", "Pauses of the fleet that began with an answer 429 to this worker.",
			func(s ratelimit.Stats) float64 { return float64(s.Pauses) }},
		{"rollcall_limit_slots_total", "Slots for requests that this worker used.",
			func(s ratelimit.Stats) float64 { return float64(s.Slots) }},
		{"rollcall_limit_wait_seconds_total", "What this worker's tasks waited for slots, in all.",
			func(s ratelimit.Stats) float64 { return s.Waited.Seconds() }},
	} {
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help}, func() float64 { return c.value(limiter()) }))
	}
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) changes(a roster.Action, o ledger.Outcome) {
	m.rows.Add(1)
	m.changesTotal.WithLabelValues(a.String(), o.String()).Inc()
}

func (m *metrics) request(r graph.Result) {
	m.requests.Add(1)
	m.requestsTotal.WithLabelValues(r.Kind, strconv.Itoa(r.Status)).Inc()
}
