package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	File string `json:"file,omitempty"` // the configuration file; empty where the environment is at fault
	Line int    `json:"line,omitempty"` // from 1; 0: the file as a whole
	Key  string `json:"key,omitempty"`  // dotted path, or the environment variable
	What string `json:"what"`           // what is wrong and what to do; never a secret
}

func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.What)
	return b.String()
}

// Problems is everything that is wrong with a configuration, by line. As an error it says each
// on a line of its own.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// place is where a value comes from.
type place struct {
	line     int    // in the file
	variable string // of the environment; wins
}

// problems collects what is wrong.
type problems struct {
	file string
	at   map[string]place
	list Problems
	bad  map[string]bool // keys that need not be looked at again

	unread bool // the file could not be read as a whole, so what is missing in it says nothing
}

func newProblems(file string) *problems {
	return &problems{file: file, at: map[string]place{}, bad: map[string]bool{}}
}

// line reports what is wrong at a line of the file.
func (p *problems) line(line int, key, format string, args ...any) {
	p.bad[key] = true
	p.list = append(p.list, Problem{File: p.file, Line: line, Key: key, What: fmt.Sprintf(format, args...)})
}

// key reports what is wrong with a value, wherever that comes from.
func (p *problems) key(key, format string, args ...any) {
	if p.bad[key] {
		return
	}
	p.bad[key] = true
	where := p.at[key]
	if where.variable != "" {
		p.list = append(p.list, Problem{Key: where.variable, What: fmt.Sprintf(format, args...)})
		return
	}
	line, parent := where.line, key
	for line == 0 && strings.Contains(parent, ".") { // a key that is missing: where it should stand
		parent = parent[:strings.LastIndexByte(parent, '.')]
		line = p.at[parent].line
		if name := p.at[parent].variable; name != "" { // an entry of a list
			entry, _ := strconv.Atoi(key[len(parent)+1:]) // digits: no variable is of anything else that has parts
			p.list = append(p.list, Problem{Key: name, What: fmt.Sprintf("entry %d: ", entry+1) + fmt.Sprintf(format, args...)})
			return
		}
	}
	p.line(line, key, format, args...)
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key))
	})
	return p.list
}

// nearest returns the candidate that was probably meant, or "".
func nearest(name string, candidates []string) string {
	best, least := "", max(2, len(name)/3)+1
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with the next.
func distance(a, b string) int {
	before, prev := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(prev[j+1]+1, row[j]+1, prev[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, prev = prev, row
	}
	return prev[len(b)]
}
