package observe

import (
	"errors"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"sallyport/gateway"
)

// Bounds of histograms, in seconds.
var (
	requestBounds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	stepBounds    = []float64{.000001, .000005, .00001, .000025, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .05, .1, 1, 10}
)

func (t *Telemetry) instruments() error {
	var errs [5]error
	t.requests, errs[0] = t.meter.Int64Counter("sallyport.requests",
		metric.WithDescription("Requests that have been answered, by what came of them."))
	t.tools, errs[1] = t.meter.Int64Counter("sallyport.tool.calls",
		metric.WithDescription("Calls of tools that are in a catalogue, by what came of them."))
	t.duration, errs[2] = t.meter.Float64Histogram("sallyport.request.duration", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(requestBounds...),
		metric.WithDescription("From the first byte of a request's header to the last of its answer; of a stream, to its end."))
	t.steps, errs[3] = t.meter.Float64Histogram("sallyport.step.duration", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(stepBounds...),
		metric.WithDescription("Time that requests spend in each step of the line; forward is the server's. Of many requests, one in sixteen."))
	t.upstream, errs[4] = t.meter.Float64Histogram("sallyport.upstream.duration", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(requestBounds...),
		metric.WithDescription("Time that requests wait for their server: the step forward, by server."))
	for s := range gateway.Steps {
		t.stepLabels[s] = recorded(attribute.String("step", s.String()))
	}
	return errors.Join(errs[:]...)
}

// maxLabels is how many combinations of labels an instrument keeps. What comes beyond is counted under
// the label "other", so that no catalogue can fill the memory of who collects. It is below the limit of
// OpenTelemetry's own, which would drop the server's name as well.
const maxLabels = 1024

// option is a set of attributes, in the forms that the two kinds of instruments take. They are kept as
// slices, since one made for each measurement would be an allocation for each.
type option struct {
	record []metric.RecordOption
	add    []metric.AddOption
}

func recorded(attributes ...attribute.KeyValue) option {
	set := metric.WithAttributeSet(attribute.NewSet(attributes...))
	return option{[]metric.RecordOption{set}, []metric.AddOption{set}}
}

// values are the values of an instrument's labels, in the order of its names.
type values [4]string

// labels keeps a set of attributes for each combination that has been seen: making one costs more than
// the measurement.
type labels struct {
	names []string
	mu    sync.RWMutex // guards seen
	seen  map[values]option
}

func labelled(names ...string) labels { return labels{names: names, seen: map[values]option{}} }

func (l *labels) of(v values) option {
	l.mu.RLock()
	known, ok := l.seen[v]
	l.mu.RUnlock()
	if ok {
		return known
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	full := len(l.seen) >= maxLabels
	var attributes []attribute.KeyValue
	for i, name := range l.names {
		if full {
			v[i] = "other"
		}
		attributes = append(attributes, attribute.String(name, v[i]))
	}
	made := recorded(attributes...)
	if !full {
		l.seen[v] = made
	}
	return made
}
