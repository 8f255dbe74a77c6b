package workbench

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Text writes the report for a terminal.
func (d *DiffReport) Text(w io.Writer) error { return d.write(w, &diffText{}) }

// Markdown writes the report for a pull request.
func (d *DiffReport) Markdown(w io.Writer) error { return d.write(w, &diffText{markdown: true}) }

// diffText writes lines, for a terminal or as Markdown.
type diffText struct {
	b        strings.Builder
	markdown bool
}

func (t *diffText) title(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if t.markdown {
		fmt.Fprintf(&t.b, "\n### %s\n\n", text)
	} else {
		fmt.Fprintf(&t.b, "\n%s\n", text)
	}
}

// line is an item; deep ones stand below the one before.
func (t *diffText) line(deep int, format string, args ...any) {
	text := strings.Map(oneLine, fmt.Sprintf(format, args...))
	if t.markdown {
		fmt.Fprintf(&t.b, "%s- %s\n", strings.Repeat("  ", deep), inMarkdown.Replace(text))
	} else {
		fmt.Fprintf(&t.b, "%s%s\n", strings.Repeat("  ", deep+1), text)
	}
}

var inMarkdown = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "<", "&lt;", ">", "&gt;", "[", `\[`, "]", `\]`, "|", `\|`, "#", `\#`, "!", `\!`)

// Words of changes, in the order in which they are shown.
var changeWords = []struct{ change, title, scope string }{
	{NewlyAllowed, "newly allowed", ""},
	{Wider, "wider: all that was allowed is, and perhaps more", "what was allowed is, and perhaps more"},
	{Unclear, "cannot tell: whether anything is newly allowed does not show from the conditions", "it cannot be told whether anything is newly allowed"},
	{NewlyRefused, "newly refused", ""},
	{Narrower, "narrower: nothing is allowed that was not", "nothing is newly allowed"},
	{Obligations, "changed obligations", ""},
	{Reasons, "other reasons", ""},
	{"same", "", "nothing has changed"},
}

func (d *DiffReport) write(w io.Writer, t *diffText) error {
	fmt.Fprintf(&t.b, "%s to %s\n", d.Old, d.New)
	t.title("What policies decide")
	for _, c := range changeWords {
		var names []string
		for _, s := range d.Scopes {
			if s.Change == c.change {
				names = append(names, s.Name)
			}
		}
		if len(names) > 0 {
			t.line(0, "%s: %s", strings.Join(names, ", "), c.scope)
		}
	}
	if d.Old != d.New {
		d.cells(t)
	}
	if d.Traffic != nil {
		d.Traffic.text(t)
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

func (d *DiffReport) cells(t *diffText) {
	t.title("Roles and tools: %d of %d differ", len(d.Cells), len(d.Roles)*len(d.Tools))
	for _, word := range changeWords {
		first := true
		for _, c := range d.Cells {
			if c.Change != word.change {
				continue
			}
			if first {
				t.line(0, "%s", word.title)
				first = false
			}
			t.line(1, "%s: %s (%s, was %s)", c.Role, Tool{Server: c.Server, Name: c.Tool}, c.Now, c.Was)
			side(t, "was", c.WasLines)
			side(t, "now", c.NowLines)
		}
	}
}

func side(t *diffText, name string, lines []string) {
	for _, l := range lines {
		t.line(2, "%s: %s", name, l)
	}
}

func (r *TrafficReport) text(t *diffText) {
	t.title("Recorded decisions: %d of %d differ", total(r.Kinds), r.Decisions)
	if r.Partial > 0 {
		t.line(0, "of %d the input was not recorded, and only whether they are allowed was decided", r.Partial)
	}
	for _, why := range ByCount(r.Undecided) {
		t.line(0, "%d not decided: %s", r.Undecided[why], why)
	}
	for _, word := range changeWords {
		if r.Kinds[word.change] > 0 {
			t.line(0, "%d %s", r.Kinds[word.change], word.title)
		}
		for _, g := range r.Groups {
			if g.Kind == word.change {
				g.text(t)
			}
		}
	}
}

func (g *Group) text(t *diffText) {
	name := g.Server
	if g.Tool != "" {
		name += "." + g.Tool
	}
	because := ""
	if len(g.Reasons) > 0 {
		because = ": " + strings.Join(g.Reasons, "; ")
	} else if len(g.Rules) > 0 {
		because = " by " + strings.Join(g.Rules, ", ")
	}
	t.line(1, "%d of %s %s by %s%s", g.Count, g.Method, name, strings.Join(g.Roles, " and "), because)
	for _, e := range g.Examples {
		arguments := ""
		if len(e.Arguments) > 0 {
			arguments = " " + short(string(e.Arguments), 200)
		}
		t.line(2, "%s %s%s", e.ID, e.Time.UTC().Format(time.RFC3339), arguments)
	}
}

func short(s string, most int) string {
	runes := []rune(s)
	if len(runes) <= most {
		return s
	}
	return string(runes[:most]) + "…"
}

func total(counts map[string]int) (n int) {
	for _, of := range counts {
		n += of
	}
	return n
}
