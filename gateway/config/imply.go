package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// implied is what a stdio server needs and its configuration does not say in so many words.
// Made by [Config.imply] when the configuration is loaded.
type implied struct {
	program string // absolute path of the command
	missing error  // why there is none
	runtime string // podman or docker, where the program is that
	dir     string // working directory; "" for the private home
	read    []string
	write   []string
	egress  []string
	env     map[string]string // beside env, which wins
	cache   string            // directory that the gateway makes before a start

	arguments  []string // those of read that the arguments name
	registries []string // those of egress that the machine's own settings name, wherever they are
}

// imply finds each program, and gives a server without a sandbox key what its arguments ask for.
func (c *Config) imply(environ map[string]string, at map[string]place) {
	for _, name := range slices.Sorted(maps.Keys(c.Servers)) {
		s := c.Servers[name]
		if s.Type != typeStdio {
			continue
		}
		m := &implication{cfg: c, server: s, name: name, environ: environ, base: c.dir()}
		_, m.sandboxed = at["mcpServers."+name+".sandbox"]
		_, m.patient = at["mcpServers."+name+".startTimeout"]
		m.run()
	}
}

// dir is where relative paths of the configuration begin.
func (c *Config) dir() string { return below(".", filepath.Dir(c.source.file)) }

// implication is imply for one server.
type implication struct {
	cfg       *Config
	server    *Server
	name      string
	environ   map[string]string
	base      string // directory of the configuration file
	sandboxed bool   // the configuration says what the sandbox is
	patient   bool   // and how long a start may take
}

func (m *implication) run() {
	s := m.server
	s.implied.env = map[string]string{}
	m.program()
	s.implied.dir = s.Cwd
	m.arguments()
	if m.sandboxed {
		s.implied.read = append(s.implied.read, s.Sandbox.Read...)
		s.implied.write = append(s.implied.write, s.Sandbox.Write...)
		s.implied.egress = append(s.implied.egress, s.Sandbox.Egress...)
	} else if runnerOf(s.Command) != "" {
		s.Sandbox.Profile = profilePackages
	}
	m.profile()
	for _, list := range []*[]string{&s.implied.read, &s.implied.write, &s.implied.egress} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
}

// program finds what the gateway starts: the command or, for one in a container, what runs that.
func (m *implication) program() {
	s := m.server
	if s.Sandbox.Type != sandboxContainer {
		s.implied.program, s.implied.missing = findProgram(s.Command, m.base, m.environ["PATH"])
		return
	}
	for _, runtime := range []string{"podman", "docker"} {
		if s.Sandbox.Runtime != "" && s.Sandbox.Runtime != runtime || s.implied.program != "" {
			continue
		}
		s.implied.runtime = runtime
		s.implied.program, s.implied.missing = findProgram(runtime, m.base, m.environ["PATH"])
	}
	if s.implied.missing != nil && s.Sandbox.Runtime == "" {
		s.implied.missing = errors.New("a container needs podman or docker, and neither is in the gateway's PATH; install one")
	}
}

// arguments looks at what exists among the arguments. Where the configuration has no sandbox
// key, the server may read it; one that says what may be read has said all.
func (m *implication) arguments() {
	s := m.server
	base := m.base
	if s.Cwd != "" {
		base = s.Cwd
		if !m.sandboxed {
			m.grant(s.Cwd, "cwd")
		}
	}
	pkg := runnerOf(s.Command) != "" // the first word is a package's name, whatever lies beside the file
	for _, arg := range s.Args {
		word := arg
		if strings.HasPrefix(arg, "-") {
			_, word, _ = strings.Cut(arg, "=") // --root=/srv/docs
		} else if pkg {
			pkg = false
			if !filepath.IsAbs(arg) && !strings.HasPrefix(arg, ".") {
				continue
			}
		}
		if word == "" {
			continue
		}
		path := below(base, word)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		if !filepath.IsAbs(word) && s.Cwd == "" {
			s.implied.dir = m.base
		}
		if !m.sandboxed {
			m.grant(path, "its arguments")
		}
	}
}

// grant lets the server read a path, unless that is too much for something nobody wrote down.
func (m *implication) grant(path, from string) {
	path = filepath.Clean(path)
	why := ""
	switch real := resolve(path); {
	case holds(real, resolve(m.environ["HOME"])):
		why = "it is or holds the home directory"
	case holds(real, resolve(m.cfg.State)):
		why = "it holds the gateway's state"
	case holds(resolve(m.cfg.State), real):
		why = "it is the gateway's state"
	default:
		m.server.implied.read = append(m.server.implied.read, path)
		m.server.implied.arguments = append(m.server.implied.arguments, path)
		return
	}
	m.note("%s is among %s and not opened to it: %s; if it must be, say so in sandbox.read, or move the state (SALLYPORT_STATE)", path, from, why)
}

func (m *implication) note(format string, args ...any) {
	m.cfg.notes = append(m.cfg.notes, "mcpServers."+m.name+": "+fmt.Sprintf(format, args...))
}

// holds reports whether inner is dir or below it.
func holds(dir, inner string) bool {
	if inner == "" {
		return false
	}
	rel, err := filepath.Rel(dir, inner)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// findProgram returns the absolute path of a command: one with a slash relative to dir, another
// from path, the gateway's PATH.
func findProgram(command, dir, path string) (string, error) {
	if strings.ContainsRune(command, filepath.Separator) {
		program := below(dir, command)
		return program, executable(program)
	}
	var unfit error
	for _, d := range filepath.SplitList(path) {
		if !filepath.IsAbs(d) {
			continue // what runs must not depend on where the gateway was started
		}
		program := filepath.Join(d, command)
		err := executable(program)
		if err == nil {
			return program, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && unfit == nil {
			unfit = err
		}
	}
	if unfit != nil {
		return "", unfit
	}
	return "", fmt.Errorf("there is no program %s in the gateway's PATH; install it, or write its path", command)
}

// executable says what keeps a file from being run, or nil.
func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", path, unwrapPath(err))
	case info.IsDir():
		return fmt.Errorf("%s is a directory, not a program", path)
	case info.Mode()&0o111 == 0:
		return fmt.Errorf("%s is not executable; run: chmod +x %s", path, path)
	}
	return nil
}
