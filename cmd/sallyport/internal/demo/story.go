package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/gateway/audit"
)

// story tells, and counts what came out otherwise.
type story struct {
	page
	rig    *rig
	wrong  []string
	number int
}

// expect notes a step that did not come out as told.
func (s *story) expect(ok bool, format string, args ...any) {
	if ok {
		return
	}
	text := fmt.Sprintf(format, args...)
	s.wrong = append(s.wrong, text)
	s.field(6, "WRONG", s.c.bold+s.c.red, text)
}

// straight plays a call at the server itself.
func (s *story) straight(ctx context.Context, a *agent, st step) error {
	r, err := a.call(ctx, st.server, st.tool, object(st.arguments))
	if err != nil {
		return err
	}
	s.title(s.c.yellow, "OPEN", st)
	s.answer(st, r)
	s.expect(r.status == 200 && r.rpc == 0 && !r.toolError && strings.Contains(r.text, st.text),
		"expected the server to do it; got HTTP %d: %s", r.status, r.text)
	return nil
}

// through plays a call through the gateway and tells what was decided, by which rule and why.
func (s *story) through(ctx context.Context, a *agent, st step) error {
	began, ran := time.Now(), s.rig.world.runs.Load()
	r, err := a.call(ctx, st.server, st.tool, object(st.arguments))
	if err != nil {
		return err
	}
	rec, found, err := s.rig.journal.decision(ctx, began, st.server, st.tool)
	if err != nil {
		return err
	}
	got := outcome(rec, found)
	colour, mark := s.mark(got)
	s.title(colour, mark, st)
	s.reasons(rec, got)
	s.answer(st, r)
	s.expect(got == st.want, "expected %s; the gateway decided %s", st.want, got)
	ran = s.rig.world.runs.Load() - ran
	s.expect(ran == 1 && got == allowed || ran == 0 && got != allowed, "%d calls reached the server after %s", ran, got)
	s.expect(s.consistent(r, got) && strings.Contains(r.text, st.text),
		"the agent should have been told %q; it got HTTP %d: %s", st.text, r.status, r.text)
	return nil
}

// outcome names what was decided.
func outcome(rec audit.Record, found bool) string {
	switch {
	case !found:
		return "nothing (there is no record)"
	case rec.Phase == audit.PhaseDecision:
		return rec.Decision
	default:
		return rec.Code
	}
}

// consistent reports whether the answer has the form that the contract gives the outcome.
func (s *story) consistent(r reply, got string) bool {
	switch got {
	case allowed:
		return r.status == 200 && r.rpc == 0 && !r.toolError
	case denied, invalid:
		return r.status == 200 && r.rpc == 0 && r.toolError
	case unknown:
		return r.status == 200 && r.rpc == -32602
	default:
		return false
	}
}

// mark is the word for an outcome, and its colour.
func (s *story) mark(got string) (colour, word string) {
	switch got {
	case allowed:
		return s.c.green, "ALLOW"
	case denied:
		return s.c.red, "DENY"
	case unknown:
		return s.c.red, "HIDDEN"
	case invalid:
		return s.c.red, "INVALID"
	default:
		return s.c.red, "REFUSED"
	}
}

// title prints the call.
func (s *story) title(colour, mark string, st step) {
	s.number++
	s.blank()
	_, _ = fmt.Fprintf(s.w, "%3d. %s%-8s%s%s%s.%s%s\n", s.number, s.c.bold+colour, mark, s.c.off, s.c.bold, st.server, st.tool, s.c.off)
	for _, a := range st.arguments {
		s.line(5, "", fmt.Sprintf("%-8s%s", a.name, a.value))
	}
}

// reasons prints who decided, from the record.
func (s *story) reasons(rec audit.Record, got string) {
	why := strings.Join(rec.Reasons, "; ")
	switch {
	case got == unknown && rec.ToolDigest == "": // the server has no such tool
		why = "the server has no tool of this name; one that is hidden is answered the same"
	case got == unknown && len(rec.Rules) == 0:
		why = "no rule could ever allow this to " + strings.Join(rec.Roles, ", ") + "; the tool is hidden"
	case got == invalid:
		why = "the arguments do not fit the tool's schema; allow and deny were not asked"
	}
	if why != "" {
		s.field(5, "why", s.c.yellow, why)
	}
	if rules := s.deciding(rec.Rules); len(rules) > 0 {
		s.field(5, "rule", "", strings.Join(rules, ", "))
	}
	if rec.Phase == audit.PhaseDecision {
		s.field(5, "record", s.c.dim, rec.ID+", on disk before the call")
	} else {
		s.field(5, "record", s.c.dim, rec.ID)
	}
}

// deciding keeps, of the rules that held, those that say allow or deny; the others helped.
func (s *story) deciding(rules []string) []string {
	var list []string
	for _, rule := range rules {
		if head := s.rig.head(rule); head == "allow" || head == "deny" {
			list = append(list, rule+" ("+head+")")
		}
	}
	slices.Sort(list)
	return list
}

// answer prints what the agent was told.
func (s *story) answer(st step, r reply) {
	if st.quote {
		s.quote(13, r.text)
		return
	}
	first, _, _ := strings.Cut(r.text, "\n")
	s.field(5, "answer", s.c.dim, first)
}
