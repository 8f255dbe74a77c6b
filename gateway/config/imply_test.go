package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// project makes a tree of a home with a project in it, and returns the project. Names that end in
// / are directories; others are programs.
func project(t *testing.T, config string, names ...string) (dir string, env map[string]string) {
	t.Helper()
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(home, "project")
	for _, name := range append(names, "bin/") {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(path, 0o700)
		} else if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			err = os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ".mcp.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, map[string]string{"HOME": home, "PATH": dir + "/bin", "SALLYPORT_STATE": home + "/state"}
}

func loaded(t *testing.T, dir string, env map[string]string) *Config {
	t.Helper()
	cfg, err := Load(filepath.Join(dir, ".mcp.json"), env)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestAServerMayReadWhatExistsAmongItsArguments(t *testing.T) {
	dir, env := project(t, `{"mcpServers": {
		"files": {"command": "npx", "args": ["-y", "docs", "./docs", "nowhere", "--root=notes", "--x"]},
		"script": {"command": "./tools/run", "args": ["docs"]},
		"said": {"command": "npx", "args": ["-y", "pkg", "./docs"], "sandbox": {"write": ["notes"]}},
		"at": {"command": "npx", "args": ["pkg", "a.txt"], "cwd": "docs"}}}`,
		"docs/", "notes/", "tools/run", "bin/npx", "docs/a.txt")
	cfg := loaded(t, dir, env)
	want := map[string][]string{"files": {dir + "/docs", dir + "/notes"}, "script": {dir + "/docs"}, "at": {dir + "/docs", dir + "/docs/a.txt"}, "said": nil}
	for name, reads := range want {
		if diff := cmp.Diff(reads, cfg.Servers[name].implied.read); diff != "" {
			t.Errorf("%s reads (-want +got):\n%s", name, diff)
		}
	}
	// Relative arguments are meant from where the client stood: beside its file.
	for name, at := range map[string]string{"files": dir, "script": dir, "said": dir, "at": dir + "/docs"} {
		if got := cfg.Servers[name].implied.dir; got != at {
			t.Errorf("%s works in %q; want %q", name, got, at)
		}
	}
	for name, program := range map[string]string{"files": dir + "/bin/npx", "script": dir + "/tools/run"} {
		if got := cfg.Servers[name].implied.program; got != program {
			t.Errorf("%s runs %q; want %q", name, got, program)
		}
	}
	if got := cfg.Servers["said"].implied; !cmp.Equal(got.write, []string{dir + "/notes"}) || got.cache != "" {
		t.Errorf("a server with a sandbox may write %v, with the cache %q; want what it says alone", got.write, got.cache)
	}
}

func TestHomeAndStateAreNotOpenedByAnArgument(t *testing.T) {
	dir, env := project(t, `{"mcpServers": {"files": {"command": "srv", "args": ["/", "..", "../..", ".", "state", "state/keys", "link", "docs"]}}}`,
		"bin/srv", "state/keys/", "docs/")
	if err := os.Symlink("/", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	env["SALLYPORT_STATE"] = dir + "/state"
	cfg := loaded(t, dir, env)
	if got := cfg.Servers["files"].implied.read; !cmp.Equal(got, []string{dir + "/docs"}) {
		t.Errorf("reads %v; want docs alone", got)
	}
	notes := strings.Join(cfg.Notes(), "\n")
	for _, want := range []string{
		"mcpServers.files: / is among its arguments and not opened to it: it is or holds the home directory; if it must be, say so in sandbox.read, or move the state (SALLYPORT_STATE)",
		dir + " is among its arguments and not opened to it: it holds the gateway's state;",
		dir + "/state is among its arguments and not opened to it: it holds the gateway's state;",
		dir + "/state/keys is among its arguments and not opened to it: it is the gateway's state;",
		dir + "/link is among its arguments and not opened to it: it is or holds the home directory;",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes lack %q:\n%s", want, notes)
		}
	}
}

func TestAPackageRunnerGetsItsCacheAndItsRegistry(t *testing.T) {
	const servers = `{"mcpServers": {
		"npm": {"command": "npx", "args": ["-y", "p"], "env": {"A": "b"}},
		"py": {"command": "uvx", "args": ["p"]},
		"patient": {"command": "npx", "args": ["p"], "startTimeout": "9m"},
		"bare": {"command": "npx", "args": ["p"], "sandbox": "none"}}}`
	dir, env := project(t, servers, "bin/npx", "bin/uvx", "bin/uv", "bin/node", "lib/node_modules/")
	state := env["SALLYPORT_STATE"]
	for _, tt := range []struct {
		name, npmrc, etc, variable string
		reaches, registry          string
	}{
		{name: "nothing said", reaches: "registry.npmjs.org:443", registry: "https://registry.npmjs.org/"},
		{name: "the environment", variable: "http://mirror.example/npm/", npmrc: "registry=https://other.example/", reaches: "mirror.example:80", registry: "http://mirror.example/npm/"},
		{name: "the user's npmrc", npmrc: "//mirror.example/:_authToken=hunter2\nregistry = https://mirror.example:8443/\n", etc: "registry=https://other.example/", reaches: "mirror.example:8443", registry: "https://mirror.example:8443/"},
		{name: "the installation's npmrc", etc: "registry=\"https://mirror.example/\"\n", reaches: "mirror.example:443", registry: "https://mirror.example/"},
		{name: "a password in it", npmrc: "registry=https://u:hunter2@mirror.example/\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			writeIn(t, filepath.Dir(dir)+"/.npmrc", tt.npmrc)
			writeIn(t, dir+"/etc/npmrc", tt.etc)
			env["NPM_CONFIG_REGISTRY"] = tt.variable
			cfg := loaded(t, dir, env)
			npm := cfg.Servers["npm"]
			if got := strings.Join(npm.implied.egress, " "); got != tt.reaches {
				t.Errorf("reaches %q; want %q", got, tt.reaches)
			}
			got := npm.environment()
			if got["npm_config_registry"] != tt.registry || got["npm_config_cache"] != state+"/cache/npm" || got["A"] != "b" {
				t.Errorf("environment %v", got)
			}
			if !cmp.Equal(npm.implied.write, []string{state + "/cache/npm"}) || npm.StartTimeout != runnerStart {
				t.Errorf("writes %v, starts within %v", npm.implied.write, npm.StartTimeout)
			}
			if want := []string{dir + "/bin/node", dir + "/bin/uv", dir + "/lib/node_modules"}; !cmp.Equal(npm.implied.read, want) {
				t.Errorf("reads %v; want the installation, %v", npm.implied.read, want)
			}
			shown, err := cfg.Show()
			if err != nil || strings.Contains(string(shown), "hunter2") {
				t.Errorf("shown, %v:\n%s", err, shown)
			}
		})
	}
	cfg := loaded(t, dir, env)
	if got := cfg.Servers["py"].implied.egress; !cmp.Equal(got, []string{"files.pythonhosted.org:443", "pypi.org:443"}) {
		t.Errorf("uvx reaches %v", got)
	}
	if got := cfg.Servers["patient"].StartTimeout.String(); got != "9m" {
		t.Errorf("a start may take %s; want what the configuration says", got)
	}
	if bare := cfg.Servers["bare"].implied; bare.cache != "" || len(bare.egress) > 0 {
		t.Errorf("without a sandbox: %+v; want no profile", bare)
	}
}

func writeIn(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestProgramsAndFoldersThatAreNotThereAreNamed(t *testing.T) {
	dir, env := project(t, `{"mcpServers": {
"gone": {"command": "no-such-program"},
"path": {"command": "./nowhere"},
"folder": {"command": "./docs"},
"plain": {"command": "./plain"},
"reads": {"command": "srv",
 "sandbox": {"read": ["docs",
  "no/docs"], "write": ["no/out", "../state/keys", "../state/cache/reads"]}},
"stands": {"command": "srv", "cwd": "plain"}}}`, "docs/", "bin/srv", "policies/authz.rego", "../state/keys/", "../state/cache/reads/")
	if err := os.WriteFile(dir+"/plain", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	file := dir + "/.mcp.json"
	want := strings.Join([]string{
		file + ":2: mcpServers.gone.command: there is no program no-such-program in the gateway's PATH; install it, or write its path",
		file + ":3: mcpServers.path.command: " + dir + "/nowhere: no such file or directory",
		file + ":4: mcpServers.folder.command: " + dir + "/docs is a directory, not a program",
		file + ":5: mcpServers.plain.command: " + dir + "/plain is not executable; run: chmod +x " + dir + "/plain",
		file + ":8: mcpServers.reads.sandbox.read.1: " + dir + "/no/docs: no such file or directory; make it, or take it out",
		file + ":8: mcpServers.reads.sandbox.write.0: " + dir + "/no/out: no such file or directory; make it, or take it out",
		file + ":8: mcpServers.reads.sandbox.write.1: " + env["SALLYPORT_STATE"] + "/keys is the gateway's own (keys, secrets, its record) and stays out of every sandbox",
		file + ":9: mcpServers.stands.cwd: " + dir + "/plain is not a directory",
	}, "\n")
	err := loaded(t, dir, env).CheckFiles()
	if err == nil {
		t.Fatal("accepted")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWithoutPoliciesOneCommandIsNamed(t *testing.T) {
	dir, env := project(t, `{"mcpServers": {"files": {"command": "srv"}}}`, "bin/srv")
	file := dir + "/.mcp.json"
	want := file + ": policies: " + dir + "/policies: no such file or directory; without policies nothing could be allowed. A starter policy is written by: sallyport init --config " + file
	if err := loaded(t, dir, env).CheckFiles(); err == nil || err.Error() != want {
		t.Errorf("error %v\nwant %s", err, want)
	}
}

func TestWhatIsShownOfACommandIsAConfigurationOfTheSameMeaning(t *testing.T) {
	dir, env := project(t, `{"mcpServers": {
		"files": {"command": "npx", "args": ["-y", "pkg", "docs"], "env": {"KEY": "hunter2"}, "alwaysLoad": true},
		"bare": {"command": "srv", "sandbox": "none", "instance": "shared"}}}`, "bin/npx", "bin/srv", "docs/")
	cfg := loaded(t, dir, env)
	shown, err := cfg.Show()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# files: a program in a sandbox, one process for each grant\n", "#   runs         " + dir + "/bin/npx\n",
		"#   reads        " + dir + "/docs\n", "#   writes       " + env["SALLYPORT_STATE"] + "/cache/files\n", "#   reaches      registry.npmjs.org:443\n",
		"#   environment  KEY, PATH, npm_config_audit, ", "#   credentials  none\n",
		"# bare: a program WITHOUT a sandbox, with all rights of the gateway, one process for everybody\n", "#   reads        everything that the gateway may\n",
		"KEY: (masked)", "sandbox: none",
	} {
		if !strings.Contains(string(shown), want) {
			t.Errorf("lacks %q", want)
		}
	}
	if strings.Contains(string(shown), "hunter2") || strings.Contains(string(shown), "url:") || t.Failed() {
		t.Errorf("shown:\n%s", shown)
	}
	if notes := strings.Join(cfg.Notes(), "\n"); !strings.Contains(notes, "mcpServers.files.alwaysLoad is for clients and means nothing here") {
		t.Errorf("notes: %s", notes)
	}
	writeIn(t, dir+"/.mcp.json", string(shown))
	again := loaded(t, dir, env)
	for i, a := range again.Access() {
		if diff := cmp.Diff(cfg.Access()[i], a); diff != "" {
			t.Errorf("read again (-first +again):\n%s", diff)
		}
	}
}

// A program that could change the policy, the configuration or the state would decide what it may
// do: both are followed while the gateway runs.
func TestAServerMayNotWriteWhatDecides(t *testing.T) {
	dir, env := project(t, `{"mcpServers": {
"all": {"command": "srv", "sandbox": {"write": ["."]}},
"rules": {"command": "srv", "sandbox": {"write": ["policies"]}},
"above": {"command": "srv", "sandbox": {"write": [".."]}},
"fine": {"command": "srv", "sandbox": {"write": ["docs"]}}}}`, "docs/", "bin/srv", "policies/authz.rego")
	err := loaded(t, dir, env).CheckFiles()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		dir + "/.mcp.json:2: mcpServers.all.sandbox.write.0: " + dir + " holds the configuration (" + dir + "/.mcp.json): a server that can change that decides what it may do; name a directory beside it",
		dir + "/.mcp.json:3: mcpServers.rules.sandbox.write.0: " + dir + "/policies holds the policies (" + dir + "/policies): a server that can change that decides what it may do; name a directory beside it",
		dir + "/.mcp.json:4: mcpServers.above.sandbox.write.0: " + filepath.Dir(dir) + " holds ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "mcpServers.fine") {
		t.Errorf("a folder beside them: %v", err)
	}
}

// A configuration that was named by a relative path, as people do, is guarded like any other.
func TestARelativeConfigurationIsGuardedAsWell(t *testing.T) {
	dir, env := project(t, `{"mcpServers": {"all": {"command": "srv", "sandbox": {"write": ["."]}}}}`, "bin/srv", "policies/authz.rego")
	t.Chdir(dir)
	cfg, err := Load(".mcp.json", env)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.CheckFiles(); err == nil || !strings.Contains(err.Error(), "holds the configuration") {
		t.Errorf("a server that may write the configuration: %v", err)
	}
	secret, deciding := cfg.Own()
	if !slices.Contains(secret, cfg.State) {
		t.Errorf("secrets %v; want the state among them", secret)
	}
	for _, want := range []string{filepath.Join(dir, ".mcp.json"), filepath.Join(dir, "policies"), filepath.Join(dir, "bin/srv")} {
		if !slices.Contains(deciding, want) {
			t.Errorf("what decides is %v; want %s among it", deciding, want)
		}
	}
}
