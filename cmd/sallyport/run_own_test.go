package main

import (
	"bytes"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/gateway/admin"
	"sallyport/gateway/config"
)

// What the gateway is configured by can be seen in the box and not changed, however it was named.
func TestAnAgentCannotConfigureItsGateway(t *testing.T) {
	r := newConnectRig(t, aReader)
	for name, args := range map[string][]string{"by a relative path": {"--config", "gate.yaml"}, "by the environment": nil} {
		p := r.run(append(args, "--sandbox", "--", "sh", "-c", "echo evil >> gate.yaml; mv gate.yaml x; echo evil > policies/x.rego")...)
		const text = "state: ../../state\npolicies: ./policies\nmcpServers: {a: {url: \"http://127.0.0.1:9/mcp\"}}\n"
		for _, dir := range []string{filepath.Join(p.project, "policies"), filepath.Join(p.home, "../state")} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		p.put("project/gate.yaml", text)
		p.put("project/policies/authz.rego", "package mcp.authz\n")
		if args == nil {
			p.cmd.Env = append(p.cmd.Env, "SALLYPORT_CONFIG=gate.yaml")
		}
		p.end()
		if got, err := os.ReadFile(filepath.Join(p.project, "gate.yaml")); err != nil || string(got) != text {
			t.Errorf("%s: the configuration is %q, %v; talk:\n%s", name, got, err, p.talk.String())
		}
		if _, err := os.Stat(filepath.Join(p.project, "policies/x.rego")); err == nil {
			t.Errorf("%s: it has a policy of its own in place", name)
		}
		if !strings.Contains(p.talk.String(), "Read-only file system") {
			t.Errorf("%s: it was not refused; talk:\n%s", name, p.talk.String())
		}
	}
}

// Another user of the machine, who can read the configuration, finds the socket that is for all.
func TestAnotherUserAsksAtTheSocketForAll(t *testing.T) {
	shared := &config.Config{State: "/var/lib/s", Admin: config.Admin{Socket: "/run/s.sock"}}
	for _, tt := range []struct {
		cfg  *config.Config
		err  error
		want string
	}{
		{shared, fs.ErrPermission, "/run/s.sock"},
		{shared, nil, "/var/lib/s/admin.sock"},
		{shared, fs.ErrNotExist, "/var/lib/s/admin.sock"}, // no gateway runs, and who may open the state does
		{&config.Config{State: "/var/lib/s"}, fs.ErrPermission, "/var/lib/s/admin.sock"},
	} {
		if got := oneOf(tt.cfg, tt.err); got != tt.want {
			t.Errorf("with %v and %q for all: %s, want %s", tt.err, tt.cfg.Admin.Socket, got, tt.want)
		}
	}
}

func TestAGrantThatCannotBeEndedIsNamed(t *testing.T) {
	var said bytes.Buffer
	s := &socketSource{client: admin.Dial("/nowhere/s"), log: slog.New(slog.NewTextHandler(&said, nil)), grant: "gr_x", made: true}
	s.close(t.Context())
	if !strings.Contains(said.String(), "end it with `sallyport grant revoke gr_x`") || !strings.Contains(said.String(), "no gateway listens at /nowhere/s") {
		t.Errorf("it says %s", said.String())
	}
}

func TestRunNamesWhatIsMissing(t *testing.T) {
	s := shell{t, []string{"HOME=" + t.TempDir()}}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"run"}, "which command? Write it behind --, as in `sallyport run --role reader -- claude`"},
		{[]string{"run", "--sandbox", "claud", "--", "true"}, "claud: not found on the PATH, or not a program; a profile of the box is written --sandbox=claud"},
	} {
		if code, _, talk := s.run(tt.args...); code != exitUsage || !strings.Contains(talk, tt.want) {
			t.Errorf("%q: exit %d, %s; want 2 and %q", tt.args, code, talk, tt.want)
		}
	}
}
