package config

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// metrics is what has been counted, in the text format of Prometheus. No label has a value that
// comes from outside.
func (s *Service) metrics() []byte {
	var b bytes.Buffer
	one := func(name, kind, help string, value int64) {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n%s %d\n", name, help, name, kind, name, value)
	}
	truth := map[bool]int64{true: 1}
	c := s.gateway.Counts()
	if g := s.serving.Load(); g != nil {
		one("sallyport_enforce", "gauge", "1 where policies are enforced, 0 where they are only recorded.", truth[g.cfg.Enforce])
		one("sallyport_shadow_policy", "gauge", "1 where a second policy is asked beside the first.", truth[g.shadow != nil])
	}
	one("sallyport_would_deny_total", "counter", "Messages let through because what refuses them is not enforced.", c.WouldDeny)
	one("sallyport_inputs_missing_total", "counter", "Decisions whose input was to be recorded and is not.", c.InputsMissing)
	one("sallyport_shadow_compared_total", "counter", "Decisions that the second policy was asked about.", c.ShadowCompared)
	one("sallyport_shadow_errors_total", "counter", "Decisions that the second policy could not make.", c.ShadowErrors)
	one("sallyport_shadow_dropped_total", "counter", "Decisions that the second policy was not asked about, because it was too slow.", c.ShadowDropped)
	const differences = "sallyport_shadow_differences_total"
	fmt.Fprintf(&b, "# HELP %s Decisions that the second policy would have made otherwise.\n# TYPE %s counter\n", differences, differences)
	for _, kind := range slices.Sorted(maps.Keys(c.ShadowDifferences)) {
		fmt.Fprintf(&b, "%s{kind=%q} %d\n", differences, kind, c.ShadowDifferences[kind])
	}
	return b.Bytes()
}
