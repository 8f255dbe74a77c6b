package config

import (
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sallyport/gateway/egress"
)

// cacheDir holds a directory for each server that runs through a package runner, below the state.
const cacheDir = "cache"

// runnerStart is how long a package runner may take to fetch its package.
const runnerStart = Duration(2 * time.Minute)

// runnerOf returns which package runner a command is, or "".
func runnerOf(command string) string {
	base := filepath.Base(command)
	if slices.Contains([]string{"npx", "bunx", "uvx", "pipx"}, base) {
		return base
	}
	return ""
}

// profile gives a package runner its cache and its registry.
func (m *implication) profile() {
	s := m.server
	if s.Sandbox.Type != sandboxProcess {
		return
	}
	m.installation()
	if s.Sandbox.Profile == profileNone {
		return
	}
	cache := filepath.Join(m.cfg.State, cacheDir, m.name)
	s.implied.cache = cache
	runner := runnerOf(s.Command)
	maps.Copy(s.implied.env, runnerEnv(runner, cache))
	s.implied.write = append(s.implied.write, cache)
	m.trust()
	if !m.patient {
		s.StartTimeout = runnerStart
	}
	if runner == "uvx" || runner == "pipx" {
		m.pythonIndex()
		return
	}
	m.npmRegistry()
}

// runnerEnv tells a package runner where its cache is, and to look for nothing else. A command
// that is none, and was given the profile all the same, is taken for a script that calls npx.
func runnerEnv(runner, cache string) map[string]string {
	switch runner {
	case "uvx":
		return map[string]string{"UV_CACHE_DIR": cache, "UV_PYTHON_DOWNLOADS": "never"}
	case "pipx":
		return map[string]string{"PIPX_HOME": filepath.Join(cache, "pipx"), "PIP_CACHE_DIR": filepath.Join(cache, "pip"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
	case "bunx":
		return map[string]string{"BUN_INSTALL_CACHE_DIR": cache}
	}
	return map[string]string{"npm_config_cache": cache, "npm_config_update_notifier": "false", "npm_config_fund": "false", "npm_config_audit": "false"}
}

// installation makes a runner that is not among the system's programs visible, with what lies
// beside it: Node's own directory, or the uv that uvx calls.
func (m *implication) installation() {
	s := m.server
	dir := filepath.Dir(s.implied.program)
	if runnerOf(s.Command) == "" || s.implied.program == "" || slices.ContainsFunc([]string{"/usr", "/bin", "/sbin"}, func(d string) bool { return holds(d, dir) }) {
		return
	}
	s.implied.env["PATH"] = dir + ":/usr/local/bin:/usr/bin:/bin"
	for _, path := range []string{filepath.Join(dir, "node"), filepath.Join(dir, "uv"), filepath.Join(filepath.Dir(dir), "lib", "node_modules")} {
		if _, err := os.Stat(path); err == nil {
			s.implied.read = append(s.implied.read, path)
		}
	}
}

// trust passes on which certificate authorities this machine believes, where its environment
// says so: a mirror inside a company is often signed by the company's own.
func (m *implication) trust() {
	for _, name := range []string{"NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"} {
		file := m.environ[name]
		if _, err := os.Stat(file); err != nil || !filepath.IsAbs(file) {
			continue
		}
		m.server.implied.env[name] = file
		m.server.implied.read = append(m.server.implied.read, file)
	}
}

const npmRegistry = "https://registry.npmjs.org/"

// npmRegistry opens the registry that npm would use here: what the server's env says, else the
// gateway's environment, else the user's and the installation's npmrc, else the public one.
func (m *implication) npmRegistry() {
	registry := setting(m.server.Env, "npm_config_registry")
	if registry == "" {
		registry = setting(m.environ, "npm_config_registry")
	}
	files := []string{}
	if home := m.environ["HOME"]; home != "" {
		files = append(files, filepath.Join(home, ".npmrc"))
	}
	if node, err := findProgram("node", m.base, m.environ["PATH"]); err == nil {
		files = append(files, filepath.Join(filepath.Dir(filepath.Dir(node)), "etc", "npmrc"))
	}
	for _, file := range files {
		if registry == "" {
			registry = npmrcRegistry(file)
		}
	}
	if registry == "" {
		registry = npmRegistry
	}
	if m.reach(registry) {
		m.server.implied.env["npm_config_registry"] = registry
	}
}

// setting finds a variable that npm knows in any case.
func setting(env map[string]string, name string) string {
	for _, key := range slices.Sorted(maps.Keys(env)) {
		if strings.EqualFold(key, name) && env[key] != "" {
			return env[key]
		}
	}
	return ""
}

// npmrcRegistry returns the registry that an npmrc file names, or "". Its other lines, access
// tokens among them, are not looked at and reach no server.
func npmrcRegistry(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return "" // not there, or not for us: then it names none
	}
	for line := range strings.Lines(string(data)) {
		key, value, found := strings.Cut(line, "=")
		if found && strings.TrimSpace(key) == "registry" {
			return strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return ""
}

// pythonIndex opens the package index that the environment names, else the public one.
func (m *implication) pythonIndex() {
	found := false
	for _, name := range []string{"UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"} {
		index := m.server.Env[name]
		if index == "" {
			index = m.environ[name]
		}
		if index != "" && m.reach(index) {
			m.server.implied.env[name] = index
			found = true
		}
	}
	if !found {
		m.reach("https://pypi.org/simple")
		m.reach("https://files.pythonhosted.org/")
	}
}

// reach opens the host of a registry. One that carries a password in its URL is left to the
// operator, since the server would be told it.
func (m *implication) reach(registry string) bool {
	u, err := url.Parse(registry)
	if err != nil || u.Hostname() == "" || u.User != nil {
		m.note("the package registry of this machine is no plain URL (or holds a password), so it is not opened; name it in env and in sandbox.egress")
		return false
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	entry := net.JoinHostPort(u.Hostname(), port)
	if _, err := egress.ParseRules([]string{entry}); err != nil {
		m.note("the package registry of this machine is not opened: %s", err)
		return false
	}
	m.server.implied.egress = append(m.server.implied.egress, entry)
	m.server.implied.registries = append(m.server.implied.registries, entry)
	return true
}
