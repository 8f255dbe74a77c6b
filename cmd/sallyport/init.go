package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"sallyport/gateway/upstream"
)

const configName = "sallyport.yaml"

//go:embed templates
var templates embed.FS

func (a *app) newInit() *cobra.Command {
	cmd := &cobra.Command{Use: "init [DIR]", Short: "Write a configuration and a starter policy with tests", Args: cobra.MaximumNArgs(1),
		Long: "Writes sallyport.yaml and policies/ into DIR (default: here), and prints the lines that point\n" +
			"a client at the gateway. It replaces nothing: where one of its files is there already, it\nwrites none."}
	url := cmd.Flags().String("upstream", "http://127.0.0.1:9000/mcp", "`URL` of the MCP server to stand before")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		dir := "."
		if len(args) == 1 {
			dir = args[0]
		}
		if _, err := upstream.NewHTTP(upstream.HTTPConfig{URL: *url}); err != nil {
			return errUsage{"--upstream: " + err.Error()}
		}
		dir, err := filepath.Abs(dir)
		if err != nil {
			return fmt.Errorf("find directory: %w", err)
		}
		written, err := writeStart(dir, *url)
		if err != nil {
			return err
		}
		for _, file := range written {
			a.say("wrote %s", file)
		}
		return a.nextSteps(filepath.Join(dir, configName))
	}
	return cmd
}

// writeStart writes the files of a new installation, or none.
func writeStart(dir, url string) ([]string, error) {
	files, err := startFiles(url)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range []string{configName, "policies/authz.rego", "policies/authz_test.rego", "policies/data.json"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if exists(path) {
			return nil, fmt.Errorf("%s is there already, and nothing was written; remove it, or name another directory", path)
		}
		names = append(names, path)
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "policies")); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s holds files already, which would become part of the policy, and nothing was written; name another directory", filepath.Join(dir, "policies"))
	}
	if err := os.MkdirAll(filepath.Join(dir, "policies"), 0o755); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	for i, path := range names {
		if err := create(path, files[i]); err != nil {
			return nil, err
		}
	}
	ignore := filepath.Join(dir, ".gitignore")
	added, err := ignoreState(ignore)
	if added {
		names = append(names, "/state/ into "+ignore)
	}
	return names, err
}

func startFiles(url string) ([][]byte, error) {
	text, err := fs.ReadFile(templates, "templates/"+configName)
	if err != nil {
		return nil, err
	}
	t, err := template.New(configName).Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, map[string]string{"Config": configName, "URL": quoteYAML(url)}); err != nil {
		return nil, fmt.Errorf("fill template: %w", err)
	}
	files := [][]byte{[]byte(b.String())}
	for _, name := range []string{"authz.rego", "authz_test.rego", "data.json"} {
		data, err := fs.ReadFile(templates, "templates/policies/"+name)
		if err != nil {
			return nil, err
		}
		files = append(files, data)
	}
	return files, nil
}

// quoteYAML makes a text that no character of a URL can break out of.
func quoteYAML(s string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`) + `"`
}

// create writes a file that must not be there.
func create(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// ignoreState adds the state directory to .gitignore, where it is not there yet.
func ignoreState(path string) (added bool, err error) {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("read .gitignore: %w", err)
	}
	for line := range strings.Lines(string(old)) {
		if strings.Trim(strings.TrimSpace(line), "/") == "state" {
			return false, nil
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return false, fmt.Errorf("write .gitignore: %w", err)
	}
	text := "/state/\n"
	if len(old) > 0 && !strings.HasSuffix(string(old), "\n") {
		text = "\n" + text
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return false, fmt.Errorf("write .gitignore: %w", err)
	}
	return true, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// nextSteps prints what to type, each line whole so that it can be copied.
func (a *app) nextSteps(file string) error {
	program := "sallyport"
	if path, err := os.Executable(); err == nil {
		program = shell(path) // a helper runs wherever its client was started
	}
	helper := program + " token headers --role reader --config " + shell(file)
	entry := `{"type":"http","url":"http://127.0.0.1:8080/mcp/upstream","headersHelper":"` + strings.ReplaceAll(strings.ReplaceAll(helper, `\`, `\\`), `"`, `\"`) + `"}`
	return a.printf(`Run the gateway:

%[1]s serve --config %[2]s

Claude Code (the helper fetches a new token when the old one has ended; --scope user, since a
project's file would run it without its environment):

claude mcp add-json --scope user sallyport %[3]s

MCP Inspector (Node 22.19 or newer):

npx @modelcontextprotocol/inspector@2 --cli --server-url http://127.0.0.1:8080/mcp/upstream --transport http --method tools/list --header "Authorization: Bearer $(%[1]s token mint --role operator --config %[2]s)"

An operator may call every tool. A reader sees those that %[4]s names in "reads",
so put your server's own tool names there; until then a reader's list may be empty.
`, program, shell(file), shell(entry), filepath.Join(filepath.Dir(file), "policies", "data.json"))
}

// shell quotes a word for a POSIX shell where it needs it.
func shell(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+=:@,", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
