package jose

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"sallyport/internal/strictjson"
)

// Errors of this package. Those that wrap them name members and positions, never values.
var (
	ErrMalformed = errors.New("malformed token")
	// ErrDuplicate is a member that is there twice, or whose name a parser that ignores case
	// would take for another's: two readers would see two tokens.
	ErrDuplicate = errors.New("token with two meanings")
	ErrHeader    = errors.New("token header not allowed")
	ErrAlgorithm = errors.New("signature algorithm not allowed for the key")
	ErrSignature = errors.New("signature does not verify")
)

// checkJSON reports, as ErrDuplicate or ErrMalformed, why data is not an object with one
// meaning. Names may not imitate those that scope guards, nor each other.
func checkJSON(part string, data []byte, depth int, scope *strictjson.Scope) error {
	err := strictjson.CheckScope(data, strictjson.Limits{Depth: depth}, scope)
	if err == nil {
		if data[0] != '{' {
			return fmt.Errorf("%w: %s is not a JSON object", ErrMalformed, part)
		}
		// After the scan above the only thing left to find is two siblings that fold alike.
		if err := strictjson.CheckArguments(data, strictjson.Names{}, nil); err != nil {
			return fmt.Errorf("%w: %s: two member names differ only in case", ErrDuplicate, part)
		}
		return nil
	}
	kind := ErrMalformed
	if scope != nil && strictjson.Check(data, strictjson.Limits{Depth: depth}) == nil || repeatsName(data) {
		kind = ErrDuplicate
	}
	return fmt.Errorf("%w: %s: %w", kind, part, err)
}

// repeatsName tells, for a document that has been refused already, whether a name that stands
// twice in one object is among the reasons.
func repeatsName(data []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(data))
	type level struct {
		names map[string]bool // nil in an array
		value bool            // the next token is a value, not a name
	}
	var levels []level
	for {
		tok, err := dec.Token()
		if err != nil {
			return false
		}
		top := len(levels) - 1
		if name, ok := tok.(string); ok && top >= 0 && levels[top].names != nil && !levels[top].value {
			if levels[top].names[name] {
				return true
			}
			levels[top].names[name], levels[top].value = true, true
			continue
		}
		if delim, ok := tok.(json.Delim); ok && (delim == '}' || delim == ']') {
			levels = levels[:top]
			continue
		}
		if top >= 0 {
			levels[top].value = false
		}
		switch tok {
		case json.Delim('{'):
			levels = append(levels, level{names: map[string]bool{}})
		case json.Delim('['):
			levels = append(levels, level{})
		}
	}
}
