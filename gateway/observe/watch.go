package observe

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"sallyport/gateway"
)

// Observer returns what the line tells of each request.
func (t *Telemetry) Observer() gateway.Observer { return observer{t} }

type observer struct{ t *Telemetry }

var watches = sync.Pool{New: func() any { return new(watch) }}

func (o observer) Begin(*http.Request) gateway.Watch {
	w := watches.Get().(*watch) // nothing else is put there
	*w = watch{t: o.t, began: time.Now(), at: gateway.Steps, parts: w.parts[:0]}
	w.times = o.t.times(w.began)
	return w
}

// Reading the clock at each step and noting each time costs more than all else that is measured of a
// call, so of many calls only some are measured that closely: all where fewer than one comes in
// timeEvery, and of the rest one in timeOneIn, by chance.
const (
	timeEvery = 10 * time.Millisecond
	timeOneIn = 16
)

// times reports whether the steps of a request that has come now are measured.
func (t *Telemetry) times(now time.Time) bool {
	last := t.timed.Load()
	if at := int64(now.Sub(t.began)); at-last >= int64(timeEvery) {
		return t.timed.CompareAndSwap(last, at)
	}
	return rand.Uint32N(timeOneIn) == 0
}

// part is one stay of a request in a step.
type part struct {
	step     gateway.Step
	from, to time.Time
}

// watch is a gateway.Watch.
type watch struct {
	t     *Telemetry
	began time.Time
	at    gateway.Step // where the request is; Steps before the first
	since time.Time
	parts []part
	times bool       // the steps are measured
	span  trace.Span // nil: this request is not traced
	ctx   context.Context
}

func (w *watch) Step(s gateway.Step) {
	if !w.times && w.t.tracer == nil && s != gateway.StepForward && w.at != gateway.StepForward {
		return // of these requests only the server's time is measured
	}
	now := time.Now()
	w.leave(now)
	w.at, w.since = s, now
}

func (w *watch) leave(now time.Time) {
	if w.at < gateway.Steps {
		w.parts = append(w.parts, part{w.at, w.since, now})
	}
}

// Trace begins the request's span, as a child of the client's where it has sent one: both sides then
// find each other's half of the story. What goes upstream names this span as its parent.
func (w *watch) Trace(parent string) string {
	if w.t.tracer == nil {
		return parent
	}
	form := propagation.TraceContext{}
	ctx := form.Extract(context.Background(), propagation.MapCarrier{"traceparent": parent})
	w.ctx, w.span = w.t.tracer.Start(ctx, "mcp", trace.WithTimestamp(w.began), trace.WithSpanKind(trace.SpanKindServer))
	out := propagation.MapCarrier{}
	form.Inject(w.ctx, out)
	return out["traceparent"]
}

func (w *watch) End(s gateway.Seen) {
	now := time.Now()
	w.leave(now)
	ctx := context.Background()
	for _, p := range w.parts {
		took := p.to.Sub(p.from).Seconds()
		if w.times {
			w.t.steps.Record(ctx, took, w.t.stepLabels[p.step].record...)
		}
		if p.step == gateway.StepForward {
			w.t.upstream.Record(ctx, took, w.t.ofUpstreams.of(values{s.Server}).record...)
		}
	}
	w.t.requests.Add(ctx, 1, w.t.ofRequests.of(values{s.Server, s.Method, s.Code, s.Decision}).add...)
	w.t.duration.Record(ctx, now.Sub(w.began).Seconds(), w.t.ofDurations.of(values{s.Server, s.Method}).record...)
	if s.Tool != "" {
		w.t.tools.Add(ctx, 1, w.t.ofTools.of(values{s.Server, s.Tool, s.Code}).add...)
	}
	if w.span != nil {
		w.spans(s, now)
	}
	w.span, w.ctx = nil, nil
	watches.Put(w)
}

// broken are the codes that are somebody's fault on this side: they make a span an error. A refusal is
// the gateway's work.
var broken = map[string]bool{"internal": true, "unaudited": true, "stale": true, "unavailable": true, "timeout": true, "invalid_output": true}

// operation is what OpenTelemetry's conventions for MCP call a method that uses a tool.
var operation = map[string]string{"tools/call": "execute_tool"}

// spans writes the request's span and one for each step.
func (w *watch) spans(s gateway.Seen, now time.Time) {
	if !w.span.IsRecording() {
		w.span.End(trace.WithTimestamp(now))
		return
	}
	name := s.Method
	if name == "" {
		name = "refused"
	}
	if s.Tool != "" {
		name += " " + s.Tool
	}
	w.span.SetName(name)
	attributes := []attribute.KeyValue{attribute.String("sallyport.decision.id", s.ID), attribute.String("sallyport.code", s.Code),
		attribute.Int64("sallyport.bytes_in", s.BytesIn), attribute.Int64("sallyport.bytes_out", s.BytesOut)}
	for name, v := range map[string]string{"mcp.method.name": s.Method, "gen_ai.tool.name": s.Tool, "sallyport.server": s.Server,
		"sallyport.decision": s.Decision, "sallyport.era": s.Era, "gen_ai.operation.name": operation[s.Method]} {
		if v != "" {
			attributes = append(attributes, attribute.String(name, v))
		}
	}
	if s.Code != "ok" && s.Code != "" {
		attributes = append(attributes, attribute.String("error.type", s.Code))
	}
	w.span.SetAttributes(attributes...)
	if broken[s.Code] {
		w.span.SetStatus(codes.Error, s.Code)
	}
	for _, p := range w.parts {
		_, step := w.t.tracer.Start(w.ctx, p.step.String(), trace.WithTimestamp(p.from))
		step.End(trace.WithTimestamp(p.to))
	}
	w.span.End(trace.WithTimestamp(now))
}
