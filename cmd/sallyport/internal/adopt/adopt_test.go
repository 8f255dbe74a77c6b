package adopt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const clients = `{"mcpServers": {"a": {"command": "sh", "env": {"TOKEN": "hunter2"}}, "b": {"url": "http://127.0.0.1:1/"}}}`

func plan(t *testing.T) *Plan {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, ".mcp.json")
	if err := os.WriteFile(file, []byte(clients), 0o640); err != nil {
		t.Fatal(err)
	}
	p, err := Make(Options{File: file, Out: filepath.Join(dir, "sallyport.yaml"), Role: "reader", Program: "/bin/sallyport", Environ: map[string]string{"PATH": "/bin"}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAWriteThatFailsLeavesNothingBehind(t *testing.T) {
	for name, disturb := range map[string]func(p *Plan) error{
		"the client's file has changed": func(p *Plan) error { return os.WriteFile(p.File, []byte("{}"), 0o600) },
		"a backup has come":             func(p *Plan) error { return os.WriteFile(p.Backup, []byte("theirs"), 0o600) },
		"a configuration has come":      func(p *Plan) error { return os.WriteFile(p.Out, []byte("theirs"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			p := plan(t)
			if err := disturb(p); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(p.File)
			if err := p.Write(); err == nil {
				t.Fatal("written")
			}
			if after, err := os.ReadFile(p.File); err != nil || string(after) != string(before) {
				t.Errorf("the client's file is %q, %v", after, err)
			}
			for _, path := range []string{p.Backup, p.Out, p.Secrets[0].Path} {
				if data, err := os.ReadFile(path); err == nil && string(data) != "theirs" {
					t.Errorf("%s stayed behind: %q", path, data)
				}
			}
		})
	}
}

func TestALinkIsFollowedAndTheModeKept(t *testing.T) {
	p := plan(t)
	real := filepath.Join(t.TempDir(), "real.json")
	if err := os.Rename(p.File, real); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, p.File); err != nil {
		t.Fatal(err)
	}
	if err := p.Write(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(real)
	if err != nil || !strings.Contains(string(data), `"connect",`) {
		t.Errorf("behind the link: %s, %v", data, err)
	}
	if err := Undo(p.File, false); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(real)
	if data, _ := os.ReadFile(real); err != nil || string(data) != clients || info.Mode().Perm() != 0o640 {
		t.Errorf("after undo: %q, %v; want it as it was, mode 0640", data, info.Mode())
	}
}
