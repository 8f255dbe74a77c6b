package observe

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"sallyport/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t testing.TB, env map[string]string) *Telemetry {
	t.Helper()
	tel, err := Start(t.Context(), "1.2.3", env, func(err error) { t.Errorf("not sent: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Close(context.Background()) })
	return tel
}

// traced is a telemetry that keeps its spans.
func traced(t testing.TB, sampler sdktrace.Sampler) (*Telemetry, *tracetest.SpanRecorder) {
	tel, kept := start(t, nil), tracetest.NewSpanRecorder()
	tel.tracers = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(kept), sdktrace.WithSampler(sampler))
	tel.tracer = tel.tracers.Tracer(scope)
	return tel, kept
}

func page(tel *Telemetry) string {
	w := httptest.NewRecorder()
	tel.Page().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// request is one that has gone through the whole line.
func request(tel *Telemetry, parent string, s gateway.Seen) string {
	w := tel.Observer().Begin(nil)
	for step := range gateway.Steps {
		w.Step(step)
	}
	traceparent := w.Trace(parent)
	w.End(s)
	return traceparent
}

var seen = gateway.Seen{ID: "id", Code: "ok", Decision: "allow", Method: "tools/call", Era: "modern", Server: "files", Tool: "read_file"}

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestRequestIsASpanWithOneForEachStep(t *testing.T) {
	tel, kept := traced(t, sdktrace.AlwaysSample())
	out := request(tel, parent, seen)
	spans := kept.Ended()
	if len(spans) != 1+int(gateway.Steps) {
		t.Fatalf("%d spans; want the request's and %d steps'", len(spans), gateway.Steps)
	}
	whole := spans[len(spans)-1]
	if got := whole.Name(); got != "tools/call read_file" {
		t.Errorf("span %q; want tools/call read_file", got)
	}
	if got := whole.Parent().SpanID().String(); got != parent[36:52] {
		t.Errorf("parent %s; want the client's span %s", got, parent[36:52])
	}
	if want := "00-" + parent[3:35] + "-" + whole.SpanContext().SpanID().String() + "-01"; out != want {
		t.Errorf("goes upstream: %s; want %s", out, want)
	}
	for i, step := range spans[:len(spans)-1] {
		if step.Name() != gateway.Step(i).String() || step.Parent().SpanID() != whole.SpanContext().SpanID() {
			t.Errorf("span %d: %s under %s; want %s under the request's", i, step.Name(), step.Parent().SpanID(), gateway.Step(i))
		}
	}
	got := attribute.NewSet(whole.Attributes()...)
	for name, want := range map[attribute.Key]string{"mcp.method.name": "tools/call", "gen_ai.tool.name": "read_file", "gen_ai.operation.name": "execute_tool",
		"sallyport.server": "files", "sallyport.code": "ok", "sallyport.decision": "allow", "sallyport.decision.id": "id", "sallyport.era": "modern"} {
		if v, _ := got.Value(name); v.AsString() != want {
			t.Errorf("%s = %q; want %q", name, v.AsString(), want)
		}
	}
}

func TestOnlyFaultsAreErrors(t *testing.T) {
	for code, want := range map[string]codes.Code{"ok": codes.Unset, "denied": codes.Unset, "cancelled": codes.Unset, "unavailable": codes.Error, "internal": codes.Error} {
		tel, kept := traced(t, sdktrace.AlwaysSample())
		s := seen
		s.Code = code
		request(tel, "", s)
		spans := kept.Ended()
		if got := spans[len(spans)-1].Status().Code; got != want {
			t.Errorf("%s: status %v; want %v", code, got, want)
		}
	}
}

// A request that is not sampled says so upstream, under the id that the record has.
func TestUnsampledRequestKeepsItsTrace(t *testing.T) {
	tel, kept := traced(t, sdktrace.NeverSample())
	out := request(tel, parent, seen)
	if len(kept.Ended()) != 0 {
		t.Errorf("%d spans; want none", len(kept.Ended()))
	}
	if !strings.HasPrefix(out, parent[:35]) || !strings.HasSuffix(out, "-00") {
		t.Errorf("goes upstream: %s; want the trace %s, not sampled", out, parent[3:35])
	}
}

func TestWithoutCollectorTheClientsTraceGoesOn(t *testing.T) {
	if got := request(start(t, nil), parent, seen); got != parent {
		t.Errorf("goes upstream: %s; want %s", got, parent)
	}
}

func TestLabelsAreBounded(t *testing.T) {
	tel := start(t, nil)
	for i := range 3 * maxLabels {
		s := seen
		s.Tool = fmt.Sprintf("tool_%d", i)
		request(tel, "", s)
	}
	text := page(tel)
	if got := strings.Count(text, "\nsallyport_tool_calls_total{"); got != maxLabels+1 {
		t.Errorf("%d series of tools; want %d and one for all others", got, maxLabels)
	}
	want := fmt.Sprintf(`sallyport_tool_calls_total{code="other",server="other",tool="other"} %d`, 2*maxLabels)
	if !strings.Contains(text, want) {
		t.Errorf("the page has no %s", want)
	}
}

// What is measured of every call must not become garbage with every call.
func TestWatchingAllocatesNothing(t *testing.T) {
	tel := start(t, nil)
	request(tel, "", seen)
	// The race detector has the pool lose some of what it is given.
	if got := testing.AllocsPerRun(1000, func() { request(tel, "", seen) }); got > 2 {
		t.Errorf("%v allocations for each request; want none", got)
	}
}

// The steps of few requests are all measured, those of many by chance; the server's time always.
func TestStepsOfManyRequestsAreSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := start(t, nil)
		const slow, fast = 50, 5000
		for range slow {
			request(tel, "", seen)
			time.Sleep(timeEvery)
		}
		count := func(metric string) (n int) {
			_, after, _ := strings.Cut(page(tel), "\n"+metric+" ")
			_, _ = fmt.Sscan(after, &n)
			return n
		}
		const step, server = `sallyport_step_duration_seconds_count{step="authorize"}`, `sallyport_upstream_duration_seconds_count{server="files"}`
		if got := count(step); got != slow {
			t.Errorf("steps of %d of %d slow requests; want all", got, slow)
		}
		for range fast { // within one moment
			request(tel, "", seen)
		}
		// 5,000 draws of one in sixteen: 312 on average, with a deviation of 17.
		if got := count(step) - slow; got < 312-8*17 || got > 312+8*17 {
			t.Errorf("steps of %d of %d fast requests; want about one in %d", got, fast, timeOneIn)
		}
		if got := count(server); got != slow+fast {
			t.Errorf("the server's time of %d requests; want of all %d", got, slow+fast)
		}
		_ = tel.Close(t.Context())
	})
}

func TestStartRefuses(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", `OTEL_EXPORTER_OTLP_PROTOCOL is "grpc": this gateway speaks http/protobuf alone; send to the collector's HTTP port (4318)`},
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc", `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is "grpc": this gateway speaks http/protobuf alone; send to the collector's HTTP port (4318)`},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", `OTEL_EXPORTER_OTLP_ENDPOINT is "collector:4318": write http://HOST:PORT or https://HOST:PORT`},
	} {
		_, err := Start(t.Context(), "", map[string]string{tt.name: tt.value}, nil)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s=%s: %v; want %s", tt.name, tt.value, err, tt.want)
		}
	}
}

func TestSends(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for _, tt := range []struct {
		env  map[string]string
		want bool
	}{
		{nil, false},
		{map[string]string{endpoint: "http://c:4318"}, true},
		{map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, true},
		{map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318/v1/metrics"}, false},
		{map[string]string{endpoint: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, false},
		{map[string]string{endpoint: "http://c:4318", "OTEL_SDK_DISABLED": "true"}, false},
	} {
		if got := sends(tt.env, "TRACES"); got != tt.want {
			t.Errorf("%v: traces are sent %v; want %v", tt.env, got, tt.want)
		}
	}
}

// BenchmarkWatch is what watching adds to each call when no traces are sent.
func BenchmarkWatch(b *testing.B) {
	tel := start(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		request(tel, "", seen)
	}
}
