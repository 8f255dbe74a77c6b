package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command that a page names is there, with the flags that stand behind it.
func TestNamedCommandsExist(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("(?:^|[`(;|&] ?|\\$ )sallyport ([a-z][^`\n|;)#]*)")
	root := (&app{}).root()
	count := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			for _, m := range named.FindAllStringSubmatch(line, -1) {
				count++
				if missing := unknown(root, strings.Fields(m[1])); missing != "" {
					t.Errorf("%s: `sallyport %s`: there is no %s", page, m[1], missing)
				}
			}
		}
	}
	if count < 100 {
		t.Errorf("%d commands found; the pages name more", count)
	}
}

// unknown is the first word of a command line that names no command or flag; "" where all do.
func unknown(root *cobra.Command, words []string) string {
	cmd := root
	for i, w := range words {
		if w == "--" {
			return ""
		}
		if name, _, _ := strings.Cut(w, "="); strings.HasPrefix(name, "--") {
			if name != "--help" && cmd.Flag(strings.TrimPrefix(name, "--")) == nil {
				return name
			}
			continue
		}
		next, _, err := cmd.Find(words[i : i+1])
		switch {
		case err == nil && next != cmd:
			cmd = next
		case cmd.HasSubCommands() && regexp.MustCompile(`^[a-z-]+$`).MatchString(w):
			return w
		}
	}
	return ""
}
