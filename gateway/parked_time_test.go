package gateway

import (
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// pipeListener hands out one connection in memory, so that time can be a test's own.
type pipeListener struct {
	conns chan net.Conn
	over  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { close(l.over); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// inMemory opens a stream of a gateway whose time is the bubble's.
func inMemory(t *testing.T, f *fixture) *wireClient {
	t.Helper()
	f.snap.Sole = ""
	f.swap()
	l := &pipeListener{make(chan net.Conn), make(chan struct{})}
	srv := &http.Server{Handler: f.g}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	ours, theirs := net.Pipe()
	l.conns <- theirs
	return talk(t, ours, streamRequest(http.MethodGet, "HTTP/1.1", f.reader))
}

// A parked stream says that it is there once in half a minute, and nothing after its end.
func TestParkedStreamSaysThatItIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		c := inMemory(t, f)
		synctest.Wait()
		began := time.Now()
		for n := range 4 {
			if line, err := c.body.ReadString('\n'); err != nil || line != ":\n" {
				t.Fatalf("got %q, %v; want a comment", line, err)
			}
			if at := time.Since(began); at > time.Duration(n+1)*keepAlive || at < time.Duration(n)*keepAlive {
				t.Errorf("comment %d came after %v", n+1, at)
			}
			_, _ = c.body.ReadString('\n')
		}
		f.g.CloseStreams()
		if got := c.rest(); got != "" {
			t.Errorf("after the end: %q", got)
		}
		synctest.Wait()
		if f.g.streams.holds() != 0 {
			t.Error("what has ended is parked")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if f.g.streams.ticks {
			t.Error("the timer runs for nobody")
		}
	})
}

// A client that does not read is given its time, and then holds nothing.
func TestParkedStreamThatNobodyReadsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		inMemory(t, f)
		synctest.Wait()
		began := time.Now()
		for f.g.streams.count() > 0 && time.Since(began) < 10*keepAlive {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if took := time.Since(began); took > keepAlive+2*writeTimeout {
			t.Errorf("it ended after %v; want a comment that is not read in %v to end it", took, writeTimeout)
		}
		if r := f.rec.last(); r.Code != "cancelled" || r.Detail != errClientGone.Error() {
			t.Errorf("recorded %s, %q; want that the client has gone", r.Code, r.Detail)
		}
	})
}

// The end of a stream waits no longer than for its last word, also while an event is not read: other
// events have their whole [writeTimeout].
func TestParkedStreamThatNobodyReadsEndsSoonWhereItMust(t *testing.T) {
	f := newFixture(t)
	talk(t, dial(t, f.listenAll(t)), streamRequest(http.MethodPost, "HTTP/1.1", f.reader))
	eventually(t, "the stream is parked", func() bool { return f.g.streams.holds() == 1 })
	written := make(chan error, 1)
	f.g.streams.mu.Lock()
	for st := range f.g.streams.open {
		go func() { written <- st.out.write(make([]byte, 16<<20), true) }() // more than sockets hold
	}
	f.g.streams.mu.Unlock()
	select {
	case err := <-written:
		t.Fatalf("it was written, %v; want that it waits for the client", err)
	case <-time.After(50 * time.Millisecond):
	}
	if left := f.g.CloseStreams(); left != 1 {
		t.Errorf("%d streams are left at once; want the one whose event is not read", left)
	}
	select {
	case err := <-written:
		if err == nil {
			t.Error("all of the event was written")
		}
	case <-time.After(writeTimeout * 2 / 3):
		t.Error("the end waits for an event that nobody reads")
	}
	eventually(t, "it is taken out", f.parked(0))
}
