// Package traces sends spans to a receiver of OpenTelemetry, by OTLP over HTTP, if
// the OTEL_* variables ask for it; otherwise nothing of it runs. What cannot be sent
// is dropped: no work waits for it. It must not know what spans are about.
package traces

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// flushTime bounds what Stop takes.
const flushTime = 3 * time.Second

// Start returns a tracer if the environment asks for one, by an endpoint or by
// OTEL_TRACES_EXPORTER=otlp; else nil. stop sends what is left, for a few seconds at
// most. Settings that cannot be used are warned of, and leave traces off.
func Start(ctx context.Context, env func(string) string, service, version string, log *slog.Logger) (trace.Tracer, func()) {
	return start(ctx, env, service, version, log)
}

// start is Start with options that the environment's settings come after.
func start(ctx context.Context, env func(string) string, service, version string, log *slog.Logger, options ...otlptracehttp.Option) (_ trace.Tracer, stop func()) {
	none := func() {}
	if !asked(env, log) {
		return nil, none
	}
	to := cmp.Or(endpoint(env), "http://localhost:4318")
	// Its own way would be to write to standard error, values of headers too.
	otel.SetLogger(logr.New(sink{log}))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) { log.Debug("a part of OpenTelemetry reports a mistake") }))
	if endpoint(env) == "" {
		options = append(options, otlptracehttp.WithEndpointURL(to+"/v1/traces")) // the library's own is https
	}
	out, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		log.Warn("no traces: the settings of their exporter (OTEL_EXPORTER_OTLP_*) contradict each other")
		return nil, none
	}
	// What the environment says comes last, and wins.
	about, err := resource.New(ctx,
		resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(attribute.String("service.name", service), attribute.String("service.version", version), attribute.String("service.instance.id", rand.Text())),
		resource.WithFromEnv())
	if err != nil {
		log.Warn("traces do not say all of where they come from: OTEL_RESOURCE_ATTRIBUTES cannot be read, or the system does not tell")
	}
	provider := sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithBatcher(&exporter{SpanExporter: out, log: log, secrets: secrets(env)}))
	if u, err := url.Parse(to); err == nil {
		log.Info("sending traces", "host", u.Host)
	}
	return provider.Tracer("rollcall", trace.WithInstrumentationVersion(version)), func() {
		fctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
		defer cancel()
		if err := provider.Shutdown(fctx); err != nil {
			log.Debug("the last traces were not delivered in time")
		}
	}
}

// asked tells whether the environment asks for traces that can be had.
func asked(env func(string) string, log *slog.Logger) bool {
	if strings.EqualFold(env("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	switch exporter := env("OTEL_TRACES_EXPORTER"); exporter {
	case "otlp":
	case "none":
		return false
	case "":
		if endpoint(env) == "" {
			return false
		}
	default:
		log.Warn("no traces: OTEL_TRACES_EXPORTER can be otlp or none")
		return false
	}
	switch cmp.Or(env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), env("OTEL_EXPORTER_OTLP_PROTOCOL")) {
	case "", "http/protobuf", "http/json":
	default:
		log.Warn("no traces: OTEL_EXPORTER_OTLP_PROTOCOL can be http/protobuf or http/json, mostly on port 4318")
		return false
	}
	if u, err := url.Parse(endpoint(env)); err != nil || endpoint(env) != "" && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		log.Warn("no traces: OTEL_EXPORTER_OTLP_ENDPOINT must begin with http:// or https://")
		return false
	}
	return true
}

func endpoint(env func(string) string) string {
	return cmp.Or(env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), env("OTEL_EXPORTER_OTLP_ENDPOINT"))
}

// secrets are what the receiver knows its senders by: the values of headers, and for
// some its URL but for the host. Errors may repeat them.
func secrets(env func(string) string) (values []string) {
	if u, err := url.Parse(endpoint(env)); err == nil {
		password, _ := u.User.Password()
		values = append(values, strings.Trim(u.EscapedPath(), "/"), strings.Trim(u.Path, "/"), u.RawQuery, password)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"} {
		for header := range strings.SplitSeq(env(name), ",") {
			_, value, _ := strings.Cut(header, "=")
			values = append(values, strings.TrimSpace(value))
			if plain, err := url.PathUnescape(value); err == nil {
				values = append(values, strings.TrimSpace(plain))
				_, word, _ := strings.Cut(strings.TrimSpace(plain), " ") // of "Bearer word"
				values = append(values, word)
			}
		}
	}
	return slices.DeleteFunc(values, func(v string) bool { return len(v) < 4 })
}

// exporter says once in the log that spans cannot be delivered, and once that they
// can be again.
type exporter struct {
	sdk.SpanExporter
	log     *slog.Logger
	secrets []string
	failing atomic.Bool
}

// ExportSpans implements sdk.SpanExporter. Nobody need hear of its errors.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	was := e.failing.Swap(err != nil)
	switch {
	case err != nil && !was:
		e.log.Warn("traces cannot be delivered, and are dropped until they can", "error", e.shown(err))
	case err != nil:
		e.log.Debug("traces were dropped", "spans", len(spans), "error", e.shown(err))
	case was:
		e.log.Info("traces are delivered again")
	}
	return nil
}

// mostShown is how much of an error is shown, in bytes: it may have what a server said.
const mostShown = 300

func (e *exporter) shown(err error) string {
	text := err.Error()
	for _, s := range e.secrets {
		text = strings.ReplaceAll(text, s, "***")
	}
	if len(text) > mostShown {
		text = strings.ToValidUTF8(text[:mostShown], "") + "…"
	}
	return text
}

// sink takes what OpenTelemetry says of settings that it does not understand, without
// the settings: they may be secrets.
type sink struct{ log *slog.Logger }

func (sink) Init(logr.RuntimeInfo)            {}
func (sink) Enabled(int) bool                 { return false }
func (sink) Info(int, string, ...any)         {}
func (s sink) WithValues(...any) logr.LogSink { return s }
func (s sink) WithName(string) logr.LogSink   { return s }
func (s sink) Error(_ error, what string, _ ...any) {
	s.log.Warn("a setting of OpenTelemetry (OTEL_*) cannot be used", "what", what)
}
