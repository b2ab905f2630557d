package traces

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/trace"

	"rollcall/internal/testutil"
)

// begin starts traces with these variables only, and a log. Extra options go to the
// exporter.
func begin(t *testing.T, vars map[string]string, options ...otlptracehttp.Option) (on bool, span func(), stop func(), log *testutil.Buffer) {
	t.Helper()
	for name, value := range vars { // the library reads the process'
		t.Setenv(name, value)
	}
	log = new(testutil.Buffer)
	env := func(name string) string { return vars[name] }
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var tracer trace.Tracer
	if options == nil {
		tracer, stop = Start(t.Context(), env, "rollcall-test", "v1", logger)
	} else {
		tracer, stop = start(t.Context(), env, "rollcall-test", "v1", logger, options...)
	}
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

// receiver is a server that is reached without a socket, and the option to do so.
func receiver(t *testing.T, handler http.HandlerFunc) otlptracehttp.Option {
	t.Helper()
	transport := &http.Transport{DialContext: testutil.NewServer(t, handler).Dial}
	t.Cleanup(transport.CloseIdleConnections)
	return otlptracehttp.WithHTTPClient(&http.Client{Transport: transport})
}

// TestFailures: a receiver that refuses, and repeats what it was sent, is spoken of
// once, without secrets; and once more when it takes spans.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var status atomic.Int64
		status.Store(http.StatusUnauthorized)
		to := receiver(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(int(status.Load()))
			_, _ = w.Write([]byte("no: " + r.RequestURI + " " + r.URL.Path + " " + r.Header.Get("Authorization") + " " + r.Header.Get("X-Key") + strings.Repeat("x", 5000)))
		})
		_, span, stop, log := begin(t, map[string]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1/s3cret%2Fpath", "OTEL_BSP_SCHEDULE_DELAY": "1000",
			"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20s3cret-token,x-key=s3cret-key",
		}, to)
		for range 3 {
			span()
			testutil.Advance(t, 1100*time.Millisecond)
		}
		status.Store(http.StatusOK)
		span()
		testutil.Advance(t, 1100*time.Millisecond)
		stop()

		said := log.String()
		for what, times := range map[string]int{"cannot be delivered": 1, "level=WARN": 1, "traces were dropped": 2, "delivered again": 1} {
			if n := strings.Count(said, what); n != times {
				t.Errorf("says %q %d times, want %d", what, n, times)
			}
		}
		if strings.Contains(said, "s3cret") || strings.Contains(said, strings.Repeat("x", 500)) {
			t.Errorf("says too much")
		}
		if t.Failed() {
			t.Log(said)
		}
	})
}

// TestStopIsBounded: a receiver that does not answer is not waited for.
func TestStopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		})
		_, span, stop, log := begin(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1"}, to)
		span()
		begun := time.Now()
		stop()
		if took := time.Since(begun); took != flushTime {
			t.Errorf("it took %s", took)
		}
		if said := log.String(); !strings.Contains(said, "not delivered in time") {
			t.Errorf("says %s", said)
		}
		testutil.Advance(t, time.Minute) // the library gives up
	})
}
