package agent_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/gateway/agent"
	"sallyport/gateway/sandbox"
)

func TestMain(m *testing.M) {
	if sandbox.Reexecuted() {
		sandbox.Main()
	}
	os.Exit(m.Run())
}

// person is somebody with a HOME and a project in it.
type person struct {
	home, project string
	config        agent.BoxConfig
}

func newPerson(t *testing.T, script string) *person {
	t.Helper()
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := &person{home: home, project: filepath.Join(home, "src", "project")}
	for name, text := range map[string]string{"src/project/README": "the project", "src/project/.git/config": "[core]\n", "src/other/notes": "not to be seen",
		".aws/credentials": "not to be seen", ".gitconfig": "not to be seen", ".claude.json": "{}", ".claude/settings.json": "{}", ".claude/CLAUDE.md": "rules",
		".claude/projects/-other/a.jsonl": "not to be seen", "state/keys/k": "not to be seen"} {
		put(t, home, name, text)
	}
	p.config = agent.BoxConfig{Command: "/bin/sh", Args: []string{"-c", script}, Folder: p.project, Home: home, Hide: []string{home + "/state"},
		Environ: map[string]string{"HOME": home, "PATH": os.Getenv("PATH"), "AWS_SECRET_ACCESS_KEY": "not to be seen", "GITHUB_TOKEN": "not to be seen",
			"ANTHROPIC_API_KEY": "the model's", "ANTHROPIC_CUSTOM_HEADERS": "not to be seen", "LC_ALL": "C.UTF-8", "SSH_AUTH_SOCK": "/run/agent.sock"}}
	return p
}

// run runs the box to its end and returns what the agent printed, and what was logged.
func (p *person) run(t *testing.T) (out, log string, err error) {
	t.Helper()
	b, err := agent.NewBox(p.config)
	if err != nil {
		t.Fatal(err)
	}
	out, log, err = p.runIn(t, b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return out, log, err
}

// box runs the box to its end and returns it.
func (p *person) box(t *testing.T) (*agent.Box, string) {
	t.Helper()
	b, err := agent.NewBox(p.config)
	if err != nil {
		t.Fatal(err)
	}
	out, _, _ := p.runIn(t, b)
	return b, out
}

func (p *person) runIn(t *testing.T, b *agent.Box) (out, log string, err error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	proc, err := b.Start(t.Context(), nil, w, w, slog.New(slog.NewTextHandler(&said, nil)))
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	relay := &agent.Relay{Log: slog.New(slog.DiscardHandler), Serve: func(_ context.Context, endpoint string, _ io.Reader, out io.Writer) {
		_, _ = io.WriteString(out, "relayed "+endpoint+"\n")
	}}
	go func() { _ = relay.Run(t.Context(), proc.Relay()) }()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	err = proc.Wait() // and no more is logged
	return string(text), said.String(), err
}

// TestAnAgentSeesItsFolderAndNothingElseOfHOME lists what a shell in the box finds.
func TestAnAgentSeesItsFolderAndNothingElseOfHOME(t *testing.T) {
	p := newPerson(t, `cat README; cat ~/.aws/credentials ~/.gitconfig ../other/notes ~/state/keys/k ~/.claude/CLAUDE.md ~/.claude.json; ls -A ~ ~/src ~/state; env; ps ax 2>/dev/null; ls /proc | grep -c '^[0-9]'`)
	out, log, _ := p.run(t)
	if !strings.HasPrefix(out, "the project") || strings.Contains(out, "not to be seen") || strings.Contains(out, "the model's") || strings.Contains(out, "agent.sock") {
		t.Errorf("it saw:\n%s", out)
	}
	for _, want := range []string{"LC_ALL=C.UTF-8", "HOME=" + p.home, "/src:\nproject\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in what it saw:\n%s", want, out)
		}
	}
	if !strings.Contains(log, p.home+"/.aws/credentials") || !strings.Contains(log, p.home+"/src/other/notes") {
		t.Errorf("the log does not say what it tried:\n%s", log)
	}
}

func TestWhatAnAgentLeavesOutsideItsFolderIsGone(t *testing.T) {
	left := "/tmp/left-" + rand.Text()
	p := newPerson(t, `echo evil >> ~/.bashrc; mkdir -p ~/.config/autostart; echo evil > ~/.config/autostart/x; echo evil > `+left+`;
		echo evil > ~/.claude.json; echo evil > ~/.claude/settings.json; mkdir -p ~/.claude/skills; echo evil > ~/.claude/skills/x; echo mine > result; cat ~/.claude.json`)
	p.config.Profile = "claude"
	out, _, err := p.run(t)
	if err != nil || !strings.HasSuffix(out, "evil\n") {
		t.Errorf("%v: %s; want it to have its own .claude.json", err, out)
	}
	for name, want := range map[string]string{".bashrc": "", ".config": "", ".claude/skills": "", ".claude.json": "{}", ".claude/settings.json": "{}", "src/project/result": "mine\n"} {
		if got, _ := os.ReadFile(filepath.Join(p.home, name)); string(got) != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s was left: %v", left, err)
	}
}

// TestTheProfileOfClaudeShowsItsConfigurationAndKey shows what Claude Code needs, and no more.
func TestTheProfileOfClaudeShowsItsConfigurationAndKey(t *testing.T) {
	p := newPerson(t, `cat ~/.claude/CLAUDE.md ~/.claude/settings.json ~/.claude.json; echo $ANTHROPIC_API_KEY $ANTHROPIC_CUSTOM_HEADERS; ls ~/.claude/projects; cd ~/.claude/projects/*/ && echo s > session`)
	p.config.Profile = "claude"
	out, _, err := p.run(t)
	dashed := strings.NewReplacer("/", "-", ".", "-", "_", "-").Replace(p.project)
	if want := "rules{}{}the model's\n" + dashed + "\n"; err != nil || out != want {
		t.Errorf("%v: it saw %q, want %q", err, out, want)
	}
	if got, err := os.ReadFile(filepath.Join(p.home, ".claude/projects", dashed, "session")); string(got) != "s\n" {
		t.Errorf("its session is not kept: %v", err)
	}
}

// TestFilesThatRunLaterAreGuarded tries each way to have git run something outside the box.
func TestFilesThatRunLaterAreGuarded(t *testing.T) {
	p := newPerson(t, `echo evil >> .git/config; echo evil > .git/hooks/pre-commit; mv .git .git2; mv .git/hooks .git/x; rm -f .git/config; mv .mcp.json x; echo evil > .mcp.json; echo fine > .git/index`)
	put(t, p.project, ".mcp.json", "{}")
	out, _, _ := p.run(t)
	for name, want := range map[string]string{".git/config": "[core]\n", ".git/hooks/pre-commit": "", ".mcp.json": "{}", ".git/index": "fine\n", ".git2/config": ""} {
		if got, _ := os.ReadFile(filepath.Join(p.project, name)); string(got) != want {
			t.Errorf("%s holds %q, want %q\n%s", name, got, want, out)
		}
	}
}

// TestTheNetworkOfAnAgentIsWhatIsListed has the agent ask a server that is listed and one that is
// not, by proxy, directly and by other protocols.
func TestTheNetworkOfAnAgentIsWhatIsListed(t *testing.T) {
	serve := func(text string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }))
		t.Cleanup(s.Close)
		return s
	}
	listed, other := serve("the model\n"), serve("not to be seen")
	p := newPerson(t, `ask() { exec 3<>/dev/tcp/127.0.0.1/$1 && printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$2" "$3" >&3 && cat <&3; }
		ask 3128 "http://$LISTED/" $LISTED; ask 3128 "http://$OTHER/" $OTHER; ask ${OTHER#*:} / $OTHER; echo x > /dev/udp/127.0.0.1/53`)
	p.config.Command = "/bin/bash"
	host := func(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }
	p.config.Set = map[string]string{"LISTED": host(listed), "OTHER": host(other)}
	p.config.Allow = []string{host(listed)}
	out, log, _ := p.run(t)
	if !strings.Contains(out, "\r\nthe model\n") || !strings.Contains(out, host(other)+" is not allowed: give `sallyport run` --allow "+host(other)+"; the gateway is reached by `sallyport connect`") || strings.Contains(out, "not to be seen") {
		t.Errorf("it got:\n%s", out)
	}
	if !strings.Contains(log, "egress refused") || !strings.Contains(log, "socket (IPv4 datagram)") {
		t.Errorf("the log does not say what it tried:\n%s", log)
	}
}

// TestTestsRunInTheBox has a test that listens at its own loopback, as tests do.
func TestTestsRunInTheBox(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatal("this test needs git, as everybody who builds this has")
	}
	where, err := exec.Command("go", "env", "GOROOT", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	goroot, cache, _ := strings.Cut(strings.TrimSpace(string(where)), "\n")
	p := newPerson(t, `git init -q . && git add README && git -c user.name=a -c user.email=a@b commit -qm one && git log --oneline && go test . && exec 3<>/dev/tcp/127.0.0.1/3129 && echo hello >&3 && cat <&3`)
	p.config.Command = "/bin/bash"
	if err := os.RemoveAll(filepath.Join(p.project, ".git")); err != nil {
		t.Fatal(err)
	}
	put(t, p.project, "go.mod", "module x\n\ngo 1.26\n")
	put(t, p.project, "x_test.go", `package x

import ("net/http"; "net/http/httptest"; "testing")

func TestServer(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	if r, err := http.Get(s.URL); err != nil || r.StatusCode != 404 { t.Fatal(err) }
}
`)
	p.config.Read, p.config.Write = []string{goroot}, []string{cache} // or it would compile the standard library anew
	p.config.Set = map[string]string{"GOCACHE": cache, "GOTOOLCHAIN": "local", "PATH": goroot + "/bin:" + os.Getenv("PATH")}
	out, _, err := p.run(t)
	if err != nil || !strings.Contains(out, "one\nok  \tx\t") || !strings.HasSuffix(out, "relayed \n") {
		t.Errorf("%v: %s", err, out)
	}
}
