package observe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	bridge "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"sallyport/gateway"
)

const scope = "sallyport"

// Telemetry is what one process shows. Made by [Start]; Close sends what waits.
type Telemetry struct {
	registry *prometheus.Registry
	meters   *sdkmetric.MeterProvider
	tracers  *sdktrace.TracerProvider // nil: no traces
	meter    metric.Meter
	tracer   trace.Tracer // nil: no traces

	began time.Time
	timed atomic.Int64 // when the steps of a request were last measured, in nanoseconds since began

	requests, tools           metric.Int64Counter
	duration, steps, upstream metric.Float64Histogram

	stepLabels                                    [gateway.Steps]option
	ofRequests, ofDurations, ofTools, ofUpstreams labels
}

// Start begins to count. Traces, and metrics that are sent and not fetched, go where the standard
// variables of OpenTelemetry say: OTEL_EXPORTER_OTLP_ENDPOINT and its kin, OTLP over HTTP. What could not
// be sent is told to report; OpenTelemetry has one place for that in a process, so the last caller's is
// told of all.
func Start(ctx context.Context, version string, env map[string]string, report func(error)) (*Telemetry, error) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(report))
	if err := understood(env); err != nil {
		return nil, err
	}
	own, err := resource.New(ctx, resource.WithAttributes(semconv.ServiceName("sallyport"), semconv.ServiceVersion(version)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	t := &Telemetry{registry: prometheus.NewRegistry(), began: time.Now(), ofRequests: labelled("server", "method", "code", "decision"),
		ofDurations: labelled("server", "method"), ofTools: labelled("server", "tool", "code"), ofUpstreams: labelled("server")}
	t.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	page, err := bridge.New(bridge.WithRegisterer(t.registry), bridge.WithoutScopeInfo(), bridge.WithoutTargetInfo())
	if err != nil {
		return nil, err
	}
	options := []sdkmetric.Option{sdkmetric.WithResource(own), sdkmetric.WithReader(page)}
	if sends(env, "METRICS") {
		exporter, err := otlpmetrichttp.New(ctx)
		if err != nil {
			return nil, fmt.Errorf("send metrics: %w", err)
		}
		options = append(options, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)))
	}
	t.meters = sdkmetric.NewMeterProvider(options...)
	t.meter = t.meters.Meter(scope)
	if sends(env, "TRACES") {
		exporter, err := otlptracehttp.New(ctx)
		if err != nil {
			return nil, fmt.Errorf("send traces: %w", err)
		}
		t.tracers = sdktrace.NewTracerProvider(sdktrace.WithResource(own), sdktrace.WithBatcher(exporter))
		t.tracer = t.tracers.Tracer(scope, trace.WithInstrumentationVersion(version))
	}
	t.timed.Store(-int64(timeEvery)) // the first one is measured
	return t, t.instruments()
}

// understood refuses what the exporters would pass over in silence, and then nothing would arrive.
func understood(env map[string]string) error {
	for _, signal := range []string{"", "TRACES_", "METRICS_"} {
		name := "OTEL_EXPORTER_OTLP_" + signal + "PROTOCOL"
		if p := env[name]; p != "" && p != "http/protobuf" {
			return fmt.Errorf("%s is %q: this gateway speaks http/protobuf alone; send to the collector's HTTP port (4318)", name, p)
		}
		name = "OTEL_EXPORTER_OTLP_" + signal + "ENDPOINT"
		if e := env[name]; e != "" && !strings.HasPrefix(e, "http://") && !strings.HasPrefix(e, "https://") {
			return fmt.Errorf("%s is %q: write http://HOST:PORT or https://HOST:PORT", name, e)
		}
	}
	return nil
}

// sends reports whether the environment names a place for the signal.
func sends(env map[string]string, signal string) bool {
	if strings.EqualFold(env["OTEL_SDK_DISABLED"], "true") || env["OTEL_"+signal+"_EXPORTER"] == "none" {
		return false
	}
	return env["OTEL_EXPORTER_OTLP_ENDPOINT"] != "" || env["OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT"] != ""
}

// Page is what Prometheus reads.
func (t *Telemetry) Page() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{})
}

// Close sends what waits, within ctx, and ends.
func (t *Telemetry) Close(ctx context.Context) error {
	err := t.meters.Shutdown(ctx)
	if t.tracers != nil {
		err = errors.Join(err, t.tracers.Shutdown(ctx))
	}
	return err
}
