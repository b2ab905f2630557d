package traces

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/testutil"
)

// begin starts traces with these variables only, and a log.
func begin(t *testing.T, vars map[string]string) (on bool, span func(), stop func(), log *testutil.Buffer) {
	t.Helper()
	for name, value := range vars { // the library reads the process'
		t.Setenv(name, value)
	}
	log = new(testutil.Buffer)
	tracer, stop := Start(t.Context(), func(name string) string { return vars[name] }, "rollcall-test", "v1",
		slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if tracer == nil {
		return false, nil, stop, log
	}
	return true, func() { _, s := tracer.Start(t.Context(), "x"); s.End() }, stop, log
}

func TestAsked(t *testing.T) {
	const url = "http://127.0.0.1:1"
	for name, tt := range map[string]struct {
		vars map[string]string
		on   bool
		says string // "" for nothing
	}{
		"nothing":    {nil, false, ""},
		"endpoint":   {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url}, true, "host=127.0.0.1:1"},
		"traces'":    {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://user:s3cret@example.test/v1/traces"}, true, "host=example.test"},
		"exporter":   {map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, "host=localhost:4318"},
		"disabled":   {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_SDK_DISABLED": "True"}, false, ""},
		"none":       {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		"console":    {map[string]string{"OTEL_TRACES_EXPORTER": "console"}, false, "OTEL_TRACES_EXPORTER"},
		"grpc":       {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, "http/protobuf"},
		"no scheme":  {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "user:s3cret@host:4318"}, false, "http://"},
		"bad header": {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_HEADERS": "s3cret,x=%zzs3cret"}, true, "cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			on, _, stop, log := begin(t, tt.vars)
			stop()
			if said := log.String(); on != tt.on || !strings.Contains(said, tt.says) || tt.says == "" && said != "" || strings.Contains(said, "s3cret") {
				t.Errorf("on: %t, says %q", on, said)
			}
		})
	}
}

// TestFailures: a receiver that refuses, and repeats what it was sent, is spoken of
// once, without secrets; and once more when it takes spans.
func TestFailures(t *testing.T) {
	var status atomic.Int64
	status.Store(http.StatusUnauthorized)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write([]byte("no: " + r.RequestURI + " " + r.URL.Path + " " + r.Header.Get("Authorization") + " " + r.Header.Get("X-Key") + strings.Repeat("x", 5000)))
	}))
	defer srv.Close()
	_, span, stop, log := begin(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": srv.URL + "/s3cret%2Fpath", "OTEL_BSP_SCHEDULE_DELAY": "10",
		"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20s3cret-token,x-key=s3cret-key",
	})
	until := func(what string, n int) {
		t.Helper()
		testutil.Eventually(t, what, func() bool { span(); return strings.Count(log.String(), what) >= n })
	}
	until("traces were dropped", 2)
	status.Store(http.StatusOK)
	until("delivered again", 1)
	stop()
	said := log.String()
	if strings.Count(said, "cannot be delivered") != 1 || strings.Count(said, "level=WARN") != 1 || strings.Contains(said, "s3cret") || strings.Contains(said, strings.Repeat("x", 500)) {
		t.Errorf("says %s", said)
	}
}

// TestStopIsBounded: a receiver that does not answer is not waited for.
func TestStopIsBounded(t *testing.T) {
	rest := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-rest }))
	defer srv.Close()
	defer close(rest)
	_, span, stop, _ := begin(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": srv.URL})
	span()
	begun := time.Now()
	stop()
	if took := time.Since(begun); took > flushTime+2*time.Second {
		t.Errorf("it took %s", took)
	}
}
