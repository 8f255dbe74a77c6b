package mutation

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// SurvivorsFile names the file beside a policy that says which mutants its tests need not notice,
// and why. Its ending keeps it out of the policy's data.
const SurvivorsFile = "survivors.txt"

// Survivors reads such a file: an ID at the beginning of a line, its reason in the indented lines
// after it. Lines that begin with # are left out. An error names the line.
func Survivors(src []byte) (map[string]string, error) {
	out := map[string]string{}
	id := ""
	for i, line := range strings.Split(string(bytes.TrimSpace(src)), "\n") {
		text := strings.TrimSpace(line)
		switch {
		case text == "" || strings.HasPrefix(line, "#"):
		case text == line:
			if _, twice := out[text]; twice {
				return nil, fmt.Errorf("line %d: %s is there twice", i+1, text)
			}
			id, out[text] = text, ""
		case id == "":
			return nil, fmt.Errorf("line %d: a reason without a mutant; begin the mutant's line without spaces", i+1)
		default:
			out[id] = strings.TrimSpace(out[id] + " " + text)
		}
	}
	var errs []error
	for id, why := range out {
		if why == "" {
			errs = append(errs, fmt.Errorf("%s has no reason; write it, indented, below", id))
		}
	}
	return out, errors.Join(errs...)
}
