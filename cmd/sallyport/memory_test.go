package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemoryLimitIsThatOfTheContainer(t *testing.T) {
	for text, want := range map[string]int64{"1000\n": 900, "536870912\n": 483183819, "max\n": 0, "": 0, "-5": 0, "99999999999999999999": 0} {
		file := filepath.Join(t.TempDir(), "memory.max")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := memoryLimit(file); got != want {
			t.Errorf("memory.max of %q: %d; want %d", text, got, want)
		}
	}
	if got := memoryLimit(filepath.Join(t.TempDir(), "none")); got != 0 {
		t.Errorf("no file: %d; want 0", got)
	}
}
