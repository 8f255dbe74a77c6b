package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"sallyport/identity/pop"
)

// With a key every call carries a new proof, and a refusal for the nonce is answered with the
// nonce and counted neither as a call nor as an error.
func TestLoadProvesItsKeyInEveryCall(t *testing.T) {
	key, err := pop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	checker, upstream := pop.NewChecker(pop.CheckerOptions{}), newUpstream(1)
	var addr string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want := pop.Want{Method: r.Method, URL: "http://" + addr + r.URL.Path, Token: "the-token", JKT: key.JKT()}
		proven, err := checker.Prove(r.Header.Get("DPoP"), want)
		if err != nil || r.Header.Get("Authorization") != "DPoP the-token" {
			w.Header().Set("DPoP-Nonce", checker.Nonce())
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if proven.Nonce != "" {
			w.Header().Set("DPoP-Nonce", proven.Nonce)
		}
		upstream.ServeHTTP(w, r)
	}))
	defer srv.Close()
	addr = srv.Listener.Addr().String()
	spec := loadSpec{Addr: addr, Callers: 2, Duration: 400 * time.Millisecond, Want: 300,
		Call: callSpec{Path: "/mcp", Host: addr, Token: "the-token", Bound: true, Size: 300, Tool: toolName(0)}}
	r, err := load(spec, key)
	if err != nil || r.Calls == 0 || r.Errors != 0 {
		t.Errorf("%+v, %v; want only calls", r, err)
	}
	other, err := pop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if r, err := load(spec, other); err != nil || r.Calls != 0 || r.Errors == 0 {
		t.Errorf("with another key: %+v, %v; want only errors", r, err)
	}
}

// A stream is over when its answer is, though its connection stays open, and not before.
func TestStreamsEndWithTheirAnswer(t *testing.T) {
	over := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(": open\n\n"))
		_ = http.NewResponseController(w).Flush()
		<-over
	}))
	defer srv.Close()
	s, err := openStream(srv.Listener.Addr().String(), "t", 0)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.done:
		t.Error("the stream ended while it was open")
	default:
	}
	close(over)
	if <-s.done; s.err != nil || s.ended.IsZero() {
		t.Errorf("ended %v with %v; want an answer's end", s.ended, s.err)
	}
}

func TestStreamsThatAreRefusedAreNotCounted(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusUnauthorized) }))
	defer srv.Close()
	if s, err := openStream(srv.Listener.Addr().String(), "t", 0); err == nil || s != nil {
		t.Errorf("a refused stream is held: %+v, %v", s, err)
	}
}
