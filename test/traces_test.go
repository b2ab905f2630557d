//go:build integration

package test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"rollcall/internal/testutil"
)

// spanReceiver is a receiver of OpenTelemetry.
type spanReceiver struct {
	*httptest.Server

	mu       sync.Mutex
	headers  []http.Header
	bodies   []byte // all of them
	spans    []*otlp.Span
	resource map[string]string
}

func receiveSpans(t testing.TB) *spanReceiver {
	t.Helper()
	r := &spanReceiver{}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (s *spanReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxAnswer))
	var all collector.ExportTraceServiceRequest
	if r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &all) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.headers, s.bodies = append(s.headers, r.Header), append(s.bodies, body...)
	for _, from := range all.ResourceSpans {
		s.resource = attributes(from.Resource.Attributes)
		for _, scope := range from.ScopeSpans {
			s.spans = append(s.spans, scope.Spans...)
		}
	}
}

func attributes(all []*common.KeyValue) map[string]string {
	out := map[string]string{}
	for _, kv := range all {
		text := kv.Value.String()
		if s, ok := kv.Value.Value.(*common.AnyValue_StringValue); ok {
			text = s.StringValue
		}
		out[kv.Key] = text
	}
	return out
}

// TestTraces: a worker that is asked to sends a span for each task that it ran and
// each request that it made, the one the parent of the others, and names nobody.
func TestTraces(t *testing.T) {
	t.Parallel()
	server, dir, sim := busy(t)
	rec := receiveSpans(t)
	env := []string{"ROLLCALL_REDIS=" + server.URL()}
	w := start(t, dir, append(env, tokenEnv(), "ROLLCALL_GRAPH_URL="+sim.url, "OTEL_EXPORTER_OTLP_ENDPOINT="+rec.URL,
		"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20s3cret", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test", "OTEL_SERVICE_NAME=night-shift"),
		"worker", "--http", "", "--drain", "--log-level", "debug")
	unthrottled(t, sim)
	if r := w.wait(); r.status != 0 || strings.Contains(r.stderr, "s3cret") || !strings.Contains(r.stderr, "trace_id=") {
		t.Fatalf("the worker ended with %d\n%s", r.status, last(r.stderr, 4000))
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.resource["service.name"] != "night-shift" || rec.resource["deployment.environment.name"] != "test" || rec.resource["service.version"] == "" {
		t.Errorf("they come from %v", rec.resource)
	}
	if rec.headers[0].Get("Authorization") != "Bearer s3cret" {
		t.Errorf("headers are %v", rec.headers[0])
	}
	token := strings.TrimSpace(readFile(t, root+"/examples/simulator.token"))
	for _, word := range []string{"Jane", "14255550100", "user-", "p-1", "call-1", token} {
		if strings.Contains(string(rec.bodies), word) {
			t.Errorf("they tell of %q", word)
		}
	}

	tasks := map[string]map[string]string{}
	byKind, ids := map[string]int{}, map[string]bool{}
	for _, s := range rec.spans {
		if strings.HasPrefix(s.Name, "task ") {
			tasks[string(s.SpanId)] = attributes(s.Attributes)
		}
	}
	throttled := false
	for _, s := range rec.spans {
		kind, ok := strings.CutPrefix(s.Name, "graph ")
		if !ok {
			continue
		}
		byKind[kind]++
		a, parent := attributes(s.Attributes), tasks[string(s.ParentSpanId)]
		ids[a["rollcall.request_id"]] = true
		throttled = throttled || strings.Contains(a["http.response.status_code"], "429") && a["rollcall.retry_after_seconds"] != ""
		method := map[string]string{"delete": "DELETE", "invite": "POST"}[kind]
		if method == "" {
			method = "GET"
		}
		if parent == nil || parent["rollcall.task"] != a["rollcall.task"] || a["rollcall.batch"] == "" || a["server.address"] != "127.0.0.1" ||
			a["http.request.method"] != method || a["http.response.status_code"] == "" || a["rollcall.client_request_id"] == "" ||
			(a["rollcall.rows"] == "") != (method == "GET") || s.EndTimeUnixNano <= s.StartTimeUnixNano {
			t.Errorf("%s: %v, of the task %v", s.Name, a, parent)
		}
	}
	if made := sim.state(t).Counters.ByKind; made["delete"] != byKind["delete"] || made["invite"] != byKind["invite"] || made["roster"] != byKind["roster"] {
		t.Errorf("%v spans for %v requests", byKind, made)
	}
	if !throttled {
		t.Error("nothing was throttled: the test tests less than it should")
	}
	for _, row := range reportRows(t, dir, env) {
		if id := row["request_id"]; id != "" && !ids[id] {
			t.Errorf("row %s was by the request %s, which has no span", row["row"], id)
		}
	}
}

// TestTracesOfDeadReceiver: a worker whose receiver is not there does its work, says
// so once, and ends in time. A worker that is not asked sends nothing.
func TestTracesOfDeadReceiver(t *testing.T) {
	t.Parallel()
	server, dir, sim := busy(t)
	sim.set(t, `{"limit":{}}`)
	env := []string{"ROLLCALL_REDIS=" + server.URL(), tokenEnv(), "ROLLCALL_GRAPH_URL=" + sim.url,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + testutil.FreeAddr(t), "OTEL_BSP_SCHEDULE_DELAY=100"}
	r := must(t, 0, dir, env, "worker", "--http", "", "--drain", "--log-format", "json")
	n := 0
	for _, line := range records(t, r.stderr) {
		if strings.Contains(line.text("msg"), "traces cannot be delivered") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("it says so %d times:\n%s", n, r.stderr)
	}
	off := must(t, 0, dir, append(slices.Clone(env), "OTEL_SDK_DISABLED=true"), "worker", "--http", "", "--drain", "--log-level", "debug")
	if strings.Contains(off.stderr, "trace") {
		t.Errorf("it says %s", off.stderr)
	}
}
