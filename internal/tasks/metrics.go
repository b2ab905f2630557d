package tasks

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/graph"
	"rollcall/internal/ledger"
	"rollcall/internal/roster"
)

// metrics are what a worker counts. Labels are bounded and name nobody.
type metrics struct {
	changesTotal  *prometheus.CounterVec
	requestsTotal *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, rate float64, paused func() bool) (*metrics, error) {
	m := &metrics{
		changesTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_changes_total", Help: "Rows that got their outcome from this worker.",
		}, []string{"action", "outcome"}),
		requestsTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_graph_requests_total", Help: "Requests to Graph by kind and HTTP status (0: no answer).",
		}, []string{"kind", "status"}),
	}
	limit := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rollcall_limit_rate", Help: "Ceiling of the fleet in requests a second; 0 if only Graph limits it.",
	}, func() float64 { return rate })
	pause := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rollcall_limit_paused", Help: "1 while Graph has asked this worker's fleet to wait.",
	}, func() float64 {
		if paused() {
			return 1
		}
		return 0
	})
	for _, c := range []prometheus.Collector{m.changesTotal, m.requestsTotal, limit, pause} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) changes(a roster.Action, o ledger.Outcome) {
	m.changesTotal.WithLabelValues(a.String(), o.String()).Inc()
}

func (m *metrics) request(r graph.Result) {
	m.requestsTotal.WithLabelValues(r.Kind, strconv.Itoa(r.Status)).Inc()
}

// pauses remembers until when the scopes are paused that this worker was told
// to wait for.
type pauses struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func (p *pauses) note(scope string, left time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until == nil {
		p.until = map[string]time.Time{}
	}
	p.until[scope] = time.Now().Add(left)
}

func (p *pauses) any() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, until := range p.until {
		if until.After(now) {
			return true
		}
	}
	return false
}
