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

// A synopsis, lines of a page with options in brackets, names every flag of its command.
func TestSynopsesNameEveryFlag(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	root := (&app{}).root()
	synopsis := regexp.MustCompile(`(?m)^sallyport (.*\[-.*\n(?: +\[.*\n)*)`)
	flag := regexp.MustCompile(`(?m)^ +(?:-(.), )?--([a-z-]+)`)
	count := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		synopses := map[*cobra.Command]string{} // a command may have two forms
		for _, lines := range synopsis.FindAllStringSubmatch(string(text), -1) {
			cmd, _, err := root.Find(strings.Fields(lines[1]))
			if err != nil {
				t.Fatalf("%s: %s: %v", page, lines[1], err)
			}
			synopses[cmd] += lines[1]
			count++
		}
		for cmd, text := range synopses {
			for _, f := range flag.FindAllStringSubmatch(cmd.LocalFlags().FlagUsages(), -1) {
				short := f[1] != "" && strings.Contains(text, "-"+f[1]+" ")
				if f[2] != "help" && !short && !strings.Contains(text, "--"+f[2]) {
					t.Errorf("%s: the synopsis of %s lacks --%s", page, cmd.CommandPath(), f[2])
				}
			}
		}
	}
	if count < 5 {
		t.Errorf("%d synopses; the pages have more", count)
	}
}
