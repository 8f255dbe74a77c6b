package workbench

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"sallyport/policy"
)

// TrafficReport says what a new policy changes of recorded decisions.
type TrafficReport struct {
	Decisions int            `json:"decisions"`
	Full      int            `json:"full"`    // asked of both policies with their recorded input
	Partial   int            `json:"partial"` // asked without it, as to yes or no
	Same      int            `json:"same"`
	Undecided map[string]int `json:"undecided"` // by why
	Kinds     map[string]int `json:"kinds"`
	Groups    []*Group       `json:"groups"` // the largest first
}

// Group is what has changed in the same way for one set of roles and one tool.
type Group struct {
	Kind     string          `json:"kind"`
	Roles    []string        `json:"roles"`
	Method   string          `json:"method"`
	Server   string          `json:"server"`
	Tool     string          `json:"tool,omitempty"`
	Rules    []string        `json:"rules,omitempty"`   // that held in the new policy
	Reasons  []string        `json:"reasons,omitempty"` // of its refusal
	Count    int             `json:"count"`
	Examples []TrafficChange `json:"examples"`
}

// TrafficChange is one recorded decision that two policies decide in two ways.
type TrafficChange struct {
	Example
	Arguments json.RawMessage `json:"arguments,omitempty"` // where they were recorded
	Was       Verdict         `json:"was"`
	Now       Verdict         `json:"now"`
}

// mostExamples is how many of a group are kept.
const mostExamples = 3

// DiffTraffic asks two policies about every recorded decision.
func DiffTraffic(ctx context.Context, was, now *policy.Generation, log Log, workers int) (*TrafficReport, error) {
	var all []*differ
	err := each(ctx, log, workers, func(int) func(Entry) {
		d := &differ{ctx: ctx, report: newTraffic(), groups: map[string]*Group{}}
		d.was, d.now = asker(ctx, was), asker(ctx, now)
		all = append(all, d)
		return d.take
	})
	total, groups := newTraffic(), map[string]*Group{}
	for _, d := range all {
		total.add(d.report)
		for key, g := range d.groups {
			if into := groups[key]; into != nil {
				into.Count += g.Count
				into.Examples = append(into.Examples, g.Examples...)
			} else {
				groups[key] = g
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		g := groups[key]
		slices.SortFunc(g.Examples, func(a, b TrafficChange) int { return cmp.Compare(a.Seq, b.Seq) })
		g.Examples = g.Examples[:min(len(g.Examples), mostExamples)]
		total.Groups = append(total.Groups, g)
	}
	slices.SortStableFunc(total.Groups, func(a, b *Group) int { return cmp.Compare(b.Count, a.Count) })
	return total, err
}

func newTraffic() *TrafficReport {
	return &TrafficReport{Undecided: map[string]int{}, Kinds: map[string]int{}, Groups: []*Group{}}
}

func (r *TrafficReport) add(o *TrafficReport) {
	r.Decisions += o.Decisions
	r.Full += o.Full
	r.Partial += o.Partial
	r.Same += o.Same
	for why, n := range o.Undecided {
		r.Undecided[why] += n
	}
	for kind, n := range o.Kinds {
		r.Kinds[kind] += n
	}
}

// differ is one worker.
type differ struct {
	ctx      context.Context
	was, now *replayer
	report   *TrafficReport
	groups   map[string]*Group
}

// asker asks a policy, with what it has said of questions that lack a part.
func asker(ctx context.Context, g *policy.Generation) *replayer {
	return &replayer{Replay: Replay{Policy: g}, ctx: ctx, remembered: map[string]policy.Answer{}}
}

func (d *differ) take(entry Entry) {
	r, err := entry()
	if err != nil || !r.decisive() {
		return
	}
	if _, why := r.verdict(); why == missingPolicy {
		return
	}
	d.report.Decisions++
	q, why := r.question()
	if why == "" && r.Missing == MissingNewer {
		why = r.Missing
	}
	if why != "" {
		d.report.Undecided[why]++
		return
	}
	if q.missing != nil {
		d.partly(&r, q)
		return
	}
	d.report.Full++
	was, now := ask(d.ctx, d.was.Policy, q.in), ask(d.ctx, d.now.Policy, q.in)
	d.note(&r, difference(was, now, false), q.in.Arguments, was, now)
}

// partly asks what does not depend on what was not recorded.
func (d *differ) partly(r *Recorded, q question) {
	was, now := d.was.without(q), d.now.without(q)
	if was == policy.Unsure || now == policy.Unsure {
		d.report.Undecided[cmp.Or(r.Missing, MissingInput)+", and "+missingParts]++
		return
	}
	d.report.Partial++
	before, after := Verdict{Allow: was == policy.Allowed}, Verdict{Allow: now == policy.Allowed}
	d.note(r, allowance(before, after), nil, before, after)
}

func (d *differ) note(r *Recorded, kind string, arguments []byte, was, now Verdict) {
	if kind == "" {
		d.report.Same++
		return
	}
	d.report.Kinds[kind]++
	g := &Group{Kind: kind, Roles: slices.Sorted(slices.Values(r.Roles)), Method: r.Method, Server: r.Server, Tool: r.Tool,
		Rules: slices.Sorted(slices.Values(now.Rules)), Reasons: now.Reasons}
	key := strings.Join([]string{kind, strings.Join(g.Roles, "\x01"), r.Method, r.Server, r.Tool, strings.Join(g.Rules, "\x01"), strings.Join(g.Reasons, "\x01")}, "\x00")
	if known := d.groups[key]; known != nil {
		g = known
	} else {
		d.groups[key] = g
	}
	if g.Count++; len(g.Examples) < mostExamples {
		g.Examples = append(g.Examples, TrafficChange{exampleOf(r), arguments, was, now})
	}
}
