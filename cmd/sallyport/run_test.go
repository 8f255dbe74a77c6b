package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sallyport/gateway/admin"
	"sallyport/identity/grant"
)

// running is a `sallyport run` in a process of its own, in a project of a HOME of its own.
type running struct {
	t             *testing.T
	home, project string
	cmd           *exec.Cmd
	out, talk     bytes.Buffer
}

func (r *connectRig) run(args ...string) *running {
	r.t.Helper()
	return runIn(r.t, []string{"SALLYPORT_SOCKET=" + r.socket}, args...)
}

// runIn lays out the process and does not start it.
func runIn(t *testing.T, env []string, args ...string) *running {
	t.Helper()
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := &running{t: t, home: home, project: filepath.Join(home, "project")}
	for _, dir := range []string{p.project, filepath.Join(home, ".aws")} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p.put(".aws/credentials", "not to be seen")
	p.cmd = exec.Command("sallyport", append([]string{"run"}, args...)...)
	p.cmd.Dir = p.project
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + os.TempDir(), "AWS_SECRET_ACCESS_KEY=not to be seen"}, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.talk
	return p
}

func (p *running) put(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.home, name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// end runs it to its end and returns its exit code.
func (p *running) end() int {
	p.t.Helper()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	return p.wait()
}

func (p *running) wait() int {
	p.t.Helper()
	err := p.cmd.Wait()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		return ended.ExitCode()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return 0
}

// untilSays starts it and waits until its command has said a word.
func (p *running) untilSays(word string) {
	p.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	p.cmd.Stdout = w
	err = p.cmd.Start()
	_ = w.Close()
	if err != nil {
		p.t.Fatal(err)
	}
	said := make([]byte, len(word))
	if _, err := io.ReadFull(r, said); err != nil || string(said) != word {
		p.t.Fatalf("the command said %q, %v; want %q; talk:\n%s", said, err, word, p.talk.String())
	}
}

const asks = `printf '{"jsonrpc":"2.0","id":1,"method":"tools/list"}\n' | sallyport connect `

func TestRunGivesItsCommandAGrantAndCompletesIt(t *testing.T) {
	for _, box := range [][]string{nil, {"--sandbox"}} {
		r := newConnectRig(t, aReader)
		p := r.run(append(box, "--role", "reader", "--tools", "files.read_*", "--ttl", "10m", "--task", "JIRA-1", "--max-calls", "7", "--",
			"sh", "-c", `echo $SALLYPORT_GRANT $SALLYPORT_RELAY; env | grep -c eyJ; `+asks+r.url+`; cat > copied; exit 7`)...)
		p.cmd.Stdin = strings.NewReader("its input")
		if code := p.end(); code != 7 {
			t.Errorf("%q: exit %d; want 7, the command's; talk:\n%s", box, code, p.talk.String())
		}
		g := r.one()
		want := g.ID + " 1\n0\n" + `{"jsonrpc":"2.0","id":1,"result":{"subject":"dev","roles":"reader","proof":"dpop"}}` + "\n"
		if p.out.String() != want {
			t.Errorf("%q: the command printed\n%s\nwant\n%s\ntalk:\n%s", box, p.out.String(), want, p.talk.String())
		}
		if g.JKT == "" || g.Task != "JIRA-1" || g.MaxCalls != 7 || g.ClientID != "run" || g.EndedWhy != "run ended" || fmt.Sprint(g.Tools) != "[files.read_*]" || g.State != grant.Completed {
			t.Errorf("%q: grant = %+v; want what the flags say, bound to a key, and completed", box, g)
		}
		if got, _ := os.ReadFile(filepath.Join(p.project, "copied")); string(got) != "its input" {
			t.Errorf("%q: the command read %q", box, got)
		}
		if want := "sallyport: grant " + g.ID + " for reader until "; !strings.HasPrefix(p.talk.String(), want) {
			t.Errorf("%q: talk is\n%s\nwant it to begin with %q", box, p.talk.String(), want)
		}
	}
}

func TestRunCompletesItsGrantOnSignals(t *testing.T) {
	for _, box := range [][]string{nil, {"--sandbox"}} {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
			r := newConnectRig(t, aReader)
			p := r.run(append(box, "--", "sh", "-c", `trap 'exit 9' TERM INT HUP; echo ready; while :; do sleep 0.05; done`)...)
			p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal's keys
			p.untilSays("ready")
			if err := p.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if code := p.wait(); code != 9 {
				t.Errorf("%q %v: exit %d; want 9, the command's; talk:\n%s", box, sig, code, p.talk.String())
			}
			if g := r.one(); g.State != grant.Completed {
				t.Errorf("%q %v: the grant is %s; want completed", box, sig, g.State)
			}
		}
	}
}

// The path of a socket is bounded, and that of the temporary directory is not run's to choose.
func TestRunWorksBelowALongTemporaryFolder(t *testing.T) {
	for _, box := range [][]string{nil, {"--sandbox"}} {
		r := newConnectRig(t, aReader)
		long := filepath.Join(t.TempDir(), strings.Repeat("x", admin.MaxPath))
		if err := os.Mkdir(long, 0o700); err != nil {
			t.Fatal(err)
		}
		p := r.run(append(box, "--", "sh", "-c", asks+r.url)...)
		p.cmd.Env = append(p.cmd.Env, "TMPDIR="+long)
		if code := p.end(); code != exitFine || !strings.Contains(p.out.String(), `"proof":"dpop"`) {
			t.Errorf("%q: exit %d, %q; want the gateway's answer; talk:\n%s", box, code, p.out.String(), p.talk.String())
		}
		if left, _ := os.ReadDir(long); len(left) != 0 {
			t.Errorf("%q: %v was left behind", box, left)
		}
	}
}

func TestRunThatIsKilledLeavesNoGrant(t *testing.T) {
	for _, box := range [][]string{nil, {"--sandbox"}} {
		r := newConnectRig(t, aReader)
		p := r.run(append(box, "--", "sh", "-c", `echo ready; exec sleep 20`)...)
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		p.cmd.Stderr = nil // or its command, which lives on, would be waited for
		p.untilSays("ready")
		group := -p.cmd.Process.Pid
		t.Cleanup(func() { _ = syscall.Kill(group, syscall.SIGKILL) })
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = p.cmd.Wait() // killed
		err := until("the grant is completed", func() (bool, string) {
			g := r.one()
			return g.State == grant.Completed, string(g.State)
		})
		if err != nil {
			t.Errorf("%q: %v", box, err)
		}
	}
}

// TestRunInABoxShowsTheCommandItsFolderAlone looks for what an agent was seen to read and send.
func TestRunInABoxShowsTheCommandItsFolderAlone(t *testing.T) {
	r := newConnectRig(t, aReader)
	p := r.run("--sandbox", "--", "sh", "-c", `cat ~/.aws/credentials; ls -A ~; env; cat /proc/[0-9]*/environ | tr '\0' '\n'; ls -la `+r.socket+`; echo kept > here`)
	p.end()
	for _, secret := range []string{"not to be seen", r.socket + "\n", "SALLYPORT_SOCKET=" + r.socket} {
		if strings.Contains(p.out.String(), secret) {
			t.Errorf("it saw %q:\n%s", secret, p.out.String())
		}
	}
	for _, want := range []string{"\nproject\n", "SALLYPORT_SOCKET=tcp:127.0.0.1:3129\n"} {
		if !strings.Contains("\n"+p.out.String(), want) {
			t.Errorf("it did not see %q:\n%s", want, p.out.String())
		}
	}
	if got, _ := os.ReadFile(filepath.Join(p.project, "here")); string(got) != "kept\n" {
		t.Errorf("what it wrote in its folder is %q", got)
	}
	if want := "level=WARN msg=\"sandbox hid a file\" server=sh tried=\"read " + p.home + "/.aws/credentials\""; !strings.Contains(p.talk.String(), want) {
		t.Errorf("talk:\n%s\nwant %s", p.talk.String(), want)
	}
}

func TestRunLogsToAFileWhereAsked(t *testing.T) {
	r := newConnectRig(t, aReader)
	p := r.run("--sandbox", "--log", "../log", "--", "cat", "../.aws/credentials")
	if code := p.end(); code != 1 {
		t.Errorf("exit %d; want 1, the command's", code)
	}
	if got, _ := os.ReadFile(filepath.Join(p.home, "log")); !strings.Contains(string(got), ".aws/credentials") {
		t.Errorf("the log holds %q", got)
	}
	if strings.Contains(p.talk.String(), "WARN") || !strings.Contains(p.talk.String(), "what went wrong, and what the command tried in vain, is in ../log") {
		t.Errorf("talk:\n%s", p.talk.String())
	}
}

func TestRunMeasuresTheFilesOfItsFolder(t *testing.T) {
	r := newConnectRig(t, aReader)
	p := r.run("--measure", "AGENTS.md", "--measure", "nothing/**", "--", "true")
	p.put("project/AGENTS.md", "be good")
	if code := p.end(); code != 0 {
		t.Errorf("exit %d; talk:\n%s", code, p.talk.String())
	}
	if g := r.one(); !strings.HasPrefix(g.Measured, "sha256:") {
		t.Errorf("the grant's measured is %q", g.Measured)
	}
	if want := "--measure nothing/** matches no file"; !strings.Contains(p.talk.String(), want) {
		t.Errorf("talk:\n%s\nwant %q", p.talk.String(), want)
	}
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	r := newConnectRig(t, aReader)
	socket := []string{"SALLYPORT_SOCKET=" + r.socket}
	for _, tt := range []struct {
		name string
		env  []string
		args []string
		code int
		want string
	}{
		{"no command", socket, nil, exitUsage, "which command? Write it behind --"},
		{"a command that is not there", socket, []string{"--", "nosuch"}, exitUsage, "nosuch: not found on the PATH, or not a program"},
		{"no gateway", []string{"SALLYPORT_SOCKET=/nowhere/s"}, []string{"--", "true"}, exitFailed, "no gateway listens at /nowhere/s: is `sallyport serve` running"},
		{"a role that does not exist", socket, []string{"--role", "raeder", "--", "true"}, exitNo, `no policy mentions the role "raeder"; did you mean reader?`},
		{"inside another", append(socket, "SALLYPORT_RELAY=1"), []string{"--", "true"}, exitUsage, "this runs below `sallyport run` already"},
		{"a box's flag without a box", socket, []string{"--allow", "example.com", "--", "true"}, exitUsage, "--allow says what may be seen from a box, and there is none: add --sandbox"},
		{"another profile", socket, []string{"--sandbox=emacs", "--", "true"}, exitUsage, `no profile is called "emacs"; there are: claude`},
		{"a variable that is not there", socket, []string{"--sandbox", "--env", "NOSUCH", "--", "true"}, exitUsage, "--env NOSUCH: there is no such variable here; set it, or write NAME=VALUE"},
		{"a host that is no host", socket, []string{"--sandbox", "--allow", "https://example.com", "--", "true"}, exitUsage, `entry "https://example.com" has a scheme`},
		{"the whole of HOME to read", socket, []string{"--sandbox", "--read", "..", "--", "true"}, exitUsage, "holds your whole HOME, and a box shows nothing of it but what is named; name folders below it"},
		{"a folder that is not there", socket, []string{"--sandbox", "--write", "nosuch", "--", "true"}, exitUsage, "nosuch does not exist"},
		{"a wrong glob", socket, []string{"--measure", "/etc/*", "--", "true"}, exitUsage, `measure "/etc/*": an absolute path`},
		{"a URL that is no gateway's", socket, []string{"--url", "http://x/", "--", "true"}, exitUsage, "--url http://x/: want the URL of a gateway's /mcp"},
		{"a source without a URL", socket, []string{"--from", "file:/x", "--", "true"}, exitUsage, "--from file needs the gateway's URL (--url https://…/mcp)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := runIn(t, tt.env, tt.args...)
			if code := p.end(); code != tt.code || !strings.Contains(p.talk.String(), tt.want) {
				t.Errorf("exit %d, talk:\n%s\nwant %d and %q", code, p.talk.String(), tt.code, tt.want)
			}
		})
	}
	if all := r.grants.List(grant.Filter{All: true}); len(all) != 0 {
		t.Errorf("%d grants were made; want none", len(all))
	}
}

func TestRunInHOMEItselfIsRefused(t *testing.T) {
	r := newConnectRig(t, aReader)
	p := r.run("--sandbox", "--", "true")
	p.cmd.Dir = p.home
	if code := p.end(); code != exitUsage || !strings.Contains(p.talk.String(), "change into the folder of your project") {
		t.Errorf("exit %d, talk:\n%s", code, p.talk.String())
	}
}

func TestRunServesNoClientOfAnotherGateway(t *testing.T) {
	r := newConnectRig(t, admin.LocalRule{User: "dev", Roles: []string{"reader"}})
	p := r.run("--", "sh", "-c", asks+"https://elsewhere.example/mcp")
	p.end()
	if !strings.HasPrefix(p.out.String(), `{"jsonrpc":"2.0","id":1,"error":`) || !strings.Contains(p.out.String(), "correct the URL of `sallyport connect`") {
		t.Errorf("the client got %s", p.out.String())
	}
}
