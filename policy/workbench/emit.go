package workbench

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

//go:embed suggested.rego
var suggestedRego string

// permitData is a permit as the policy looks it up: data.permits[role][server][tool] is a list.
type permitData struct {
	With         []string         `json:"with,omitempty"` // other roles that the caller must have as well
	AnyArguments bool             `json:"any_arguments,omitempty"`
	Arguments    map[string]*Rule `json:"arguments,omitempty"`
	Required     []string         `json:"required,omitempty"`
	Tasks        []string         `json:"tasks,omitempty"`
}

// files are the policy directory that is suggested.
func (s *Suggestion) files(tools map[CatalogueTool]bool) map[string][]byte {
	permits := map[string]map[string]map[string][]permitData{}
	for _, p := range s.Permits {
		role := p.Roles[0]
		if permits[role] == nil {
			permits[role] = map[string]map[string][]permitData{}
		}
		if permits[role][p.Server] == nil {
			permits[role][p.Server] = map[string][]permitData{}
		}
		permits[role][p.Server][p.Tool] = append(permits[role][p.Server][p.Tool],
			permitData{p.Roles[1:], p.Arguments == nil, p.Arguments, p.Required, p.Tasks})
	}
	data, err := marshal(map[string]any{"permits": permits})
	if err != nil {
		data = nil // what was read as JSON can be written as JSON; without it the directory does not load
	}
	return map[string][]byte{
		"authz.rego":      []byte(s.header() + suggestedRego),
		"data.json":       indent(data),
		"authz_test.yaml": s.table(tools),
	}
}

func indent(raw []byte) []byte {
	var v any
	if decode(raw, &v) != nil {
		return raw
	}
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return raw
	}
	return append(out, '\n')
}

// header says where the policy came from, and what is in it, as comments.
func (s *Suggestion) header() string {
	var b strings.Builder
	line := func(format string, args ...any) {
		b.WriteString(strings.TrimRight("# "+strings.Map(oneLine, fmt.Sprintf(format, args...)), " ") + "\n")
	}
	line("A suggestion by `sallyport policy suggest`, from what was used. Read it before you use it:")
	line("what was used may be more than what is right, and what is rare may be missing.")
	line("")
	line("Learned from %d calls from %s to %s. A tool counts that a role called at least %d times.", s.Learned,
		s.Since.UTC().Format(time.RFC3339), s.Until.UTC().Format(time.RFC3339), s.MinSupport)
	if s.Unforeseen > 0 {
		line("No rule allowed %d of them: they went through since nothing was enforced then, and nobody has judged them.", s.Unforeseen)
	}
	line("`deny`, `obligations` and package mcp.response of the policy in force are not in it; take them over by hand.")
	for _, p := range s.Permits {
		line("")
		line("%s: %s.%s (%d calls)", strings.Join(p.Roles, " and "), p.Server, p.Tool, p.Calls)
		if p.Arguments == nil {
			line("  any arguments: those of %d calls are known, and %d are needed", p.WithArguments, s.MinSupport)
			continue
		}
		if n := p.Calls - p.WithArguments; n > 0 {
			line("  the arguments of %d calls are not known and may be others", n)
		}
		for _, name := range slices.Sorted(maps.Keys(p.Arguments)) {
			need := "optional"
			if slices.Contains(p.Required, name) {
				need = "required"
			}
			line("  %s (%s): %s", name, need, p.Arguments[name])
		}
		if len(p.Arguments) == 0 {
			line("  no arguments")
		}
	}
	for i, f := range s.Few {
		if i == 0 {
			line("")
			line("Too few calls, so not allowed:")
		}
		line("  %s: %s.%s (%d)", strings.Join(f.Roles, " and "), f.Server, f.Tool, f.Calls)
	}
	return b.String()
}

// oneLine keeps a comment a comment, whatever a name or a value holds.
func oneLine(r rune) rune {
	if r < ' ' || r >= 0x7f && r <= 0x9f || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
		return '?'
	}
	return r
}
