package policy

import (
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
)

// Coverage says which lines of the policies their tests have made true. A line counts where an
// expression of it has been evaluated, or a rule of it has held; what a list asks does not count,
// since it leaves what a call brings open.
type Coverage struct {
	Lines   int            `json:"lines"`
	Covered int            `json:"covered"`
	Files   []FileCoverage `json:"files"` // of policies; tests are none
}

// FileCoverage is Coverage of one file.
type FileCoverage struct {
	File       string      `json:"file"`
	Lines      int         `json:"lines"`
	Covered    int         `json:"covered"`
	NotCovered []LineRange `json:"not_covered"`
}

// LineRange is one line or several in a row.
type LineRange struct {
	First int `json:"first"`
	Last  int `json:"last"`
}

// Percent is how much is covered, from 0 to 100. Where there is nothing to cover it is 100.
func (c *Coverage) Percent() float64 { return percent(c.Covered, c.Lines) }

// Percent is how much of the file is covered.
func (c *FileCoverage) Percent() float64 { return percent(c.Covered, c.Lines) }

func percent(part, whole int) float64 {
	if whole == 0 {
		return 100
	}
	return 100 * float64(part) / float64(whole)
}

func coverageOf(lines *cover.Cover, modules map[string]*ast.Module) *Coverage {
	report := lines.Report(modules)
	c := &Coverage{Files: []FileCoverage{}}
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		f := FileCoverage{File: name, NotCovered: []LineRange{}}
		missing := map[int]bool{}
		for _, r := range report.Files[name].NotCovered {
			missing[r.Start.Row] = true
		}
		covered := map[int]bool{}
		for _, r := range report.Files[name].Covered {
			if !missing[r.Start.Row] { // half a line is none
				covered[r.Start.Row] = true
			}
		}
		f.Covered, f.Lines = len(covered), len(covered)+len(missing)
		for _, row := range slices.Sorted(maps.Keys(missing)) {
			if n := len(f.NotCovered); n > 0 && f.NotCovered[n-1].Last == row-1 {
				f.NotCovered[n-1].Last = row
				continue
			}
			f.NotCovered = append(f.NotCovered, LineRange{row, row})
		}
		c.Files = append(c.Files, f)
		c.Lines, c.Covered = c.Lines+f.Lines, c.Covered+f.Covered
	}
	return c
}
