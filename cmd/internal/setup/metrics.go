package setup

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"

	"rollcall/cmd/internal/cli"
	"rollcall/internal/notify"
	"rollcall/internal/redisconn"
)

// Registry returns what /metrics shows, with what the process tells of itself and
// of its Redis. The worker adds its own.
func Registry(rdb redis.UniversalClient) *prometheus.Registry {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "rollcall_build_info", Help: "1; the labels say what was built.",
		ConstLabels: prometheus.Labels{"version": cli.Version(), "revision": revision(), "goversion": runtime.Version()},
	})
	build.Set(1)
	failures := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "rollcall_redis_errors_total", Help: "Commands that Redis did not answer in time, or refused.",
	})
	redisconn.OnFailure(rdb, failures.Inc)
	reg := prometheus.NewRegistry()
	reg.MustRegister(build, failures, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}

// revision is the commit that was built, where that is known.
func revision() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

// CountNotices has what becomes of notices counted. n is nil if none are sent.
func CountNotices(reg prometheus.Registerer, n *notify.Notifier) {
	results := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rollcall_notices_total", Help: "Notices of finished batches: sent, tries that failed, and those given up after a day.",
	}, []string{"result"})
	for _, r := range []notify.Result{notify.Sent, notify.Failed, notify.GivenUp} {
		results.WithLabelValues(string(r))
	}
	reg.MustRegister(results)
	if n != nil {
		n.Tell = func(r notify.Result) { results.WithLabelValues(string(r)).Inc() }
	}
}
