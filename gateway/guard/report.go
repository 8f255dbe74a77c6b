package guard

import (
	"fmt"
	"slices"
	"strings"
)

// Report says what the door did to a message.
type Report struct {
	Hidden    int      // hidden characters and control sequences taken out
	Links     int      // links and images made inert
	Secrets   int      // secrets and markers replaced
	Masked    int      // values masked, and texts withheld that could not be
	Dropped   int      // items of content left out since their kind is not allowed
	Rules     []string // the rules that found secrets, sorted, each once
	Canary    bool     // a marker was among them
	Unscanned bool     // the message was not scanned for secrets to its end
}

// String says in one line what was done, or "" when nothing was.
func (r Report) String() string {
	var parts []string
	count := func(n int, one, many string) {
		switch {
		case n == 1:
			parts = append(parts, one)
		case n > 1:
			parts = append(parts, fmt.Sprintf(many, n))
		}
	}
	count(r.Hidden, "1 hidden character or control sequence taken out", "%d hidden characters or control sequences taken out")
	count(r.Links, "1 link made inert", "%d links made inert")
	secret := ""
	if len(r.Rules) > 0 {
		secret = " (" + strings.Join(r.Rules, ", ") + ")"
	}
	count(r.Secrets, "1 secret redacted"+secret, "%d secrets redacted"+strings.ReplaceAll(secret, "%", "%%"))
	count(r.Masked, "1 value masked", "%d values masked")
	count(r.Dropped, "1 item of content left out", "%d items of content left out")
	if r.Canary {
		parts = append(parts, "a canary was in it")
	}
	if r.Unscanned {
		parts = append(parts, "not scanned for secrets to its end")
	}
	return strings.Join(parts, "; ")
}

// rule notes the rule of a finding.
func (r *Report) rule(name string) {
	if at, found := slices.BinarySearch(r.Rules, name); !found {
		r.Rules = slices.Insert(r.Rules, at, name)
	}
}
