package main

import (
	"html/template"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"rollcall/internal/ledger"
)

// pages is what the worker's HTTP server shows.
type pages struct {
	ready   func() bool
	metrics *prometheus.Registry
	ledger  *ledger.Ledger
}

func (p *pages) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if p.ready() {
			text(w, http.StatusOK, "ready\n")
			return
		}
		text(w, http.StatusServiceUnavailable, "not ready: Redis does not answer, or the worker is ending\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /{$}", p.batches)
	return mux
}

func text(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

var batchesPage = template.Must(template.New("batches").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>rollcall</title></head>
<body><h1>Batches</h1>
<table><thead><tr><th scope="col">Batch</th><th scope="col">State</th><th scope="col">Rows</th><th scope="col">Pending</th><th scope="col">Failed</th></tr></thead><tbody>
{{range .}}<tr><th scope="row">{{.ID}}</th><td>{{.State}}</td><td>{{.Rows}}</td><td>{{.Pending}}</td><td>{{.Failed}}</td></tr>
{{else}}<tr><td colspan="5">none yet</td></tr>
{{end}}</tbody></table></body></html>
`))

// shownBatches is how many batches the page lists.
const shownBatches = 100

func (p *pages) batches(w http.ResponseWriter, r *http.Request) {
	list, err := p.ledger.List(r.Context(), shownBatches)
	if err != nil {
		text(w, http.StatusServiceUnavailable, "Redis does not answer\n")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_ = batchesPage.Execute(w, list)
}
