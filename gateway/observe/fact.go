package observe

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Fact is a number of the installation that is read when somebody asks for it.
type Fact struct {
	Name    string // in OpenTelemetry's form; Prometheus sees underscores, and _total after a count
	Help    string
	Unit    string // s, By; "" for things
	Count   bool   // it only grows
	Label   string // of each value; "" where there is one value
	Measure func(put func(value float64, label string))
}

// Show adds facts to what is shown.
func (t *Telemetry) Show(facts ...Fact) error {
	for _, f := range facts {
		read := func(_ context.Context, o metric.Float64Observer) error {
			f.Measure(func(v float64, label string) {
				if f.Label == "" {
					o.Observe(v)
					return
				}
				o.Observe(v, metric.WithAttributes(attribute.String(f.Label, label)))
			})
			return nil
		}
		var err error
		if f.Count {
			_, err = t.meter.Float64ObservableCounter(f.Name, metric.WithDescription(f.Help), metric.WithUnit(f.Unit), metric.WithFloat64Callback(read))
		} else {
			_, err = t.meter.Float64ObservableGauge(f.Name, metric.WithDescription(f.Help), metric.WithUnit(f.Unit), metric.WithFloat64Callback(read))
		}
		if err != nil {
			return fmt.Errorf("metric %s: %w", f.Name, err)
		}
	}
	return nil
}
