package workbench

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// join says that all of several conditions hold.
func join(when []string) string { return strings.Join(when, ", and ") }

// lines say a way to be allowed, and then what refuses it.
func (w Way) lines() []string {
	out := []string{join(w.When)}
	if len(w.When) == 0 {
		out[0] = "whatever is asked"
	}
	for _, u := range w.Unless {
		out = append(out, strings.TrimSuffix("unless "+join(u.When), "unless ")+": refused, "+u.Reason)
	}
	return out
}

// Text writes the matrix as a table, and below it the conditions by number.
func (m *Matrix) Text(w io.Writer) error {
	texts, number := m.conditions()
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	p := &printer{w: t}
	p.line("TOOL\t%s", strings.Join(m.Roles, "\t"))
	for i, tool := range m.Tools {
		row := tool
		for j := range m.Roles {
			c := m.Cell(i, j)
			row += "\t" + string(c.Access)
			if n := number[c]; n > 0 {
				row += " [" + strconv.Itoa(n) + "]"
			}
		}
		p.line("%s", row)
	}
	if p.err == nil {
		p.err = t.Flush()
	}
	p.w = w
	for i, lines := range texts {
		p.line("\n[%d] %s", i+1, strings.Join(lines, "\n    "))
	}
	return p.err
}

// CSV writes one line for each role and tool.
func (m *Matrix) CSV(w io.Writer) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"role", "server", "tool", "access", "conditions"}}
	for i := range m.Cells {
		c := &m.Cells[i]
		rows = append(rows, []string{plainCell(c.Role), plainCell(c.Server), plainCell(c.Tool), string(c.Access), plainCell(strings.Join(c.lines(), "\n"))})
	}
	return out.WriteAll(rows)
}

// plainCell keeps a spreadsheet from taking a name for a formula.
func plainCell(s string) string {
	s = strings.Map(shown, s)
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// Markdown writes the matrix as a table, and below it the conditions by number.
func (m *Matrix) Markdown(w io.Writer) error {
	texts, number := m.conditions()
	p := &printer{w: w}
	p.line("| tool | %s |", strings.Join(escaped(m.Roles), " | "))
	p.line("|---|%s", strings.Repeat("---|", len(m.Roles)))
	for i, tool := range m.Tools {
		row := "| " + escape(tool)
		for j := range m.Roles {
			c := m.Cell(i, j)
			row += " | " + string(c.Access)
			if n := number[c]; n > 0 {
				row += " [" + strconv.Itoa(n) + "]"
			}
		}
		p.line("%s |", row)
	}
	for i, lines := range texts {
		p.line("\n%d. %s", i+1, strings.Join(escaped(lines), "<br>\n   "))
	}
	return p.err
}

// escape keeps a name from being read as Markdown.
func escape(s string) string {
	return strings.NewReplacer("\\", "\\\\", "|", "\\|", "`", "\\`", "*", "\\*", "_", "\\_", "<", "&lt;", "[", "\\[", "\n", " ").Replace(s)
}

func escaped(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = escape(s)
	}
	return out
}
