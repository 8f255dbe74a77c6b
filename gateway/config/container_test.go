package config

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAContainerGetsWhatTheConfigurationNames(t *testing.T) {
	dir, env := project(t, `{"mcpServers": {"files": {"command": "server", "args": ["--root", "/srv"], "env": {"KEY": "hunter2"}, "cwd": "docs",
		"sandbox": {"type": "container", "image": "files:1", "read": ["docs"], "write": ["out"], "memory": "64MiB", "processes": 7, "files": 99, "cpuTime": "1m", "tmp": "2MiB", "fileSize": "3MiB"}}}}`,
		"docs/", "out/", "bin/docker")
	s := loaded(t, dir, env).Servers["files"]
	got := s.container("sallyport-files-x", []string{"KEY"}, 1000, 100)
	want := strings.Fields(`run --rm --interactive --init --name sallyport-files-x --pull never --network none --read-only --cap-drop ALL
		--security-opt no-new-privileges --user 1000:100 --pids-limit 7 --memory 67108864 --ulimit nofile=99 --ulimit fsize=3145728 --ulimit cpu=60 --ulimit core=0
		--tmpfs /tmp:rw,nosuid,nodev,size=2097152,mode=1777 --env HOME=/tmp --env TMPDIR=/tmp --env KEY
		--mount type=bind,readonly,source=` + dir + `/docs,target=` + dir + `/docs --mount type=bind,source=` + dir + `/out,target=` + dir + `/out
		--workdir ` + dir + `/docs files:1 server --root /srv`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if s.implied.program != dir+"/bin/docker" {
		t.Errorf("runs %s; want docker, the one that is there", s.implied.program)
	}
	s.implied.runtime = "podman"
	if got := strings.Join(s.container("n", nil, 1000, 100), " "); !strings.Contains(got, " --userns keep-id ") {
		t.Errorf("podman is not told whose the folders are: %s", got)
	}
}

func TestWithoutARuntimeAContainerIsRefused(t *testing.T) {
	for sandbox, want := range map[string]string{
		`"type": "container", "image": "i"`:                      "a container needs podman or docker, and neither is in the gateway's PATH; install one",
		`"type": "container", "image": "i", "runtime": "podman"`: "there is no program podman in the gateway's PATH; install it, or write its path",
	} {
		dir, env := project(t, `{"mcpServers": {"files": {"command": "server", "sandbox": {`+sandbox+`}}}}`, "policies/")
		err := loaded(t, dir, env).CheckFiles()
		if err == nil || !strings.HasSuffix(err.Error(), ":1: mcpServers.files.command: "+want) {
			t.Errorf("error %v; want %s", err, want)
		}
	}
}

// The runtime of this test runs the program as it is, and notes what it was told.
func TestAServerInAContainerIsServedAndEnds(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	i := install(t, "http://127.0.0.1:1/")
	i.write("sallyport.yaml", "mcpServers:\n  a: {command: anything, env: {GIVEN: hunter2}, sandbox: {type: container, image: i, runtime: podman}}\n")
	i.write("bin/podman", "#!/bin/sh\nif [ \"$1\" = kill ]; then echo \"$2\" >>"+i.dir+"/killed; exit; fi\necho \"$@\" >"+i.dir+"/told\nexec "+program+" serve-stdio\n")
	if err := os.Chmod(i.dir+"/bin/podman", 0o700); err != nil {
		t.Fatal(err)
	}
	i.environ = map[string]string{"PATH": i.dir + "/bin:/usr/bin:/bin"}
	i.open()
	if text := i.callModern("/mcp/a", "read"); !strings.Contains(text, `"GIVEN=hunter2"`) {
		t.Errorf("the program was not given its variable: %s", text)
	}
	told, err := os.ReadFile(i.dir + "/told")
	if err != nil || strings.Contains(string(told), "hunter2") || !strings.HasSuffix(string(told), " --env GIVEN i anything\n") {
		t.Errorf("the runtime was told %q, %v; want no value in it", told, err)
	}
	_, name, _ := strings.Cut(string(told), "--name ")
	name, _, _ = strings.Cut(name, " ")
	c := &contained{deadChild{}, i.dir + "/bin/podman", name}
	c.Kill()
	if killed, err := os.ReadFile(i.dir + "/killed"); err != nil || strings.TrimSpace(string(killed)) != name || name == "" {
		t.Errorf("killed %q, %v; want %q", killed, err, name)
	}
}

// deadChild has ended.
type deadChild struct{}

func (deadChild) Wait() error { return nil }
func (deadChild) Kill()       {}
func (deadChild) Pid() int    { return 0 }
