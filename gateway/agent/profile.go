package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sallyport/gateway/sandbox"
)

// profile is what one kind of agent needs beside its working folder.
type profile struct {
	read    []string // below HOME, where they are there
	write   []string // likewise
	copied  []string // likewise: files of which it gets a copy, to change and lose
	project func(folder string) string
	env     []string // patterns of names of variables
	keep    []string // those among them that are handed in although their names sound secret: the key to the agent's own model is
	leave   []string // those that are not: they name folders that are not shown
	set     map[string]string
	hosts   func(environ map[string]string) ([]string, error)
}

// Profiles lists the names of profiles.
func Profiles() []string {
	names := slices.Sorted(maps.Keys(profiles))
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}

var profiles = map[string]*profile{
	"": {hosts: func(map[string]string) ([]string, error) { return nil, nil }},
	// What Claude Code would run later, outside any box, it can read and not change: settings hold
	// hooks, plugins and skills hold programs, and ~/.claude.json names servers to start. Of what it
	// keeps it sees its own project's, since the others' hold what was said there.
	"claude": {
		read: []string{".claude/settings.json", ".claude/settings.local.json", ".claude/CLAUDE.md", ".claude/agents", ".claude/commands", ".claude/skills",
			".claude/plugins", ".claude/hooks", ".claude/output-styles", ".claude/rules", ".claude/keybindings.json", ".claude/local"},
		write:   []string{".claude/.credentials.json"},
		copied:  []string{".claude.json"},
		project: claudeProject,
		env:     []string{"ANTHROPIC_*", "CLAUDE_*", "MCP_*", "DISABLE_*", "ENABLE_*", "MAX_THINKING_TOKENS", "BASH_DEFAULT_TIMEOUT_MS", "BASH_MAX_TIMEOUT_MS", "BASH_MAX_OUTPUT_LENGTH"},
		leave:   []string{"CLAUDE_CONFIG_DIR"},
		keep:    []string{"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "MAX_THINKING_TOKENS"},
		set:     map[string]string{"DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"},
		hosts:   claudeHosts,
	},
}

// harmless are variables that every agent gets.
var harmless = []string{"TERM", "COLORTERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES",
	"LANG", "LANGUAGE", "LC_*", "TZ", "PATH", "SHELL", "USER", "LOGNAME", "EDITOR", "VISUAL", "PAGER",
	"GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"}

func named(pattern, name string) bool {
	ok, _ := path.Match(pattern, name) // the patterns are ours
	return ok
}

// hands reports whether the agent gets the variable of the person's environment.
func (p *profile) hands(name string) bool {
	listed := slices.ContainsFunc(slices.Concat(harmless, p.env), func(pattern string) bool { return named(pattern, name) })
	return listed && !slices.Contains(p.leave, name) && (!secretive(name) || slices.Contains(p.keep, name))
}

// secretive reports whether a variable's name says that its value is a secret.
func secretive(name string) bool {
	name = strings.ToUpper(name)
	return slices.ContainsFunc([]string{"TOKEN", "KEY", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "HEADERS", "COOKIE"},
		func(word string) bool { return strings.Contains(name, word) })
}

// show adds what the profile shows of HOME.
func (p *profile) show(home, folder string, s *sandbox.Spec) error {
	if p.project != nil {
		dir := filepath.Join(home, p.project(folder))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the folder of this project's sessions: %w", err)
		}
		s.Write = append(s.Write, dir)
	}
	for _, list := range []struct {
		names []string
		to    *[]string
	}{{p.read, &s.Read}, {p.write, &s.Write}, {p.copied, &s.Copy}} {
		for _, name := range list.names {
			at := filepath.Join(home, name)
			_, err := os.Lstat(at)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			*list.to = append(*list.to, at)
		}
	}
	return nil
}

// claudeProject is where Claude Code keeps what it has said in a folder: named by the folder's path,
// with a dash for all that is neither letter nor digit.
func claudeProject(folder string) string {
	dashed := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, folder)
	return ".claude/projects/" + dashed
}

// claudeHosts is where the model is.
func claudeHosts(environ map[string]string) ([]string, error) {
	base := environ["ANTHROPIC_BASE_URL"]
	if base == "" {
		return []string{"api.anthropic.com:443"}, nil
	}
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("ANTHROPIC_BASE_URL is no URL of http or https, so the profile cannot say where the model is")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	if u.Hostname() == "localhost" { // a name does not open an address of this machine
		return []string{"127.0.0.1:" + port, "[::1]:" + port}, nil
	}
	return []string{net.JoinHostPort(u.Hostname(), port)}, nil
}
