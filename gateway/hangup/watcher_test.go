package hangup

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is both ends of a TCP connection.
func pair(t *testing.T) (ours, theirs *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(); _ = c.Close() })
	return a.(*net.TCPConn), c.(*net.TCPConn)
}

const patience = time.Minute

// told waits for gone and reports whether it was called.
func told(gone <-chan struct{}) bool {
	select {
	case <-gone:
		return true
	case <-time.After(patience):
		return false
	}
}

func calls(t *testing.T) (gone chan struct{}, call func()) {
	t.Helper()
	gone = make(chan struct{}, 8)
	return gone, func() { gone <- struct{}{} }
}

func TestWhoHangsUpIsNoticed(t *testing.T) {
	for name, leave := range map[string]func(ours, theirs *net.TCPConn){
		"close":      func(_, theirs *net.TCPConn) { _ = theirs.Close() },
		"half-close": func(_, theirs *net.TCPConn) { _ = theirs.CloseWrite() },
		"reset":      func(_, theirs *net.TCPConn) { _ = theirs.SetLinger(0); _ = theirs.Close() },
		"bytes that nobody reads, and then close": func(_, theirs *net.TCPConn) {
			_, _ = io.WriteString(theirs, "GET / HTTP/1.1\r\n\r\n")
			_ = theirs.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			var w Watcher
			ours, theirs := pair(t)
			other, _ := pair(t)
			gone, call := calls(t)
			stayed, callOther := calls(t)
			defer w.Watch(ours, call)()
			defer w.Watch(other, callOther)()
			leave(ours, theirs)
			if !told(gone) {
				t.Error("nobody was told")
			}
			if len(stayed) > 0 {
				t.Error("one that stayed was taken for gone")
			}
		})
	}
}

func TestWhoHadHungUpBeforeIsNoticed(t *testing.T) {
	var w Watcher
	ours, theirs := pair(t)
	_ = theirs.Close()
	if _, err := ours.Read(make([]byte, 1)); err != io.EOF { // so the end is here
		t.Fatal(err)
	}
	gone, call := calls(t)
	defer w.Watch(ours, call)()
	if !told(gone) {
		t.Error("nobody was told")
	}
}

// A connection that the kernel cannot watch is read, and its bytes are thrown away.
func TestPipesAreWatchedToo(t *testing.T) {
	var w Watcher
	ours, theirs := net.Pipe()
	gone, call := calls(t)
	defer w.Watch(ours, call)()
	if _, err := theirs.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	if !told(gone) {
		t.Error("nobody was told")
	}
	_ = ours.Close()
}

func TestUnderTLSTheConnectionBelowIsWatched(t *testing.T) {
	var w Watcher
	ours, theirs := pair(t)
	before := runtime.NumGoroutine()
	gone, call := calls(t)
	defer w.Watch(tls.Server(ours, &tls.Config{}), call)()
	if n := runtime.NumGoroutine() - before; runtime.GOOS == "linux" && n > 1 {
		t.Errorf("%d goroutines more; want the one that waits for all", n)
	}
	_ = theirs.Close()
	if !told(gone) {
		t.Error("nobody was told")
	}
}

// Descriptors are used again; what is told of one must not come to the connection that had it before.
func TestForgottenConnectionIsNotTold(t *testing.T) {
	var w Watcher
	keep, _ := pair(t)
	_, none := calls(t)
	defer w.Watch(keep, none)()
	for range 100 {
		first, _ := pair(t)
		wrong, call := calls(t)
		forget := w.Watch(first, call)
		forget()
		_ = first.Close()
		second, theirs := pair(t)
		right, call := calls(t)
		forget = w.Watch(second, call)
		_ = theirs.Close()
		if !told(right) || len(wrong) > 0 {
			t.Fatalf("the one that was forgotten was told %d times", len(wrong))
		}
		forget()
		forget()
	}
}

// A watcher without connections holds nothing, and takes the next all the same.
func TestWatcherWithoutConnectionsHoldsNothing(t *testing.T) {
	var w Watcher
	for range 3 {
		ours, theirs := pair(t)
		gone, call := calls(t)
		forget := w.Watch(ours, call)
		_ = theirs.CloseWrite()
		if !told(gone) {
			t.Fatal("nobody was told")
		}
		forget()
		if w.set != nil {
			t.Error("the set is kept")
		}
	}
}

func TestManyAreWatchedByOneGoroutine(t *testing.T) {
	var w Watcher
	const many = 200
	gone, forgets, leave := make(chan struct{}, many), []func(){}, []*net.TCPConn{}
	before := runtime.NumGoroutine()
	for range many {
		ours, theirs := pair(t)
		forgets, leave = append(forgets, w.Watch(ours, func() { gone <- struct{}{} })), append(leave, theirs)
	}
	if n := runtime.NumGoroutine() - before; runtime.GOOS == "linux" && n > 1 {
		t.Errorf("%d goroutines for %d connections; want one", n, many)
	}
	for _, c := range leave {
		_ = c.Close()
	}
	for n := range many {
		if !told(gone) {
			t.Fatalf("%d of %d were noticed", n, many)
		}
	}
	for _, forget := range forgets {
		forget()
	}
}
