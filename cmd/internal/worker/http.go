package worker

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// pages is what the worker's HTTP server shows.
type pages struct {
	address string // as it was asked for
	ready   func() bool
	metrics *prometheus.Registry
	console http.Handler
}

func (p *pages) handler(at net.Addr) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if p.ready() {
			text(w, http.StatusOK, "ready\n")
			return
		}
		text(w, http.StatusServiceUnavailable, "not ready: Redis does not answer, or the worker is ending\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.metrics, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.Handle("/", p.console)
	return p.guard(at, mux)
}

// probes are for machines, which may know the worker by any name.
var probes = map[string]bool{"/healthz": true, "/readyz": true, "/metrics": true}

// guard refuses what no page needs, and tells browsers to keep answers to
// themselves. On a loopback address it also refuses names that are not this
// machine's: a web page whose name somebody's DNS suddenly leads here would be
// allowed to read what it gets.
func (p *pages) guard(at net.Addr, next http.Handler) http.Handler {
	local := isLoopback(at)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead && (r.Method != http.MethodPost || probes[r.URL.Path]):
			h.Set("Allow", "GET, HEAD")
			text(w, http.StatusMethodNotAllowed, "only GET and HEAD\n")
		case local && !probes[r.URL.Path] && !p.known(hostOf(r.Host)):
			text(w, http.StatusMisdirectedRequest, "ask for it by address, or as localhost\n")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func isLoopback(at net.Addr) bool {
	tcp, ok := at.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// known tells whether a host is surely meant for this worker: an address, which
// no DNS can lead elsewhere, localhost, or what --http names.
func (p *pages) known(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || strings.EqualFold(host, "localhost") || host != "" && strings.EqualFold(host, hostOf(p.address))
}

// hostOf takes the port and an address's brackets off.
func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

func text(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}
