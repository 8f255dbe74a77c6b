package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Level says what a finding of a check means.
type Level string

// The levels.
const (
	Error   Level = "error"   // the policy is not installed, or a rule of it cannot do what it says
	Warning Level = "warning" // it decides, perhaps not as is meant
	Note    Level = "note"    // worth knowing
)

// Finding is one thing that a check has to say. Name is stable; docs/policy-check.md has one entry for
// each.
type Finding struct {
	File   string `json:"file,omitempty"` // "" where it is about the directory as a whole
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"` // in bytes, from 1
	Name   string `json:"name"`
	Level  Level  `json:"level"`
	Text   string `json:"text"`             // what is wrong
	Cure   string `json:"cure,omitempty"`   // what to do
	Source string `json:"source,omitempty"` // the line
}

func (f Finding) what() string {
	if f.Cure == "" {
		return printable(f.Text)
	}
	return printable(f.Text + "; " + f.Cure)
}

// printable keeps names that servers have chosen from steering a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// Short is the finding in one line.
func (f Finding) Short() string {
	if f.File == "" {
		return f.what()
	}
	if f.Line == 0 {
		return f.File + ": " + f.what()
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.what())
}

// String is the finding as `file:line: what; what to do`, with the line and a caret below.
func (f Finding) String() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File + ":")
		if f.Line > 0 {
			fmt.Fprintf(&b, "%d:", f.Line)
		}
		b.WriteByte(' ')
	}
	if f.Level != Error {
		b.WriteString(string(f.Level) + ": ")
	}
	b.WriteString(f.what() + " [" + f.Name + "]\n")
	if f.Source == "" {
		return b.String()
	}
	line := strings.TrimLeft(printable(f.Source), " \t")
	b.WriteString("\t" + strings.ReplaceAll(line, "\n", "\n\t") + "\n")
	cut := len(f.Source) - len(line)
	if at := f.Column - 1 - cut; f.Column > 0 && at >= 0 && at <= len(line) && !strings.Contains(line, "\n") {
		b.WriteString("\t" + blank(line[:at]) + "^\n")
	}
	return b.String()
}

// blank is as wide as the text on a screen, tabs included.
func blank(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, text)
}

// byPlace sorts findings by their place and leaves each there once.
func byPlace(found []Finding) []Finding {
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Name, b.Name), cmp.Compare(a.Text, b.Text))
	})
	return slices.CompactFunc(found, func(a, b Finding) bool {
		return a.File == b.File && a.Line == b.Line && a.Name == b.Name && a.Text == b.Text
	})
}
