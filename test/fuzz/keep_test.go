package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Of what was found only that is kept which reaches something new, the smaller of two that reach as much;
// nothing that is large, and never more than the number that was asked for.
func TestWhatReachesNothingNewIsNotKept(t *testing.T) {
	dir, found := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module scratch\n\ngo 1.26.0\n",
		"a.go":   "package scratch\n\nfunc Kind(s string) int {\n\tif s == \"\" {\n\t\treturn 0\n\t}\n\tif s[0] == 'x' {\n\t\treturn 1\n\t}\n\tif s[0] == 'y' {\n\t\treturn 2\n\t}\n\treturn 3\n}\n",
		"a_test.go": "package scratch\n\nimport \"testing\"\n\nfunc FuzzKind(f *testing.F) {\n\tf.Add(\"\")\n\tf.Add(\"x\")\n" +
			"\tf.Fuzz(func(t *testing.T, s string) { Kind(s) })\n}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, s := range map[string]string{"e": "", "x": "xx", "y": "y", "y2": "y-longer", "z": "z-the longest", "large": "q" + strings.Repeat("q", maxKept)} {
		if err := os.WriteFile(filepath.Join(found, name), []byte("go test fuzz v1\nstring(\""+s+"\")\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		most int
		want []string
	}{{1, []string{"y"}}, {1, []string{"y"}}, {8, []string{"y", "z"}}} {
		before := len(names(t, dir))
		n, err := keep(t.Context(), target{"scratch", "FuzzKind"}, dir, found, tt.most)
		if got := names(t, dir); err != nil || !slices.Equal(got, tt.want) || n != len(tt.want)-before {
			t.Errorf("of at most %d there are %v, %d of them new, %v; want %v", tt.most, got, n, err, tt.want)
		}
	}
	if n, err := keep(t.Context(), target{"scratch", "FuzzKind"}, dir, filepath.Join(found, "none"), 8); n != 0 || err != nil {
		t.Errorf("of nothing found %d were kept, %v", n, err)
	}
}

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "testdata", "fuzz", "FuzzKind", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		out = append(out, filepath.Base(f))
	}
	return out
}
