package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/gateway/config"
)

func TestTheManualSaysWhatTheCommentsSay(t *testing.T) {
	var files []string
	for _, source := range sources {
		files = append(files, "../"+source)
	}
	got, err := manual(files...)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/configuration.md is stale; run: make docs (or go generate ./gateway/config)\n%s", diff)
	}
	for _, f := range config.Fields() {
		if f.Env != "" && !strings.Contains(string(got), f.Env) {
			t.Errorf("the manual lacks %s", f.Env)
		}
	}
}

func TestAFieldWithoutACommentIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.go")
	if err := os.WriteFile(file, []byte("package c\n\ntype Config struct {\n\tListen string `yaml:\"listen\"`\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := manual(file); err == nil || err.Error() != "Config.Listen has no comment, so the manual would not say what it is" {
		t.Errorf("error %v", err)
	}
}
