package sallyport_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

const notYet = "its tests were not yet held to it"

// unwatched are the packages that start goroutines and whose tests do not look for those that stay, each
// with its reason.
var unwatched = map[string]string{
	"test/e2e/idp":                "a program of a module of its own, without tests",
	"cmd/sallyport":               notYet,
	"cmd/sallyport/internal/demo": notYet,
	"gateway/agent":               notYet,
	"gateway/audit":               notYet,
	"gateway/sandbox":             notYet,
	"gateway/upstream":            notYet,
	"policy/workbench":            notYet,
	"test/bench":                  notYet,
	"test/deploy":                 notYet,
	"test/e2e":                    notYet,
	"test/e2e/escape":             notYet,
	"test/mutation":               notYet,
	"test/fuzz":                   notYet,
	"test/phishing":               notYet,
}

// TestEveryPackageLooksForLeaks wants a TestMain with goleak in each package whose code or tests start
// goroutines or servers.
func TestEveryPackageLooksForLeaks(t *testing.T) {
	starts, looks, files := map[string]string{}, map[string]bool{}, token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				starts[dir] = files.Position(n.Pos()).String()
			case *ast.CallExpr:
				of, ok := n.Fun.(*ast.SelectorExpr)
				if !ok {
					break
				}
				from, _ := of.X.(*ast.Ident)
				switch name := of.Sel.Name; {
				case name == "Go", from != nil && from.Name == "httptest" && strings.HasPrefix(name, "New") && strings.HasSuffix(name, "Server"):
					starts[dir] = files.Position(n.Pos()).String()
				case from != nil && from.Name == "goleak":
					looks[dir] = true
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(starts) < 20 {
		t.Errorf("found %d packages that start goroutines: too few to be true", len(starts))
	}
	for dir, where := range starts {
		reason := unwatched[dir]
		switch {
		case !looks[dir] && reason == "":
			t.Errorf("%s starts something that runs beside it, and no test of its package looks for what stays: give it func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }", where)
		case looks[dir] && reason != "":
			t.Errorf("%s looks for leaks: take it out of the list of those that do not", dir)
		}
	}
	for dir := range unwatched {
		if starts[dir] == "" {
			t.Errorf("%s starts nothing that runs beside it: take it out of the list", dir)
		}
	}
}
