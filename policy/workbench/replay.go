package workbench

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport/policy"
)

// Replay decides recorded decisions again. Policy is needed; the zero values of the others are good.
type Replay struct {
	Policy   *policy.Generation
	Workers  int // default: one for each core
	Examples int // differences kept of each kind; default 20
}

// What a difference can be told to be.
const (
	CauseChange  = "change"           // another policy decides otherwise
	CauseRecord  = "record"           // the record contradicts itself
	CauseEngine  = "engine"           // the same question to the same policy had another answer
	CauseMachine = "machine"          // the policy asks a function whose answer depends on the machine
	CauseUnsure  = "record or engine" // it cannot be told which
)

// Kinds of differences.
const (
	NewlyAllowed = "newly_allowed"
	NewlyRefused = "newly_refused"
	Obligations  = "obligations"
	Reasons      = "reasons"
	Rules        = "rules"
	Contradicts  = "contradicts"
)

// Difference is one decision that came out otherwise than it is recorded.
type Difference struct {
	Example
	Kind     string  `json:"kind"`
	Cause    string  `json:"cause"`
	Why      string  `json:"why,omitempty"`
	Recorded Verdict `json:"recorded"`
	Now      Verdict `json:"now"`
}

// ReplayReport says what a replay has found.
type ReplayReport struct {
	Revision    string         `json:"revision"`    // of the policy that was asked
	Records     int            `json:"records"`     // read
	Others      int            `json:"others"`      // acts and refusals that no policy decided
	Decisions   int            `json:"decisions"`   // of a policy, among them
	Full        int            `json:"full"`        // decided again with their recorded input
	Partial     int            `json:"partial"`     // decided again without it, as to yes or no
	Same        int            `json:"same"`        // came out as recorded
	Revisions   map[string]int `json:"revisions"`   // decisions by the policy that made them
	Undecided   map[string]int `json:"undecided"`   // decisions that could not be decided again, by why
	Kinds       map[string]int `json:"kinds"`       // differences by kind
	Causes      map[string]int `json:"causes"`      // differences by cause
	Unproved    int            `json:"unproved"`    // decisions whose arguments are not, byte for byte, those of the digest
	Differences []Difference   `json:"differences"` // examples, the oldest first
}

// Differ is how many decisions came out otherwise.
func (r *ReplayReport) Differ() (n int) {
	for _, of := range r.Kinds {
		n += of
	}
	return n
}

// Run decides every decision of the log again. An error is one of reading the log.
func (p Replay) Run(ctx context.Context, log Log) (*ReplayReport, error) {
	if p.Examples == 0 {
		p.Examples = 20
	}
	var workers []*replayer
	err := each(ctx, log, p.Workers, func(int) func(Entry) {
		w := &replayer{Replay: p, ctx: ctx, report: newReplayReport(p.Policy), remembered: map[string]policy.Answer{}}
		workers = append(workers, w)
		return w.take
	})
	total := newReplayReport(p.Policy)
	for _, w := range workers {
		total.add(w.report)
	}
	slices.SortFunc(total.Differences, func(a, b Difference) int { return cmp.Compare(a.Seq, b.Seq) })
	kept := map[string]int{}
	total.Differences = slices.DeleteFunc(total.Differences, func(d Difference) bool {
		kept[d.Kind+d.Cause]++
		return kept[d.Kind+d.Cause] > p.Examples
	})
	return total, err
}

func newReplayReport(g *policy.Generation) *ReplayReport {
	return &ReplayReport{Revision: g.Revision(), Revisions: map[string]int{}, Undecided: map[string]int{}, Kinds: map[string]int{},
		Causes: map[string]int{}, Differences: []Difference{}}
}

func (r *ReplayReport) add(o *ReplayReport) {
	r.Records += o.Records
	r.Others += o.Others
	r.Decisions += o.Decisions
	r.Full += o.Full
	r.Partial += o.Partial
	r.Same += o.Same
	r.Unproved += o.Unproved
	for _, of := range []struct{ to, from map[string]int }{{r.Revisions, o.Revisions}, {r.Undecided, o.Undecided}, {r.Kinds, o.Kinds}, {r.Causes, o.Causes}} {
		for name, n := range of.from {
			of.to[name] += n
		}
	}
	r.Differences = append(r.Differences, o.Differences...)
}

// replayer is one worker of a replay.
type replayer struct {
	Replay
	ctx        context.Context
	report     *ReplayReport
	kept       map[string]int
	remembered map[string]policy.Answer // answers to questions of which parts are missing
}

// decisive reports whether a record is of something decided: what comes of it is another record.
func (r *Recorded) decisive() bool {
	return r.PolicyAllow != nil || r.Phase == "decision" || r.Phase == "refusal" || r.Missing == MissingNewer
}

func (w *replayer) take(entry Entry) {
	w.report.Records++
	r, err := entry()
	if err != nil {
		w.report.Decisions++
		w.report.Undecided["it cannot be read"]++
		return
	}
	if !r.decisive() {
		return
	}
	recorded, why := r.verdict()
	if why == missingPolicy {
		w.report.Others++
		return
	}
	w.report.Decisions++
	if r.Revision != "" {
		w.report.Revisions[r.Revision]++
	}
	if why == "" {
		why = w.decide(&r, recorded)
	}
	if why != "" {
		w.report.Undecided[why]++
	}
}

// decide decides one again; why says what it could not.
func (w *replayer) decide(r *Recorded, recorded Verdict) (why string) {
	q, why := r.question()
	if why != "" {
		return why
	}
	if q.missing != nil {
		return w.decideWithout(r, q, recorded)
	}
	w.report.Full++
	if r.Contradicted {
		w.report.Unproved++
	}
	now := ask(w.ctx, w.Policy, q.in)
	same := r.Revision == w.Policy.Revision()
	if contradiction := r.disagrees(q.in); contradiction != "" {
		w.differ(r, Contradicts, CauseRecord, contradiction, recorded, now)
		return ""
	}
	kind := difference(recorded, now, same)
	if kind == "" {
		w.report.Same++
		return ""
	}
	cause, why := CauseChange, ""
	if same {
		cause, why = w.cause(r)
	}
	w.differ(r, kind, cause, why, recorded, now)
	return ""
}

// cause says why the policy that made a decision does not make it again.
func (w *replayer) cause(r *Recorded) (cause, why string) {
	switch impure := w.Policy.Impure(); {
	case r.Contradicted:
		return CauseRecord, "the recorded arguments are not those of arguments_digest"
	case impure != "" && !strings.HasPrefix(impure, "time."): // the clock is the recorded one
		return CauseMachine, "the policy calls " + impure + ", whose answer depends on the machine"
	case r.Proved:
		return CauseEngine, "the arguments are those that were sent, by their digest"
	}
	return CauseUnsure, "without the key of digests the recorded arguments may be others than were sent"
}

// decideWithout decides as to yes or no, where that does not depend on what was not recorded.
func (w *replayer) decideWithout(r *Recorded, q question, recorded Verdict) (why string) {
	why = cmp.Or(r.Missing, MissingInput)
	if recorded.Failed != "" {
		return why
	}
	answer := w.without(q)
	if answer == policy.Unsure {
		return why + ", and " + missingParts
	}
	w.report.Partial++
	now := Verdict{Allow: answer == policy.Allowed}
	kind := allowance(recorded, now)
	if kind == "" {
		w.report.Same++
		return ""
	}
	if r.Revision == w.Policy.Revision() {
		w.differ(r, kind, CauseUnsure, "its input was not recorded; what is recorded leads to the other answer", recorded, now)
	} else {
		w.differ(r, kind, CauseChange, "", recorded, now)
	}
	return ""
}

// without asks once for all records that are alike but for their id: the id is read by no sensible
// rule, so it is unknown here as well.
func (w *replayer) without(q question) policy.Answer {
	missing := append(q.missing, "input.request.id")
	in := *q.in
	in.Request.ID = ""
	key := fmt.Sprintf("%q %q %q %q %q %q %q %q %q %q", in.Action, in.Server, in.Flow, in.Subject.ID, in.Subject.Client, in.Subject.Roles, in.Grant.ID, in.Grant.Task, in.Arguments, missing)
	if in.Tool != nil {
		key += fmt.Sprintf(" %q %q", in.Tool.Name, in.Tool.Digest)
	}
	if answer, ok := w.remembered[key]; ok {
		return answer
	}
	answer, err := w.Policy.AskWithout(w.ctx, &in, missing)
	if err != nil {
		answer = policy.Unsure
	}
	if len(w.remembered) > 10_000 {
		clear(w.remembered)
	}
	w.remembered[key] = answer
	return answer
}

func (w *replayer) differ(r *Recorded, kind, cause, why string, recorded, now Verdict) {
	w.report.Kinds[kind]++
	w.report.Causes[cause]++
	if w.kept == nil {
		w.kept = map[string]int{}
	}
	if w.kept[kind+cause]++; w.kept[kind+cause] <= w.Examples {
		w.report.Differences = append(w.report.Differences, Difference{exampleOf(r), kind, cause, why, recorded, now})
	}
}

// ask is what a policy says of a question whose parts are all there.
func ask(ctx context.Context, g *policy.Generation, in *policy.Input) Verdict {
	d, err := g.Ask(ctx, in)
	if err != nil {
		return Verdict{Failed: err.Error()}
	}
	v := Verdict{Allow: d.Allow, Reasons: d.Reasons, Rules: d.Rules}
	if !d.Allow && len(d.Reasons) == 0 {
		v.Reasons = []string{noRule}
	}
	for _, o := range d.Obligations {
		v.Obligations = append(v.Obligations, o.Raw)
	}
	return v
}

func allowance(was, now Verdict) string {
	switch {
	case now.Allow && !was.Allow:
		return NewlyAllowed
	case was.Allow && !now.Allow:
		return NewlyRefused
	}
	return ""
}

// difference is the kind of the first difference between two verdicts, or empty. Rules count only
// under one policy: of two they differ by their names.
func difference(was, now Verdict, same bool) string {
	switch kind := allowance(was, now); {
	case kind != "":
		return kind
	case was.Allow && !maps.Equal(canonical(was.Obligations), canonical(now.Obligations)):
		return Obligations
	case (was.Failed != "") != (now.Failed != "") || !was.Allow && !equalSets(was.Reasons, now.Reasons):
		return Reasons
	case same && was.Failed == "" && !equalSets(was.Rules, now.Rules):
		return Rules
	}
	return ""
}

func equalSets(a, b []string) bool {
	set := func(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
	return slices.Equal(set(a), set(b))
}
