package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// Every command has a manual page with its flags, and every shell its completions, made from the
// commands themselves. `make man` keeps what is made here in MAN_DIR.
func TestManPagesAndCompletions(t *testing.T) {
	dir := os.Getenv("MAN_DIR")
	if dir == "" {
		dir = t.TempDir()
	}
	root := (&app{}).root()
	root.InitDefaultCompletionCmd("completion")
	man := filepath.Join(dir, "man")
	if err := os.MkdirAll(man, 0o755); err != nil {
		t.Fatal(err)
	}
	header := &doc.GenManHeader{Section: "1", Source: "sallyport", Manual: "Sallyport"}
	if err := doc.GenManTree(root, header, man); err != nil {
		t.Fatal(err)
	}
	pages := 0
	var each func(*cobra.Command)
	each = func(c *cobra.Command) {
		if !c.IsAvailableCommand() && c != root || c.Name() == "help" {
			return
		}
		pages++
		name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
		text, err := os.ReadFile(filepath.Join(man, name))
		if err != nil {
			t.Errorf("%s has no page: %v", c.CommandPath(), err)
			return
		}
		for _, want := range []string{".SH NAME", ".SH SYNOPSIS", c.Short} {
			if !bytes.Contains(text, []byte(want)) {
				t.Errorf("%s does not hold %q", name, want)
			}
		}
		for _, sub := range c.Commands() {
			each(sub)
		}
	}
	each(root)
	if pages < 50 {
		t.Errorf("%d pages; the program has more commands", pages)
	}

	completions := filepath.Join(dir, "completions")
	if err := os.MkdirAll(completions, 0o755); err != nil {
		t.Fatal(err)
	}
	for file, generate := range map[string]func(*bytes.Buffer) error{
		"sallyport.bash": func(b *bytes.Buffer) error { return root.GenBashCompletionV2(b, true) },
		"_sallyport":     func(b *bytes.Buffer) error { return root.GenZshCompletion(b) },
		"sallyport.fish": func(b *bytes.Buffer) error { return root.GenFishCompletion(b, true) },
	} {
		var b bytes.Buffer
		if err := generate(&b); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(b.Bytes(), []byte("__complete")) {
			t.Errorf("%s does not ask the program", file)
		}
		if err := os.WriteFile(filepath.Join(completions, file), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
