package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/wire"
)

// Hundreds of calls of many principals, all under the same id and the same progress token, in
// processes that crash under them: whoever gets an answer gets his own, and whoever does not can
// ask again.
func TestStdioNeverMixesCallersUp(t *testing.T) {
	for _, instance := range []Instance{Shared, PerPrincipal} {
		s := ours(t, "legacy", func(c *StdioConfig) { c.Instance = instance })
		var all sync.WaitGroup
		var crashes, failed atomic.Int64
		for i := range 400 {
			all.Go(func() {
				p, nonce := who(fmt.Sprint("p", i%8)), fmt.Sprint("nonce-", i)
				if i%130 == 60 {
					crashes.Add(1)
					_, _ = talk(t.Context(), s, legacyPost(p, "", toolCall("1", "crash", "")))
				}
				for deadline := time.Now().Add(time.Minute); ; {
					ok, err := ownAnswer(t, s, p, nonce)
					if ok {
						return
					}
					failed.Add(1)
					if !errors.Is(err, gateway.ErrUnreachable) || time.Now().After(deadline) {
						t.Errorf("call %d: %v; want its answer, or an error of an unreachable server", i, err)
						return
					}
					time.Sleep(5 * time.Millisecond) // a client that tries again
				}
			})
		}
		all.Wait()
		t.Logf("instance %d: %d crashes, %d attempts failed", instance, crashes.Load(), failed.Load())
	}
}

// ownAnswer makes a call that must get progress and an answer with its nonce, or an error.
func ownAnswer(t *testing.T, s *Stdio, p gateway.Party, nonce string) (bool, error) {
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"progress","arguments":{"nonce":"` + nonce + `"},"_meta":{"progressToken":1}}}`
	a, err := talk(t.Context(), s, legacyPost(p, "", body))
	if err != nil {
		return false, err
	}
	want := "event: message\n" + `data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1,"message":"` + nonce + `"}}` + "\n\nevent: message\n" +
		`data: {"result":{"content":[{"type":"text","text":"` + nonce + `"}]},"jsonrpc":"2.0","id":1}` + "\n\n"
	if a.Body != want {
		t.Errorf("%s got %s", nonce, a.Body)
	}
	return true, nil
}

// listening opens the stream of a session.
func listening(t *testing.T, s *Stdio, p gateway.Party, session string) *bufio.Reader {
	t.Helper()
	reply, err := s.exchange(t.Context(), gateway.Outbound{Method: http.MethodGet, Stream: true, Header: http.Header{wire.HeaderSession: {session}}, For: p})
	if err != nil || reply.Status != http.StatusOK {
		t.Fatalf("GET: %+v, %v", reply, err)
	}
	t.Cleanup(func() { _ = reply.Body.Close() })
	return bufio.NewReader(reply.Body)
}

// What a program says to nobody in particular reaches all of its owner's sessions. Where strangers
// share it, it reaches nobody: only that lists have changed is everybody's, and an update is of
// who subscribed.
func TestStdioSharedProgramTellsNobodyOfOthers(t *testing.T) {
	const message, custom, updated, changed = "notifications/message", "notifications/x", "notifications/resources/updated", "notifications/tools/list_changed"
	for _, c := range []struct {
		instance Instance
		hears    []string
	}{{Shared, []string{updated, changed}}, {PerPrincipal, []string{custom, updated, changed}}} {
		s := ours(t, "legacy", func(cfg *StdioConfig) { cfg.Instance = c.instance })
		session := begin(t, s, who("ann"), `{}`)
		stream := listening(t, s, who("ann"), session)
		other := begin(t, s, who("ann"), `{}`)
		if _, err := talk(t.Context(), s, legacyPost(who("ann"), session, `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"r:1"}}`)); err != nil {
			t.Fatal(err)
		}
		a, err := talk(t.Context(), s, legacyPost(who("ann"), other, toolCall("1", "tell", "")))
		if err != nil {
			t.Fatal(err)
		}
		// Of its owner's only call under way a log message is thought to be about that.
		if got, want := strings.Contains(a.Body, message), c.instance != Shared; got != want {
			t.Errorf("instance %d: the call hears the log message: %v; want %v\n%s", c.instance, got, want, a.Body)
		}
		for _, want := range c.hears {
			if got := data(t, stream); !strings.Contains(got, want) {
				t.Errorf("instance %d: the stream has %s; want %s", c.instance, got, want)
			}
		}
	}
}

// One session's unsubscribing does not end another's subscription.
func TestStdioUnsubscribesWhenNobodyListens(t *testing.T) {
	var log safeBuffer
	s := ours(t, "legacy", func(c *StdioConfig) { c.Instance, c.Log = Shared, slog.New(slog.NewTextHandler(&log, nil)) })
	ann, bob := begin(t, s, who("ann"), `{}`), begin(t, s, who("bob"), `{}`)
	post := func(p, session, method string) {
		t.Helper()
		a, err := talk(t.Context(), s, legacyPost(who(p), session, `{"jsonrpc":"2.0","id":"u","method":"`+method+`","params":{"uri":"r:1"}}`))
		if err != nil || a.Body != `{"jsonrpc":"2.0","id":"u","result":{}}` {
			t.Errorf("%s by %s: %+v, %v", method, p, a, err)
		}
	}
	post("ann", ann, "resources/subscribe")
	post("bob", bob, "resources/subscribe")
	stream := listening(t, s, who("ann"), ann)
	post("bob", bob, "resources/unsubscribe")
	if strings.Contains(log.String(), "unsubscribed") {
		t.Error("the program was told that nobody listens")
	}
	if _, err := talk(t.Context(), s, legacyPost(who("bob"), bob, toolCall("1", "tell", ""))); err != nil {
		t.Fatal(err)
	}
	if got := data(t, stream); !strings.Contains(got, "resources/updated") {
		t.Errorf("the other session's stream: %s", got)
	}
	post("ann", ann, "resources/unsubscribe")
	until(t, "the program is told", func() bool { return strings.Contains(log.String(), "unsubscribed r:1") })
}

// An answer counts only from the session that was asked, and the end of that one is an answer.
func TestStdioQuestionIsItsSessionsAlone(t *testing.T) {
	s := ours(t, "legacy", func(c *StdioConfig) { c.Instance = PerPrincipal })
	asked, other := begin(t, s, who("ann"), `{"roots":{}}`), begin(t, s, who("ann"), `{"roots":{}}`)
	reply, err := s.exchange(t.Context(), legacyPost(who("ann"), asked, toolCall("1", "ask", "")))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	events := bufio.NewReader(reply.Body)
	data(t, events)
	for _, session := range []string{other, ""} {
		if a, err := talk(t.Context(), s, legacyPost(who("ann"), session, `{"jsonrpc":"2.0","id":1,"result":{"roots":["forged"]}}`)); err != nil || a.Status != http.StatusAccepted {
			t.Errorf("another's answer: %+v, %v", a, err)
		}
	}
	end := gateway.Outbound{Method: http.MethodDelete, Header: http.Header{wire.HeaderSession: {asked}}, For: who("ann")}
	if a, err := talk(t.Context(), s, end); err != nil || a.Status != http.StatusNoContent {
		t.Fatalf("DELETE: %+v, %v", a, err)
	}
	if got := data(t, events); !strings.Contains(got, "the client has ended its session") {
		t.Errorf("the program heard %s", got)
	}
}

// Where calls of two sessions are under way, nobody can say which is meant.
func TestStdioQuestionWithTwoCallsUnderWay(t *testing.T) {
	var log safeBuffer
	s := ours(t, "legacy", func(c *StdioConfig) { c.Instance, c.Log = PerPrincipal, slog.New(slog.NewTextHandler(&log, nil)) })
	one, two := begin(t, s, who("ann"), `{"roots":{}}`), begin(t, s, who("ann"), `{"roots":{}}`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var hanging sync.WaitGroup
	hanging.Go(func() { _, _ = talk(ctx, s, legacyPost(who("ann"), one, toolCall("1", "hang", ""))) })
	until(t, "the first call is there", func() bool { return strings.Contains(log.String(), "hanging") })
	a, err := talk(t.Context(), s, legacyPost(who("ann"), two, toolCall("1", "ask", "")))
	if err != nil || !strings.Contains(a.Body, "no client of this server can be asked that") {
		t.Errorf("%+v, %v", a, err)
	}
	cancel()
	hanging.Wait()
}

// A process of a grant ends with it, and with the process its sessions.
func TestStdioGrantEndsItsProcesses(t *testing.T) {
	s := ours(t, "legacy", nil)
	one, two := gateway.Party{Key: "ann", Grant: "g1"}, gateway.Party{Key: "ann", Grant: "g2"}
	first, second := begin(t, s, one, `{}`), begin(t, s, two, `{}`)
	stream := listening(t, s, one, first)
	s.EndGrant(gateway.Party{})
	s.EndGrant(gateway.Party{Grant: "g1"})
	if _, err := io.ReadAll(stream); err != nil {
		t.Errorf("its stream: %v", err)
	}
	for _, c := range []struct {
		p       gateway.Party
		session string
		want    int
	}{{one, first, http.StatusNotFound}, {two, second, http.StatusOK}} {
		if a, err := talk(t.Context(), s, legacyPost(c.p, c.session, toolCall("1", "echo", ""))); err != nil || a.Status != c.want {
			t.Errorf("%s: %+v, %v; want %d", c.p.Grant, a, err, c.want)
		}
	}
}

// A made-up session starts no process.
func TestStdioUnknownSessionStartsNothing(t *testing.T) {
	var starts atomic.Int64
	s := ours(t, "legacy", counting(&starts))
	for _, out := range []gateway.Outbound{
		legacyPost(who("ann"), "made-up", toolCall(`"x"`, "echo", "")),
		{Method: http.MethodGet, Header: http.Header{wire.HeaderSession: {"made-up"}}, For: who("ann")},
		legacyPost(who("ann"), "", `{"jsonrpc":"2.0","method":"notifications/initialized"}`),
	} {
		want := http.StatusNotFound
		if out.Header.Get(wire.HeaderSession) == "" {
			want = http.StatusAccepted
		}
		if a, err := talk(t.Context(), s, out); err != nil || a.Status != want {
			t.Errorf("%s %s: %+v, %v; want %d", out.Method, out.Body, a, err, want)
		}
	}
	if starts.Load() != 0 {
		t.Errorf("%d processes were started", starts.Load())
	}
}

// The sessions of a process are bounded: the one unused longest gives way.
func TestStdioSessionsAreBounded(t *testing.T) {
	s := ours(t, "legacy", func(c *StdioConfig) { c.Instance = PerPrincipal })
	oldest, second := begin(t, s, who("ann"), `{}`), begin(t, s, who("ann"), `{}`)
	for range mostPeers - 1 {
		begin(t, s, who("ann"), `{}`)
	}
	for session, want := range map[string]int{oldest: http.StatusNotFound, second: http.StatusOK} {
		if a, err := talk(t.Context(), s, legacyPost(who("ann"), session, toolCall("1", "echo", ""))); err != nil || a.Status != want {
			t.Errorf("%+v, %v; want %d", a, err, want)
		}
	}
}
