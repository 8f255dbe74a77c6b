package shim

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// legacyServer keeps sessions, answers calls, and says things by itself.
type legacyServer struct {
	mu       sync.Mutex // guards what follows
	sessions map[string]bool
	opened   int
	posts    []string // what was posted within a session, the session before it
	deleted  []string
	says     chan string // lines for the GET stream
	streams  int
}

func newLegacyServer() *legacyServer {
	return &legacyServer{sessions: map[string]bool{}, says: make(chan string, 10)}
}

func (l *legacyServer) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.sessions)
}

func (l *legacyServer) posted() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.posts, "\n")
}

func (l *legacyServer) serve(w http.ResponseWriter, r *http.Request, in []byte) {
	method := text(find(in, "method"))
	session := r.Header.Get("Mcp-Session-Id")
	l.mu.Lock()
	if method == "initialize" && session == "" {
		l.opened++
		session = fmt.Sprintf("s%d", l.opened)
		l.sessions[session] = true
		l.mu.Unlock()
		w.Header().Set("Mcp-Session-Id", session)
		answerWith(`{"jsonrpc":"2.0","id":ID,"result":{"protocolVersion":"2025-11-25","capabilities":{}}}`)(w, r, in)
		return
	}
	known := l.sessions[session]
	if known && r.Method == http.MethodPost {
		l.posts = append(l.posts, session+" "+r.Header.Get("Mcp-Protocol-Version")+" "+string(in))
	}
	if known && r.Method == http.MethodDelete {
		l.deleted = append(l.deleted, session)
		delete(l.sessions, session)
	}
	l.mu.Unlock()
	switch {
	case !known:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprint(w, `{"jsonrpc":"2.0","id":null,"error":{"code":404,"message":"unknown session"}}`)
	case r.Method == http.MethodGet:
		l.stream(w, r)
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	case find(in, "id") == nil || method == "":
		w.WriteHeader(http.StatusAccepted)
	default:
		answerWith(`{"jsonrpc":"2.0","id":ID,"result":{"echo":"`+method+`"}}`)(w, r, in)
	}
}

func (l *legacyServer) stream(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	l.streams++
	l.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	event(w, ": open\n\n")
	for {
		select {
		case line := <-l.says:
			event(w, "data: "+line+"\n\n")
		case <-r.Context().Done():
			return
		}
	}
}

const initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

// greet opens a session.
func (c *conversation) greet() {
	c.t.Helper()
	c.say(initialize)
	c.expect(`{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{}}}`)
	c.say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
}

func TestSessionOfTheOlderEra(t *testing.T) {
	l := newLegacyServer()
	g := newFakeGateway(t, l.serve)
	c := g.talk(t.Context())
	c.greet()
	c.say(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	c.expect(`{"jsonrpc":"2.0","id":1,"result":{"echo":"tools/list"}}`)

	// What the server says by itself arrives, a question too, and its answer goes back.
	l.says <- `{"jsonrpc":"2.0","id":"q1","method":"roots/list"}`
	c.expect(`{"jsonrpc":"2.0","id":"q1","method":"roots/list"}`)
	c.say(`{"jsonrpc":"2.0","id":"q1","result":{"roots":[]}}`)
	c.say(`{"jsonrpc":"2.0","id":2,"method":"ping"}`)
	c.expect(`{"jsonrpc":"2.0","id":2,"result":{"echo":"ping"}}`)
	if err := c.end(); err != nil {
		t.Errorf("Serve = %v; want nil", err)
	}
	want := `s1 2025-11-25 {"jsonrpc":"2.0","method":"notifications/initialized"}
s1 2025-11-25 {"jsonrpc":"2.0","id":1,"method":"tools/list"}
s1 2025-11-25 {"jsonrpc":"2.0","id":"q1","result":{"roots":[]}}
s1 2025-11-25 {"jsonrpc":"2.0","id":2,"method":"ping"}`
	if got := l.posted(); got != want {
		t.Errorf("posted:\n%s\nwant:\n%s", got, want)
	}
	if len(l.deleted) != 1 || l.deleted[0] != "s1" {
		t.Errorf("deleted = %v; want the session s1", l.deleted)
	}
}

func TestForgottenSessionIsOpenedAnewUnnoticed(t *testing.T) {
	l := newLegacyServer()
	g := newFakeGateway(t, l.serve)
	c := g.talk(t.Context())
	c.greet()
	c.say(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	c.hear()
	l.forget()
	c.say(`{"jsonrpc":"2.0","id":2,"method":"ping"}`)
	c.expect(`{"jsonrpc":"2.0","id":2,"result":{"echo":"ping"}}`)
	if err := c.end(); err != nil {
		t.Errorf("Serve = %v; want nil", err)
	}
	for _, want := range []string{`s2 2025-11-25 {"jsonrpc":"2.0","method":"notifications/initialized"}`, `s2 2025-11-25 {"jsonrpc":"2.0","id":2,"method":"ping"}`} {
		if !strings.Contains(l.posted(), want) {
			t.Errorf("posted:\n%s\nwant in it: %s", l.posted(), want)
		}
	}
	if len(l.deleted) != 1 || l.deleted[0] != "s2" {
		t.Errorf("deleted = %v; want the session s2", l.deleted)
	}
}

func TestCancellationOfTheOlderEraIsSentAfterItsRequest(t *testing.T) {
	l := newLegacyServer()
	release := make(chan struct{})
	g := newFakeGateway(t, func(w http.ResponseWriter, r *http.Request, in []byte) {
		if text(find(in, "method")) == "tools/call" {
			<-release
		}
		l.serve(w, r, in)
		if text(find(in, "method")) == "notifications/cancelled" {
			close(release)
		}
	})
	c := g.talk(t.Context())
	c.greet()
	c.say(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow"}}`)
	cancel := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`
	c.say(cancel)
	c.expect(`{"jsonrpc":"2.0","id":1,"result":{"echo":"tools/call"}}`) // the server's business
	if got := l.posted(); !strings.Contains(got, cancel) {
		t.Errorf("posted:\n%s\nwant in it: %s", got, cancel)
	}
}

func TestStreamOfTheOlderEraIsResumedWhereItEnded(t *testing.T) {
	l := newLegacyServer()
	g := newFakeGateway(t, func(w http.ResponseWriter, r *http.Request, in []byte) {
		w.Header().Set("Content-Type", "text/event-stream")
		switch {
		case text(find(in, "method")) == "tools/call":
			event(w, "id: 41\nretry: 1\ndata:\n\n") // and ends
		case r.Header.Get("Last-Event-Id") == "41":
			event(w, "id: 42\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n")
		default:
			l.serve(w, r, in)
		}
	})
	c := g.talk(t.Context())
	c.greet()
	c.say(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow"}}`)
	c.expect(`{"jsonrpc":"2.0","id":1,"result":{}}`)
}

// A script that pipes its messages waits for nothing.
func TestMessagesBehindInitializeBelongToItsSession(t *testing.T) {
	l := newLegacyServer()
	g := newFakeGateway(t, l.serve)
	c := g.talk(t.Context())
	if _, err := io.WriteString(c.in, initialize+"\n"+`{"jsonrpc":"2.0","id":1,"method":"ping"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	c.hear()
	c.expect(`{"jsonrpc":"2.0","id":1,"result":{"echo":"ping"}}`)
}
