package observe

import (
	"errors"
	"sync"
	"sync/atomic"

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
	var errs [4]error
	t.requests, errs[0] = t.meter.Int64Counter("sallyport.requests",
		metric.WithDescription("Requests that have been answered, by what came of them."))
	t.tools, errs[1] = t.meter.Int64Counter("sallyport.tool.calls",
		metric.WithDescription("Calls of tools that are in a catalogue, by what came of them."))
	t.duration, errs[2] = t.meter.Float64Histogram("sallyport.request.duration", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(requestBounds...),
		metric.WithDescription("From the first byte of a request's header to the last of its answer; of a stream, to its end."))
	t.steps, errs[3] = t.meter.Float64Histogram("sallyport.step.duration", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(stepBounds...),
		metric.WithDescription("Time that requests spend in each step of the line; forward is the server's."))
	for s := range gateway.Steps {
		t.stepLabels = append(t.stepLabels, metric.WithAttributeSet(attribute.NewSet(attribute.String("step", s.String()))))
	}
	return errors.Join(errs[:]...)
}

// maxLabels is how many combinations of labels a process keeps. What comes beyond is counted under
// the label "other", so that no catalogue can fill the memory of who collects.
const maxLabels = 4096

// labels keeps a set of attributes for each combination that has been seen: making one costs more than
// the measurement.
type labels struct {
	sets  sync.Map // [4]string → metric.MeasurementOption
	count atomic.Int64
}

func (l *labels) of(names [4]string, values [4]string) metric.MeasurementOption {
	if set, ok := l.sets.Load(values); ok {
		return set.(metric.MeasurementOption) // nothing else is stored
	}
	full := l.count.Add(1) > maxLabels
	var attributes []attribute.KeyValue
	for i, name := range names {
		if v := values[i]; name != "" {
			if full {
				v = "other"
			}
			attributes = append(attributes, attribute.String(name, v))
		}
	}
	set := metric.WithAttributeSet(attribute.NewSet(attributes...))
	if !full {
		l.sets.Store(values, set)
	}
	return set
}

var (
	requestLabels  = [4]string{"server", "method", "code", "decision"}
	durationLabels = [4]string{"server", "method"}
	toolLabels     = [4]string{"server", "tool", "code"}
)
