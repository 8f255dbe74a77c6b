package agent

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAnAgentHasATerminalOfItsOwn runs a shell in a box at a terminal: it sees the size, can be
// interrupted by a key, can set what it likes, and the person's terminal is as before afterwards.
func TestAnAgentHasATerminalOfItsOwn(t *testing.T) {
	keys, persons, err := pair() // a person at a terminal
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = keys.Close(), persons.Close() }()
	if err := unix.IoctlSetWinsize(int(persons.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 31, Col: 77}); err != nil {
		t.Fatal(err)
	}
	before, err := unix.IoctlGetTermios(int(persons.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	const script = `stty size; test -t 0 && test -t 2 && echo at a terminal; echo by name > /dev/tty
		trap 'echo interrupted; stty raw -echo; exit 5' INT; echo ready; read line; echo never`
	b, err := NewBox(BoxConfig{Command: "/bin/sh", Args: []string{"-c", script}, Folder: dir, Environ: map[string]string{"PATH": os.Getenv("PATH")}, Terminal: true})
	if err != nil {
		t.Fatal(err)
	}
	term, err := NewTerminal(persons, persons)
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Start(t.Context(), term.Agent(), term.Agent(), term.Agent(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	term.Started()
	screen := bufio.NewScanner(keys)
	for _, want := range []string{"31 77", "at a terminal", "by name", "ready"} {
		if !screen.Scan() || strings.TrimSpace(screen.Text()) != want {
			t.Fatalf("the screen shows %q, want %q", screen.Text(), want)
		}
	}
	if _, err := fmt.Fprint(keys, "\x03"); err != nil { // Ctrl-C
		t.Fatal(err)
	}
	if !screen.Scan() || !strings.Contains(screen.Text(), "interrupted") {
		t.Errorf("after Ctrl-C the screen shows %q", screen.Text())
	}
	if err := p.Wait(); err == nil || err.Error() != "exit status 5" {
		t.Errorf("it ended with %v, want exit status 5", err)
	}
	if err := term.Close(); err != nil {
		t.Error(err)
	}
	if after, err := unix.IoctlGetTermios(int(persons.Fd()), unix.TCGETS); err != nil || *after != *before {
		t.Errorf("the person's terminal is %v, was %v (%v)", after, before, err)
	}
}
