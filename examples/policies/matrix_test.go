package policies

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/policy/workbench"
)

var update = flag.Bool("update", false, "write the matrix of each example into its README")

const matrixHead = "\n## Who may do what\n\nWritten by `sallyport policy matrix examples/policies/%[1]s --tools examples/tools/%[1]s.json -o markdown`.\n\n"

// catalogue are the tools of the servers that an example is about, as tools/list gives them.
func catalogue(t *testing.T, name string) []workbench.Tool {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "tools", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	tools, err := workbench.ReadTools(raw)
	if err != nil {
		t.Fatalf("tools of %s: %v", name, err)
	}
	return tools
}

// Each README ends with what `sallyport policy matrix` says of the policy beside it.
func TestReadmesShowTheMatrix(t *testing.T) {
	for _, name := range Names() {
		g := load(t, name)
		roles, err := g.RoleNames(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(roles)
		m, err := workbench.NewMatrix(t.Context(), g, roles, catalogue(t, name))
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.NewBufferString(fmt.Sprintf(matrixHead, name))
		if err := m.Markdown(want); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(name, "README.md")
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text, got, _ := bytes.Cut(page, []byte("\n## Who may do what\n"))
		if *update {
			if err := os.WriteFile(file, append(text, want.Bytes()...), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got = append([]byte("\n## Who may do what\n"), got...)
		if diff := cmp.Diff(want.String(), string(got)); diff != "" {
			t.Errorf("%s does not say what the policy does; make docs writes it (-want +got):\n%s", file, diff)
		}
	}
}
