// Package corpora finds the public test data that tests read. The data is not part of the
// project: it lies in a folder beside the checkout, or where SALLYPORT_CORPORA says.
//
// Only tests import this package.
package corpora

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Dir returns the folder of the corpora, joined with sub. Where it is missing the test is
// skipped with a message on a developer's machine and fails when CI=true.
func Dir(t testing.TB, sub ...string) string {
	t.Helper()
	root := os.Getenv("SALLYPORT_CORPORA")
	if root == "" {
		_, file, _, _ := runtime.Caller(0)
		root = filepath.Join(filepath.Dir(file), "..", "..", "..", "shared", "corpora")
	}
	dir := filepath.Join(append([]string{root}, sub...)...)
	if _, err := os.Stat(dir); err != nil {
		const hint = "set SALLYPORT_CORPORA to the folder that holds the public test data"
		if os.Getenv("CI") == "true" {
			t.Fatalf("corpus %v is missing (%v): %s", sub, err, hint)
		}
		t.Skipf("corpus %v is missing: %s", sub, hint)
	}
	return dir
}
