package reader

import (
	"reflect"
	"slices"
	"strings"

	"sallyport/gateway/audit"
)

// known are the members of a record that this version writes.
var known = func() map[string]bool {
	out := map[string]bool{}
	for f := range reflect.TypeFor[audit.Record]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		out[name] = true
	}
	return out
}()

var phases = []string{audit.PhaseDecision, audit.PhaseOutcome, audit.PhaseRefusal, audit.PhaseSummary, audit.PhaseRepair,
	audit.PhaseKey, audit.PhaseShadow}

// newer names what this version does not know of a line that is a JSON object.
func newer(line []byte, phase string) []string {
	var out []string
	if !slices.Contains(phases, phase) {
		out = append(out, "phase "+phase)
	}
	for name := range members(line) {
		if !known[string(name)] {
			out = append(out, string(name))
		}
	}
	return out
}

// members yields the names of the object's own members, as they are written. The line is valid
// JSON, so that it is enough to follow strings and brackets.
func members(line []byte) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		depth, wantsName := 0, false
		for i := 0; i < len(line); i++ {
			switch line[i] {
			case '{', '[':
				depth++
				wantsName = depth == 1
			case '}', ']':
				depth--
			case ',':
				wantsName = depth == 1
			case '"':
				end := stringEnd(line, i)
				if wantsName && depth == 1 && !yield(line[i+1:end]) {
					return
				}
				wantsName = false
				i = end
			}
		}
	}
}

// stringEnd is where the string that begins at i has its closing quote.
func stringEnd(line []byte, i int) int {
	for i++; i < len(line) && line[i] != '"'; i++ {
		if line[i] == '\\' {
			i++
		}
	}
	return min(i, len(line))
}
