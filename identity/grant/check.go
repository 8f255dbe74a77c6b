package grant

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/strictjson"
)

// Bounds of one grant. They keep what every request reads small, whoever asked for it.
const (
	maxPatterns    = 64 // of tools, and of budgets
	maxConstraints = 64
	maxNames       = 64 // roles, and actors
	maxText        = 1024
	maxJSON        = 64 << 10
	maxCount       = 1 << 53 // more is not the same number to every reader of JSON
)

var (
	lower  = base32.StdEncoding.WithPadding(base32.NoPadding)
	idForm = regexp.MustCompile(`^gr_[a-z2-7]{26}$`)
	rule   = regexp.MustCompile(`^data(\.[A-Za-z_][A-Za-z0-9_]*)+$`)
)

// NewID returns an identifier for a new grant: "gr_" and 26 random characters, 128 bits.
func NewID() string {
	b := make([]byte, 16)
	rand.Read(b) //nolint:errcheck // it never fails: crypto/rand ends the process instead
	return "gr_" + strings.ToLower(lower.EncodeToString(b))
}

// check returns the rules of g, or what makes it impossible on its own, whatever its parent.
func check(g *Grant, now time.Time) (rules, error) {
	if !idForm.MatchString(g.ID) {
		return rules{}, invalid("id", "not the identifier of a grant; leave it out to have one made")
	}
	if g.Subject == "" {
		return rules{}, invalid("subject", "a grant needs a subject: whose it is")
	}
	for _, err := range []error{checkTexts(g), checkNames("roles", g.Roles), checkNames("actors", g.Actors), checkTimes(g, now)} {
		if err != nil {
			return rules{}, err
		}
	}
	own, err := compile(g)
	if err != nil {
		return rules{}, err
	}
	return own, checkSize(g)
}

func checkTexts(g *Grant) error {
	for _, f := range []struct{ name, value string }{
		{"task", g.Task}, {"subject", g.Subject}, {"issuer", g.Issuer}, {"client_id", g.ClientID},
		{"jkt", g.JKT}, {"x5t", g.X5T}, {"measured", g.Measured},
		{"approved_by", g.ApprovedBy}, {"reason", g.Reason}, {"via", g.Via},
	} {
		if err := checkText(f.name, f.value); err != nil {
			return err
		}
	}
	return nil
}

func checkText(field, s string) error {
	switch {
	case len(s) > maxText:
		return invalid(field, "%d bytes; at most %d", len(s), maxText)
	case !utf8.ValidString(s):
		return invalid(field, "not valid UTF-8")
	case strings.ContainsFunc(s, unprintable):
		return invalid(field, "%.80q has control characters; leave them out", s)
	}
	return nil
}

// unprintable tells what would let a text change how the lines around it look on a terminal.
func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
}

func checkNames(field string, names []string) error {
	if len(names) > maxNames {
		return invalid(field, "%d names; at most %d", len(names), maxNames)
	}
	for i, n := range names {
		if n == "" {
			return invalid(field, "an empty name")
		}
		if slices.Contains(names[:i], n) {
			return invalid(field, "%.80q is there twice", n)
		}
		if err := checkText(field, n); err != nil {
			return err
		}
	}
	return nil
}

func checkTimes(g *Grant, now time.Time) error {
	switch {
	case g.Expires.IsZero():
		return invalid("expires", "a grant needs an end")
	case !g.Expires.After(now):
		return invalid("expires", "%s is not in the future; now it is %s", stamp(g.Expires), stamp(now))
	case !g.NotBefore.IsZero() && !g.NotBefore.Before(g.Expires):
		return invalid("not_before", "%s is not before the end, %s", stamp(g.NotBefore), stamp(g.Expires))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func checkSize(g *Grant) error {
	b, err := json.Marshal(g)
	if err != nil {
		return invalid("args", "cannot be written as JSON")
	}
	n := len(b)
	for _, c := range g.Args {
		n = max(n, len(c.Schema)) // white space is not marshalled, but kept
	}
	if n > maxJSON {
		return invalid("", "a grant of %d bytes as JSON; at most %d", n, maxJSON)
	}
	return nil
}

// rules is what a grant says of tools, ready to be asked.
type rules struct {
	tools   []Pattern
	args    []narrowed
	budgets []budget
}

type narrowed struct {
	tools Pattern
	by    Constraint
}

type budget struct {
	tools Pattern
	calls int64
}

// compile reads the patterns of g. Its error says what is wrong with one.
func compile(g *Grant) (rules, error) {
	var r rules
	if g.MaxCalls < 0 || g.MaxCalls > maxCount {
		return rules{}, invalid("max_calls", "%d; write a number from 1, or leave it out for no bound", g.MaxCalls)
	}
	switch {
	case len(g.Tools) > maxPatterns:
		return rules{}, invalid("tools", "%d patterns; at most %d", len(g.Tools), maxPatterns)
	case len(g.Budgets) > maxPatterns:
		return rules{}, invalid("budgets", "%d patterns; at most %d", len(g.Budgets), maxPatterns)
	case len(g.Args) > maxConstraints:
		return rules{}, invalid("args", "%d constraints; at most %d", len(g.Args), maxConstraints)
	}
	for _, s := range g.Tools {
		p, err := ParsePattern(s)
		if err != nil {
			return rules{}, invalid("tools", "%w", err)
		}
		r.tools = append(r.tools, p)
	}
	for _, c := range g.Args {
		p, err := checkConstraint(c)
		if err != nil {
			return rules{}, err
		}
		r.args = append(r.args, narrowed{p, c})
	}
	for _, b := range g.Budgets {
		p, err := ParsePattern(b.Tools)
		if err != nil {
			return rules{}, invalid("budgets", "%w", err)
		}
		if b.Calls < 1 || b.Calls > maxCount {
			return rules{}, invalid("budgets", "%d calls of %s; write a number from 1", b.Calls, p)
		}
		r.budgets = append(r.budgets, budget{p, b.Calls})
	}
	return r, nil
}

func checkConstraint(c Constraint) (Pattern, error) {
	p, err := ParsePattern(c.Tools)
	if err != nil {
		return Pattern{}, invalid("args", "%w", err)
	}
	switch {
	case (len(c.Schema) == 0) == (c.Rego == ""):
		return Pattern{}, invalid("args", "the constraint of %s needs one of schema and rego", p)
	case c.Rego != "" && (len(c.Rego) > maxPattern || !rule.MatchString(c.Rego)):
		return Pattern{}, invalid("args", "the constraint of %s names no rule; write its whole name, such as data.mcp.constraints.only_docs", p)
	case c.Rego != "":
		return p, nil
	}
	if err := strictjson.Check(c.Schema, strictjson.Limits{}); err != nil {
		return Pattern{}, invalid("args", "the schema of %s: %w", p, err)
	}
	if _, err := strictjson.Object(c.Schema); err != nil {
		return Pattern{}, invalid("args", "the schema of %s is not an object", p)
	}
	return p, nil
}

// narrower reports what g would have beyond its parent. That it finds nothing proves nothing:
// every level of a chain is enforced, this only refuses what could never be meant. r.mu is held.
func narrower(g *Grant, own rules, parent *Live) error {
	p := parent.Grant()
	switch {
	case p.Depth >= MaxDepth:
		return invalid("parent", "%s is at depth %d, the last; ask its parent for a grant instead", p.ID, p.Depth)
	case parent.root.tree >= MaxTree:
		return invalid("parent", "the tree of %s has %d grants, the most there can be; use one again, or ask for a new root", p.Root, MaxTree)
	case g.Subject != p.Subject:
		return invalid("subject", "a child is for the subject of its parent, %q", p.Subject)
	case g.Expires.After(parent.until):
		return invalid("expires", "%s is after the end of the parent, %s; ask for less time", stamp(g.Expires), stamp(parent.until))
	case p.MaxCalls > 0 && g.MaxCalls > p.MaxCalls:
		return invalid("max_calls", "%d is more than the parent's %d", g.MaxCalls, p.MaxCalls)
	case p.JKT+p.X5T != "" && g.JKT+g.X5T == "":
		return invalid("jkt", "the parent is bound to a key, so its child must be bound to one, too")
	}
	for _, role := range g.Roles {
		if !slices.Contains(p.Roles, role) {
			return invalid("roles", "%.80q is not a role of the parent, which has %s", role, orNone(p.Roles))
		}
	}
	if len(parent.rules.tools) == 0 {
		return nil
	}
	for _, t := range own.tools {
		if !slices.ContainsFunc(parent.rules.tools, func(p Pattern) bool { return p.Covers(t) }) {
			return invalid("tools", "%s is wider than the parent's %s", t, strings.Join(p.Tools, ", "))
		}
	}
	return nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
