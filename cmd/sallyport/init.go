package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"sallyport/cmd/sallyport/internal/entry"
	"sallyport/gateway/config"
	"sallyport/gateway/upstream"
)

const configName = "sallyport.yaml"

//go:embed templates
var templates embed.FS

func (a *app) newInit() *cobra.Command {
	cmd := &cobra.Command{Use: "init [DIR]", Short: "Write a configuration and a starter policy with tests", Args: cobra.MaximumNArgs(1),
		Long: "Writes sallyport.yaml and policies/ into DIR (default: here), and prints the lines that point\n" +
			"a client at the gateway. It replaces nothing: where one of its files is there already, it\nwrites none.\n\n" +
			"With --config FILE, a configuration or a client's .mcp.json that is there already, it writes\n" +
			"the policies that FILE has not got yet, and nothing else."}
	url := cmd.Flags().String("upstream", "http://127.0.0.1:9000/mcp", "`URL` of the MCP server to stand before")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if a.file != "" {
			if len(args) > 0 || cmd.Flags().Changed("upstream") {
				return errUsage{"with --config only its policies are written, so neither DIR nor --upstream is wanted"}
			}
			return a.initPolicies()
		}
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
		return a.nextSteps(filepath.Join(dir, configName), filepath.Join(dir, "policies"), "http://127.0.0.1:8080/mcp/upstream")
	}
	return cmd
}

// writeStart writes the files of a new installation, or none.
func writeStart(dir, url string) ([]string, error) {
	config, err := startConfig(url)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, configName)
	if exists(path) {
		return nil, fmt.Errorf("%s is there already, and nothing was written; remove it, or name another directory", path)
	}
	names, err := writePolicies(filepath.Join(dir, "policies"), nil)
	if err != nil {
		return nil, err
	}
	if err := create(path, config); err != nil {
		return nil, err
	}
	names = append([]string{path}, names...)
	ignore := filepath.Join(dir, ".gitignore")
	added, err := ignoreState(ignore)
	if added {
		names = append(names, "/state/ into "+ignore)
	}
	return names, err
}

// initPolicies writes the policies of a configuration that has none.
func (a *app) initPolicies() error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	if strings.Contains(cfg.Policies, "://") {
		return fmt.Errorf("policies come from %s; write them where that is built", cfg.Policies)
	}
	written, err := writePolicies(cfg.Policies, cfg)
	if err != nil {
		return err
	}
	for _, file := range written {
		a.say("wrote %s", file)
	}
	file, err := filepath.Abs(cfg.File())
	if err != nil {
		return fmt.Errorf("find configuration: %w", err)
	}
	return a.nextSteps(file, cfg.Policies, cfg.Audience())
}

// writePolicies writes the starter policies into a directory that has none. Where cfg is given,
// a reader's folders are those that its servers may read.
func writePolicies(dir string, cfg *config.Config) ([]string, error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s holds files already, which would become part of the policy, and nothing was written; name another directory", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	var names []string
	for _, name := range []string{"authz.rego", "authz_test.rego", "data.json"} {
		data, err := fs.ReadFile(templates, "templates/policies/"+name)
		if err == nil && name == "data.json" && cfg != nil {
			data, err = folders(data, cfg)
		}
		if err != nil {
			return nil, err
		}
		path := filepath.Join(dir, name)
		if err := create(path, data); err != nil {
			return nil, err
		}
		names = append(names, path)
	}
	return names, nil
}

// folders puts the directories that servers may read into the policy's data.
func folders(data []byte, cfg *config.Config) ([]byte, error) {
	var list []string
	for _, access := range cfg.Access() {
		for _, path := range access.Folders {
			list = append(list, strings.TrimSuffix(path, "/")+"/")
		}
	}
	if len(list) == 0 {
		return data, nil
	}
	slices.Sort(list)
	quoted, err := json.Marshal(slices.Compact(list))
	if err != nil {
		return nil, err
	}
	return bytes.Replace(data, []byte(`["/srv/docs/"]`), quoted, 1), nil
}

func startConfig(url string) ([]byte, error) {
	text, err := fs.ReadFile(templates, "templates/"+configName)
	if err != nil {
		return nil, err
	}
	t, err := template.New(configName).Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, map[string]string{"Config": configName, "URL": quoteYAML(url)}); err != nil {
		return nil, fmt.Errorf("fill template: %w", err)
	}
	return b.Bytes(), nil
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

// nextSteps prints what to type, each line whole so that it can be copied. The endpoint is where
// a client finds the gateway.
func (a *app) nextSteps(file, policies, endpoint string) error {
	program := executable()
	return a.printf(`Run the gateway:

%[1]s serve --config %[2]s

Claude Code (connect asks the running gateway for a grant, keeps the key of its tokens in memory
and renews them):

%[3]s

MCP Inspector (Node 22.19 or newer):

%[4]s

An operator may call every tool. A reader sees those that %[5]s names in "reads",
so put your server's own tool names there; until then a reader's list may be empty.
`, entry.Shell(program), entry.Shell(file), entry.Claude("sallyport", entry.Connect(program, file, endpoint, "reader"), "--scope user"),
		entry.Inspector(endpoint, entry.Token(program, file, "operator")), filepath.Join(policies, "data.json"))
}

// executable is this program's path: `connect` runs wherever its client was started.
func executable() string {
	if path, err := os.Executable(); err == nil {
		return path
	}
	return "sallyport"
}
