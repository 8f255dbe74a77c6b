package lint

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"sallyport/internal/corpora"
)

// What a schema takes is never said to be barred, of another type, or outside its values: the valid
// instances of the JSON Schema test suite show it.
func TestASchemaIsNotReadAsNarrowerThanItIs(t *testing.T) {
	dir := corpora.Dir(t, "json-schema-test-suite")
	files, err := filepath.Glob(filepath.Join(dir, "tests/draft2020-12/*.json"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files of the suite, %v", len(files), err)
	}
	looked := 0
	for _, file := range files {
		if filepath.Base(file) == "vocabulary.json" {
			continue // a dialect of its own, which the gateway does not know either
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var groups []struct {
			Schema json.RawMessage
			Tests  []struct {
				Description string
				Data        json.RawMessage
				Valid       bool
			}
		}
		if err := json.Unmarshal(raw, &groups); err != nil {
			t.Fatal(err)
		}
		for _, g := range groups {
			for _, tt := range g.Tests {
				if !tt.Valid {
					continue
				}
				v := ast.MustParseTerm(string(tt.Data)).Value
				walk(v, nil, func(path []string, v ast.Value) {
					looked++
					p := readSchema(g.Schema).look(path)
					switch {
					case p.presence == isBarred,
						p.presence == isDeclared && p.kinds&kindOf(v) == 0,
						p.presence == isDeclared && len(p.enum) > 0 && !slices.ContainsFunc(p.enum, func(e ast.Value) bool { return ast.Compare(e, v) == 0 }),
						p.presence == isDeclared && kindOf(v) == kindNumber && p.min != nil && ast.Compare(v, ast.Number(*p.min)) < 0,
						p.presence == isDeclared && kindOf(v) == kindNumber && p.max != nil && ast.Compare(v, ast.Number(*p.max)) > 0:
						t.Errorf("%s: %s: %s of %s: %+v", filepath.Base(file), tt.Description, path, g.Schema, p)
					}
				})
			}
		}
	}
	if looked < 500 {
		t.Errorf("%d values were looked at", looked)
	}
}

func walk(v ast.Value, path []string, see func([]string, ast.Value)) {
	see(path, v)
	switch v := v.(type) {
	case ast.Object:
		v.Foreach(func(k, t *ast.Term) {
			if s, ok := k.Value.(ast.String); ok && s != "" {
				walk(t.Value, append(slices.Clone(path), string(s)), see)
			}
		})
	case *ast.Array:
		v.Foreach(func(t *ast.Term) { walk(t.Value, append(slices.Clone(path), ""), see) })
	}
}
