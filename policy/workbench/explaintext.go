package workbench

import (
	"fmt"
	"io"
	"strings"

	"sallyport/policy"
)

var verdicts = map[bool]string{true: "allowed", false: "refused"}

func suffix(reasons []string) string {
	if len(reasons) == 0 {
		return ""
	}
	return ", " + strings.Join(reasons, "; ")
}

// How many rules that nearly held are shown, and ways to be allowed.
const (
	mostNear = 5
	mostWays = 20
)

// Text writes an explanation for a person.
func (x *Explanation) Text(w io.Writer) error {
	p := &printer{w: w}
	switch {
	case x.Allow:
		p.line("allowed by the policy (%s)", x.Revision)
	case x.Error != "":
		p.line("refused: %s (%s)", x.Error, x.Revision)
	case len(x.Reasons) > 0:
		p.line("refused: %s (%s)", strings.Join(x.Reasons, "; "), x.Revision)
	default:
		p.line("refused: no rule allows it (%s)", x.Revision)
	}
	for _, o := range x.Obligations {
		if x.Allow {
			p.line("with the obligation %s", o)
		}
	}
	if a := x.Advisory; a != nil {
		p.line("with the rules that are not enforced it would be %s%s (%s)", verdicts[a.Allow], suffix(a.Reasons), strings.Join(a.Rules, ", "))
	}
	if len(x.Held) > 0 {
		p.line("\nrules that held:")
	}
	for _, a := range x.Held {
		p.line("  %s: %s%s", where(a), head(a), named(a))
	}
	if !x.Allow {
		x.near(p)
		x.Could.text(p)
	}
	return p.err
}

func (x *Explanation) near(p *printer) {
	if len(x.Near) > 0 {
		p.line("\nrules of `allow` that did not hold, the nearest first:")
	}
	for i, a := range x.Near {
		if i == mostNear {
			p.line("  and %d more", len(x.Near)-mostNear)
			break
		}
		p.line("  %s: %s%s: %d of %d conditions held", where(a), head(a), named(a), a.Passed, a.Of)
		indent := "    "
		for f := a.Failed; f != nil; f = f.Inner {
			in := ""
			if f.Rule != "" {
				in = "in " + f.Rule + ", "
			}
			p.line("%s%s%s:%d: %s", indent, in, f.File, f.Line, f.Source)
			for _, s := range f.Saw {
				if s.Value == nil {
					p.line("%s  %s is not given", indent, s.Name)
				} else {
					p.line("%s  %s = %s", indent, s.Name, s.Value)
				}
			}
			indent += "  "
		}
	}
	if x.Others > 0 {
		p.line("  rules of `allow` that are about something else: %d", x.Others)
	}
}

// Text writes for a person what could be allowed.
func (c *Could) Text(w io.Writer) error {
	p := &printer{w: w}
	c.ways(p, "  - refused whatever is asked")
	return p.err
}

func (c *Could) text(p *printer) {
	if c == nil {
		return
	}
	if !c.Hidden {
		p.line("\narguments that would be allowed:")
	}
	c.ways(p, "\nhidden: no arguments would be allowed")
}

func (c *Could) ways(p *printer, none string) {
	if c.Hidden {
		p.line("%s", none)
		return
	}
	for i, w := range c.Ways {
		if i == mostWays {
			p.line("  and %d more ways; -o json has them all", len(c.Ways)-mostWays)
			break
		}
		if i > 0 {
			p.line("  or")
		}
		w.text(p)
	}
	if len(c.Fallible) > 0 {
		p.line("  An error refuses too. What may end in one, as a function that is given another type:")
		for _, f := range c.Fallible {
			p.line("    %s", f)
		}
	}
}

func (w Way) text(p *printer) {
	if len(w.When) == 0 {
		p.line("  - any")
	}
	for _, c := range w.When {
		p.line("  - %s", c)
	}
	for _, u := range w.Unless {
		if len(u.When) == 0 {
			p.line("    unless refused: %s", u.Reason)
			continue
		}
		p.line("    unless %s: %s", strings.Join(u.When, ", and "), u.Reason)
	}
}

func where(a policy.Asked) string { return fmt.Sprintf("%s:%d", a.File, a.Line) }

// head is a rule's first line without the brace that opens its body.
func head(a policy.Asked) string { return strings.TrimSuffix(a.Source, " if {") }

// named is a rule's own name.
func named(a policy.Asked) string {
	if a.Label == where(a) {
		return ""
	}
	return " (" + a.Label + ")"
}

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, strings.Map(shown, fmt.Sprintf(format, args...))+"\n")
	}
}

// shown keeps names that servers and callers have chosen from steering a terminal.
func shown(r rune) rune {
	if r == '\n' || r == '\t' {
		return r
	}
	return oneLine(r)
}
