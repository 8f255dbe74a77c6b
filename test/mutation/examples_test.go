package mutation

import (
	"flag"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sallyport/examples/policies"
)

// filesOf reads an example's policy files, as the gateway reads a directory, and what is said of
// its survivors.
func filesOf(t *testing.T, name string) (files map[string][]byte, survivors []byte) {
	t.Helper()
	dir, err := policies.FS(name)
	if err != nil {
		t.Fatal(err)
	}
	files = map[string][]byte{}
	err = fs.WalkDir(dir, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(dir, path)
		switch filepath.Ext(path) {
		case ".rego", ".json", ".yaml":
			files[path] = text
		case ".txt":
			survivors = text
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, survivors
}

var all = flag.Bool("all", false, "try every mutant of the examples and not one in ten, as make mutation does")

// Every change of an example policy is noticed by the example's own tests, or survivors.txt says
// why it makes no difference. What that file explains survives indeed.
func TestExamplesNoticeEveryMutant(t *testing.T) {
	for _, name := range policies.Names() {
		t.Run(name, func(t *testing.T) {
			files, text := filesOf(t, name)
			explained, err := Survivors(text)
			if err != nil {
				t.Fatalf("%s/%s: %v", name, SurvivorsFile, err)
			}
			mutants, err := Mutants(files)
			if err != nil {
				t.Fatal(err)
			}
			if !*all {
				mutants = sample(mutants, explained)
			}
			begun := time.Now()
			report, err := Run(t.Context(), files, mutants)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range report.Survived {
				if _, ok := explained[m.ID]; !ok {
					t.Errorf("no test of %s notices this change (%s:%d):\n%s", name, m.File, m.Line, m.ID)
				}
				delete(explained, m.ID)
			}
			for _, id := range slices.Sorted(maps.Keys(explained)) {
				t.Errorf("%s/%s explains a mutant that does not survive any more, or never was: %s", name, SurvivorsFile, id)
			}
			t.Logf("%d mutants: %d killed, %d explained, %d refused by the compiler; %v", len(mutants), report.Killed,
				len(report.Survived), report.Stillborn, time.Since(begun).Round(time.Millisecond))
		})
	}
}

// sample is every tenth mutant, and those that are explained.
func sample(mutants []Mutant, explained map[string]string) []Mutant {
	var out []Mutant
	for i, m := range mutants {
		if _, ok := explained[m.ID]; ok || i%10 == 0 {
			out = append(out, m)
		}
	}
	return out
}
