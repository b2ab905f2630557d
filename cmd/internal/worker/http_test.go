package worker

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/console"
	"rollcall/internal/redistest"
	"rollcall/internal/tasks"
)

// TestGuard asks a worker's pages in ways that a browser may be made to.
func TestGuard(t *testing.T) {
	web, err := console.New(console.Config{Queue: tasks.NewQueue(redistest.Mini(t))})
	if err != nil {
		t.Fatal(err)
	}
	p := &pages{
		address: "worker.test:9464", ready: func() bool { return true },
		metrics: prometheus.NewRegistry(), console: web,
	}
	for _, tt := range []struct {
		method, at, host, path string
		want                   int
	}{
		{"GET", "127.0.0.1", "127.0.0.1:9464", "/", 200},
		{"HEAD", "127.0.0.1", "127.0.0.1:9464", "/", 200},
		{"GET", "127.0.0.1", "LocalHost:9464", "/", 200},
		{"GET", "::1", "[::1]:9464", "/", 200},
		{"GET", "::1", "[::1]", "/", 200},
		{"GET", "127.0.0.1", "10.0.0.7", "/", 200},
		{"GET", "127.0.1.1", "Worker.test:9464", "/", 200},
		{"GET", "127.0.0.1", "evil.test:9464", "/", 421},
		{"GET", "127.0.0.1", "127.0.0.1.evil.test", "/", 421},
		{"GET", "127.0.0.1", "localhost.evil.test", "/", 421},
		{"GET", "::1", "", "/", 421},
		{"GET", "127.0.0.1", "evil.test", "/nothing", 421},
		{"GET", "127.0.0.1", "evil.test", "/healthz/", 421},
		{"GET", "127.0.0.1", "probe.test", "/healthz", 200},
		{"GET", "127.0.0.1", "probe.test", "/readyz", 200},
		{"GET", "127.0.0.1", "probe.test", "/metrics", 200},
		{"GET", "10.0.0.7", "worker-7.internal:9464", "/", 200},
		{"GET", "10.0.0.7", "10.0.0.7:9464", "/nothing", 404},
		{"POST", "127.0.0.1", "127.0.0.1:9464", "/", 405},
		{"DELETE", "127.0.0.1", "127.0.0.1:9464", "/nothing", 405},
		{"POST", "127.0.0.1", "127.0.0.1:9464", "/healthz", 405},
		{"POST", "127.0.0.1", "evil.test", "/batch/b/cancel", 421},
		{"POST", "127.0.0.1", "127.0.0.1:9464", "/batch/b/cancel", 403}, // there is no token
		{"OPTIONS", "127.0.0.1", "127.0.0.1:9464", "/metrics", 405},
	} {
		r := httptest.NewRequest(tt.method, "http://worker.test"+tt.path, nil)
		r.Host = tt.host
		w := httptest.NewRecorder()
		p.handler(&net.TCPAddr{IP: net.ParseIP(tt.at)}).ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%s %s of %q at %s: %d, want %d", tt.method, tt.path, tt.host, tt.at, w.Code, tt.want)
		}
		for name, value := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin", "Content-Security-Policy": "default-src 'none'",
		} {
			if got := w.Header().Get(name); !strings.HasPrefix(got, value) {
				t.Errorf("%s %s: %s is %q", tt.method, tt.path, name, got)
			}
		}
		if allow := w.Header().Get("Allow"); tt.want == http.StatusMethodNotAllowed && allow != "GET, HEAD" {
			t.Errorf("%s %s: Allow is %q", tt.method, tt.path, allow)
		}
	}
}
