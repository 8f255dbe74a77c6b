package sandbox

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// startShell runs a script, whose output is returned as it comes.
func startShell(t *testing.T, s Spec, script string) (*Process, *os.File) {
	t.Helper()
	s.Name, s.Command, s.Args = "test", "/bin/sh", []string{"-c", script}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	p, err := Start(s, nil, w, w, slog.New(slog.DiscardHandler))
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return p, r
}

func TestASignalReachesTheProgram(t *testing.T) {
	p, out := startShell(t, Spec{}, `trap 'exit 9' TERM; echo ready; while :; do sleep 0.02; done`)
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := p.Wait(); err == nil || err.Error() != "exit status 9" {
		t.Errorf("it ended with %v; want exit status 9", err)
	}
	if err := p.Signal(syscall.SIGTERM); err == nil || !strings.Contains(err.Error(), "send a signal into the sandbox") {
		t.Errorf("a signal after the end: %v", err)
	}
}

func TestAProgramThatStopsItselfGoesOn(t *testing.T) {
	p, out := startShell(t, Spec{}, `kill -STOP $$; echo went on`)
	if said, _ := io.ReadAll(out); string(said) != "went on\n" {
		t.Errorf("it said %q", said)
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

func TestHomeAndCopiesAreThePrograms(t *testing.T) {
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"settings", "other"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, out := startShell(t, Spec{Home: home, Copy: []string{filepath.Join(home, "settings")}}, `echo $HOME; ls ~; cat ~/settings; echo new > ~/settings && cat ~/settings; touch ~/more && ls ~`)
	said, _ := io.ReadAll(out)
	if want := home + "\nsettings\nsettings\nnew\nmore\nsettings\n"; string(said) != want {
		t.Errorf("it said %q, want %q", said, want)
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(filepath.Join(home, "settings")); string(got) != "settings\n" {
		t.Errorf("the machine's file holds %q", got)
	}
}

func TestWrongHomesAndCopiesAreRefused(t *testing.T) {
	home := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(home, link); err != nil {
		t.Fatal(err)
	}
	for want, s := range map[string]Spec{
		`home: "/usr/x" cannot be a program's own`:         {Home: "/usr/x"},
		`home: "/proc/x" cannot be a program's own`:        {Home: "/proc/x"},
		`home: "/" cannot be a program's own`:              {Home: "/"},
		`home: "/tmp" cannot be a program's own`:           {Home: "/tmp"},
		`home: "x" cannot be a program's own`:              {Home: "x"},
		"is reached by a link; name " + home:               {Home: link},
		"would be shown whole, as a part of " + home:       {Home: home, Read: []string{home}},
		"is not a file below " + Home + " of at most 64":   {Copy: []string{"/etc/passwd"}},
		"copy: lstat /nowhere: no such file or directory":  {Copy: []string{"/nowhere"}},
		"a relay or a loopback needs egress":               {Relay: true},
		"a relay or a loopback needs egress: there is no ": {Loopback: true},
	} {
		s.Command = "/bin/sh"
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
