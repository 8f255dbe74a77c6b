package admin

import (
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestListenTakesTheModeItIsGiven(t *testing.T) {
	for _, mode := range []fs.FileMode{0o600, 0o666} {
		path := filepath.Join(directory(t), "s")
		ln, err := Listen(path, mode)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("mode of the socket = %v, %v; want %v", info.Mode().Perm(), err, mode)
		}
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket is left behind: %v", err)
		}
	}
}

func TestListenRemovesADeadSocketAndNothingElse(t *testing.T) {
	dead := filepath.Join(directory(t), "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	live, err := Listen(dead, 0o600)
	if err != nil {
		t.Fatalf("Listen in place of a dead socket = %v", err)
	}
	defer func() { _ = live.Close() }() // a test's own
	if _, err := Listen(dead, 0o600); err == nil || !strings.Contains(err.Error(), "another gateway listens there; stop it, or use another state directory") {
		t.Errorf("Listen in place of a live socket = %v; want refused", err)
	}

	file := filepath.Join(directory(t), "s")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file, 0o600); err == nil || !strings.Contains(err.Error(), "a file that is no socket is in its place; move it away") {
		t.Errorf("Listen in place of a file = %v; want refused", err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
		t.Errorf("the file = %q, %v; want it left alone", text, err)
	}
}

func TestListenSaysThatAPathIsTooLong(t *testing.T) {
	path := filepath.Join(directory(t), strings.Repeat("x", MaxPath))
	if _, err := Listen(path, 0o600); err == nil || !strings.Contains(err.Error(), "and a socket's may have 107; name a shorter one (the admin socket's is below state, SALLYPORT_STATE)") {
		t.Errorf("Listen = %v; want what is too long, and the cure", err)
	}
}

func TestClientSaysThatNobodyListens(t *testing.T) {
	dir := directory(t)
	dead := filepath.Join(dir, "dead")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dead, filepath.Join(dir, "nothing"), filepath.Join(dir, "no", "directory")} {
		if _, err := Dial(path).Whoami(t.Context()); !errors.Is(err, ErrNoServer) || !strings.Contains(err.Error(), path) {
			t.Errorf("Whoami at %s = %v; want ErrNoServer with the path", path, err)
		}
	}
}

func TestClientSaysThatSomethingElseAnswers(t *testing.T) {
	path := filepath.Join(directory(t), "s")
	ln, err := Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	status := http.StatusOK
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte("<html>welcome</html>")) // a test's own
	})}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	for _, status = range []int{http.StatusOK, http.StatusForbidden, http.StatusFound} {
		if _, err := Dial(path).Whoami(t.Context()); err == nil || !strings.Contains(err.Error(), path+" does not answer as a gateway's admin socket does") {
			t.Errorf("Whoami where a page answers %d = %v; want that said", status, err)
		}
	}
}
