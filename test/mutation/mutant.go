package mutation

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Mutant is a policy with one change.
type Mutant struct {
	ID   string // file, rule and its number among those of its name, what was done, and to what; one in a policy
	File string
	Line int // of the change in the file; 0 in data
	Text []byte
}

// Mutants returns every mutant of a policy directory's files, by a fixed order. Tests are not
// changed. The error says which file cannot be read.
func Mutants(files map[string][]byte) ([]Mutant, error) {
	var all []Mutant
	for _, name := range slices.Sorted(maps.Keys(files)) {
		var found []Mutant
		var err error
		switch {
		case isTest(name):
			continue
		case path.Ext(name) == ".rego":
			found, err = ofRego(name, files[name])
		case path.Ext(name) == ".json":
			found, err = ofData(name, files[name])
		}
		if err != nil {
			return nil, fmt.Errorf("mutate %s: %w", name, err)
		}
		all = append(all, found...)
	}
	distinguish(all)
	return all, nil
}

// isTest reports whether a file holds tests and no policy.
func isTest(name string) bool {
	stem := strings.TrimSuffix(name, path.Ext(name))
	return strings.HasSuffix(stem, "_test")
}

// distinguish numbers the mutants that would otherwise have one name.
func distinguish(all []Mutant) {
	seen := map[string]int{}
	for i, m := range all {
		if seen[m.ID]++; seen[m.ID] > 1 {
			all[i].ID = fmt.Sprintf("%s (%d)", m.ID, seen[m.ID])
		}
	}
}

// In returns the files with the mutant in its place.
func (m Mutant) In(files map[string][]byte) map[string][]byte {
	out := maps.Clone(files)
	out[m.File] = m.Text
	return out
}

// oneLine shortens what is changed so that it can be named.
func oneLine(b []byte) string {
	s := strings.Join(strings.Fields(string(bytes.TrimSpace(b))), " ")
	if r := []rune(s); len(r) > 90 {
		return string(r[:89]) + "…"
	}
	return s
}
