package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/wire"
)

func TestStdioAnswersUnderTheCallersOwnID(t *testing.T) {
	s := ours(t, "legacy", nil)
	session := begin(t, s, who("ann"), `{}`)
	for _, id := range []string{`7`, `"seven"`, `"\u0037"`, `-1`, `9007199254740993`} {
		a, err := talk(t.Context(), s, legacyPost(who("ann"), session, toolCall(id, "echo", "n")))
		want := `{"result":{"content":[{"type":"text","text":"n"}]},"jsonrpc":"2.0","id":` + id + `}`
		if err != nil || a.Status != 200 || a.Header.ContentType != "application/json" || a.Body != want {
			t.Errorf("id %s: %+v, %v; want %s", id, a, err, want)
		}
	}
}

// A message may have line breaks between its values; a line to the program may not.
func TestStdioPrettyPrintedMessageIsOneLine(t *testing.T) {
	s := ours(t, "legacy", nil)
	a, err := talk(t.Context(), s, legacyPost(who("ann"), "", "{\"jsonrpc\":\"2.0\",\r\n \"id\": 1,\n\"method\":\"tools/call\",\"params\":{\"name\":\"echo\",\n\"arguments\":{\"nonce\":\"a\\nb\"}}}"))
	if err != nil || !strings.Contains(a.Body, `"a\nb"`) {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestStdioProgressComesBackUnderTheCallersToken(t *testing.T) {
	s := ours(t, "legacy", nil)
	for _, token := range []string{`"tok"`, `5`} {
		body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"progress","arguments":{"nonce":"n"},"_meta":{"progressToken":` + token + `}}}`
		a, err := talk(t.Context(), s, legacyPost(who("ann"), "", body))
		want := `data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + token + `,"progress":1,"message":"n"}}`
		if err != nil || a.Header.ContentType != "text/event-stream" || !strings.Contains(a.Body, want) || strings.Count(a.Body, "data: ") != 2 {
			t.Errorf("token %s: %+v, %v", token, a, err)
		}
	}
}

func TestStdioInstances(t *testing.T) {
	pid := func(t *testing.T, s *Stdio, p gateway.Party) string {
		a, err := talk(t.Context(), s, legacyPost(p, "", toolCall("1", "pid", "")))
		if err != nil {
			t.Fatal(err)
		}
		return a.Body
	}
	a, a2, b, own := gateway.Party{Key: "a"}, gateway.Party{Key: "a", Grant: "g"}, gateway.Party{Key: "b"}, gateway.Party{}
	for instance, same := range map[Instance][]bool{Shared: {true, true, true}, PerPrincipal: {true, false, false}, PerGrant: {false, false, false}} {
		s := ours(t, "legacy", func(c *StdioConfig) { c.Instance = instance })
		first := pid(t, s, a)
		if again := pid(t, s, a); again != first {
			t.Errorf("instance %d: the same party got %s and %s", instance, first, again)
		}
		for i, other := range []gateway.Party{a2, b, own} {
			if got := pid(t, s, other) == first; got != same[i] {
				t.Errorf("instance %d: %+v shares the process of %+v: %v; want %v", instance, other, a, got, same[i])
			}
		}
	}
}

// The program is shaken hands with once; later clients of the same process get its answer, each
// with a session of its own.
func TestStdioSessionsOfOneProcess(t *testing.T) {
	s := ours(t, "legacy", func(c *StdioConfig) { c.Instance = PerPrincipal })
	one, two := begin(t, s, who("ann"), `{}`), begin(t, s, who("ann"), `{}`)
	if one == two {
		t.Fatal("two clients have one session")
	}
	for _, c := range []struct {
		p       gateway.Party
		session string
		want    int
	}{{who("ann"), one, 200}, {who("ann"), two, 200}, {who("bob"), one, 404}, {who("ann"), "made-up", 404}} {
		a, err := talk(t.Context(), s, legacyPost(c.p, c.session, toolCall("1", "echo", "x")))
		if err != nil || a.Status != c.want {
			t.Errorf("%s in %s: %+v, %v; want %d", c.p.Key, c.session, a, err, c.want)
		}
	}
	end := gateway.Outbound{Method: http.MethodDelete, Header: http.Header{wire.HeaderSession: {one}}, For: who("ann")}
	if a, err := talk(t.Context(), s, end); err != nil || a.Status != http.StatusNoContent {
		t.Errorf("DELETE: %+v, %v", a, err)
	}
	if a, _ := talk(t.Context(), s, legacyPost(who("ann"), one, toolCall("1", "echo", "x"))); a.Status != 404 {
		t.Errorf("ended session: %d; want 404", a.Status)
	}
}

// A question reaches the client whose call is under way, and its answer reaches the program.
func TestStdioQuestionReachesTheClientThatCalls(t *testing.T) {
	s := ours(t, "legacy", func(c *StdioConfig) { c.Instance = PerPrincipal })
	session := begin(t, s, who("ann"), `{"roots":{}}`)
	begin(t, s, who("ann"), `{"roots":{}}`) // another window, which does nothing
	reply, err := s.exchange(t.Context(), legacyPost(who("ann"), session, toolCall("1", "ask", "")))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	events := bufio.NewReader(reply.Body)
	if got := data(t, events); got != `{"jsonrpc":"2.0","id":1,"method":"roots/list"}` {
		t.Fatalf("question: %s", got)
	}
	if a, err := talk(t.Context(), s, legacyPost(who("ann"), session, `{"jsonrpc":"2.0","id":1,"result":{"roots":[7]}}`)); err != nil || a.Status != 202 {
		t.Fatalf("answer: %+v, %v", a, err)
	}
	rest, err := io.ReadAll(events)
	if err != nil || !strings.Contains(string(rest), `\"q1\"{\"roots\":[7]}`) {
		t.Errorf("after the answer: %q, %v", rest, err)
	}
}

// Where the client cannot be asked, or nobody can say which is meant, the program is told.
func TestStdioQuestionThatNobodyCanBeAsked(t *testing.T) {
	for name, c := range map[string]struct {
		instance     Instance
		capabilities string
	}{"no capability": {PerPrincipal, `{}`}, "shared": {Shared, `{"roots":{}}`}} {
		s := ours(t, "legacy", func(cfg *StdioConfig) { cfg.Instance = c.instance })
		session := begin(t, s, who("ann"), c.capabilities)
		a, err := talk(t.Context(), s, legacyPost(who("ann"), session, toolCall("1", "ask", "")))
		if err != nil || a.Header.ContentType != "application/json" || !strings.Contains(a.Body, `\"q1\"{\"code\":-32601,\"message\":\"no client of this server can be asked that\"}`) {
			t.Errorf("%s: %+v, %v; want an answer without a question", name, a, err)
		}
	}
}

func TestStdioStreamHearsWhatBelongsToNoCall(t *testing.T) {
	told := make(chan bool, 8)
	s := ours(t, "legacy", func(c *StdioConfig) { c.Instance, c.Changed = PerPrincipal, func() { told <- true } })
	session := begin(t, s, who("ann"), `{}`)
	listen := gateway.Outbound{Method: http.MethodGet, Stream: true, Header: http.Header{wire.HeaderSession: {session}}, For: who("ann")}
	reply, err := s.exchange(t.Context(), listen)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	if _, err := talk(t.Context(), s, legacyPost(who("ann"), session, toolCall("1", "change", ""))); err != nil {
		t.Fatal(err)
	}
	if got := data(t, bufio.NewReader(reply.Body)); !strings.Contains(got, "notifications/tools/list_changed") {
		t.Errorf("stream: %s", got)
	}
	<-told
}

func TestStdioModern(t *testing.T) {
	s := ours(t, "modern", nil)
	a, err := talk(t.Context(), s, modernEcho(who("ann"), "n"))
	if err != nil || !strings.Contains(a.Body, `"text":"n"`) || !strings.Contains(a.Body, `"id":"m"`) {
		t.Errorf("call: %+v, %v", a, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reply, err := s.exchange(ctx, modernPost(who("ann"), "subscriptions/listen", "", `"notifications":{},`))
	if err != nil {
		t.Fatal(err)
	}
	if got := data(t, bufio.NewReader(reply.Body)); !strings.Contains(got, `"io.modelcontextprotocol/subscriptionId":"m"`) {
		t.Errorf("listen: %s", got)
	}
	_ = reply.Body.Close()

	old := ours(t, "legacy", nil)
	a, err = talk(t.Context(), old, modernEcho(who("ann"), "n"))
	if err != nil || a.Status != http.StatusBadRequest || !strings.Contains(a.Body, "does not speak protocol 2026-07-28") {
		t.Errorf("a program of the older protocol: %+v, %v", a, err)
	}
	if a, err = talk(t.Context(), old, legacyPost(who("ann"), "", toolCall("1", "echo", "n"))); err != nil || a.Status != 200 {
		t.Errorf("the older protocol after the question: %+v, %v", a, err)
	}
}

// Whatever goes wrong with a program, exactly the callers it concerns are told, in words for the
// operator, and in time.
func TestStdioTroubleIsToldClearly(t *testing.T) {
	for name, c := range map[string]struct {
		how, tool string
		change    func(*StdioConfig)
		kind      error
		want      string
	}{
		"does not exist": {tool: "echo", kind: gateway.ErrUnreachable, want: "nothing was sent: start /no/such/program: no such file", change: func(c *StdioConfig) {
			c.Start = func(context.Context, map[string]string, *os.File, *os.File, *os.File) (Child, error) {
				return nil, errors.New("start /no/such/program: no such file")
			}
		}},
		"banner":            {how: "banner", tool: "echo", kind: gateway.ErrUnreachable, want: `the server wrote "Server is starting…" to stdout, where only MCP messages may be`},
		"exits at once":     {how: "exit", tool: "echo", kind: gateway.ErrUnreachable, want: `the server exited: exit status 3; its last words: "no licence file"`},
		"never answers":     {how: "silent", tool: "echo", kind: gateway.ErrTimeout, want: "the server did not answer initialize within 200ms", change: func(c *StdioConfig) { c.StartTimeout = 200 * time.Millisecond }},
		"exits in a call":   {how: "legacy", tool: "crash", kind: gateway.ErrUnreachable, want: `the server exited: exit status 7; its last words: "out of cheese"`},
		"hangs in a call":   {how: "legacy", tool: "hang", kind: gateway.ErrTimeout, want: "the server said nothing for 200ms", change: func(c *StdioConfig) { c.CallTimeout = 200 * time.Millisecond }},
		"a line of garbage": {how: "legacy", tool: "garbage", kind: gateway.ErrGarbage, want: "a line that is no MCP message"},
		"a line too long":   {how: "legacy", tool: "large", kind: gateway.ErrTooLarge, want: "a line of over 100000 bytes"},
		"no credential": {how: "legacy", tool: "echo", kind: gateway.ErrUnreachable, want: "the gateway has no credential for the upstream: file is empty", change: func(c *StdioConfig) {
			c.Env = func(context.Context, gateway.Party) (map[string]string, error) {
				return nil, errors.New("file is empty")
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := ours(t, c.how, c.change)
			_, err := talk(t.Context(), s, legacyPost(who("ann"), "", toolCall("1", c.tool, "")))
			if !errors.Is(err, c.kind) || !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("error %v\nwant %v, and in it %s", err, c.kind, c.want)
			}
		})
	}
}

func TestStdioRestartsWithBackOff(t *testing.T) {
	var s *Stdio
	var err error
	untilQuick(t, func() bool {
		s = ours(t, "legacy", nil)
		if _, err := talk(t.Context(), s, legacyPost(who("ann"), "", toolCall("1", "crash", ""))); err == nil {
			t.Fatal("a crash was answered")
		}
		_, err = talk(t.Context(), s, legacyPost(who("ann"), "", toolCall("1", "echo", "")))
		return err != nil && strings.Contains(err.Error(), "it is tried again in ")
	}, func() string { return fmt.Sprintf("right after a crash: %v; want that it is tried again", err) })
	deadline := time.Now().Add(time.Minute)
	for {
		a, err := talk(t.Context(), s, legacyPost(who("ann"), "", toolCall("1", "echo", "back")))
		if err == nil && strings.Contains(a.Body, "back") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not restarted: %v", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestStdioEndsWhatNobodyUses(t *testing.T) {
	s := ours(t, "legacy", func(c *StdioConfig) { c.Idle = 20 * time.Millisecond })
	session := begin(t, s, who("ann"), `{}`)
	for deadline := time.Now().Add(time.Minute); s.Health().Running > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("an idle process runs on")
		}
	}
	if a, err := talk(t.Context(), s, legacyPost(who("ann"), session, toolCall("1", "echo", "x"))); err != nil || a.Status != 404 {
		t.Errorf("its session: %+v, %v; want 404, so that the client begins anew", a, err)
	}
}

func TestStdioProcessesAreBounded(t *testing.T) {
	s := ours(t, "legacy", func(c *StdioConfig) { c.MaxProcesses = 2 })
	hang := func(p string) *gateway.Reply {
		reply, err := s.exchange(t.Context(), legacyPost(who(p), begin(t, s, who(p), `{"roots":{}}`), toolCall("1", "ask", "")))
		if err != nil {
			t.Fatal(err)
		}
		return reply // with a question; the call goes on
	}
	one, two := hang("a"), hang("b")
	_, err := talk(t.Context(), s, legacyPost(who("c"), "", toolCall("1", "echo", "")))
	if err == nil || !strings.Contains(err.Error(), "2 processes of it run already and none is idle") {
		t.Errorf("third process: %v", err)
	}
	_ = one.Body.Close()
	if a, err := talk(t.Context(), s, legacyPost(who("c"), "", toolCall("1", "echo", "c"))); err != nil || !strings.Contains(a.Body, `"c"`) {
		t.Errorf("after one is idle: %+v, %v", a, err)
	}
	_ = two.Body.Close()
}

func TestStdioCancelsWhatNobodyWaitsFor(t *testing.T) {
	var log safeBuffer
	s := ours(t, "modern", func(c *StdioConfig) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := talk(ctx, s, legacyPost(who("ann"), "", toolCall("1", "hang", "")))
		done <- err
	}()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(log.String(), "hanging"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not begun: %s", log.String())
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled call: %v", err)
	}
	for deadline := time.Now().Add(time.Minute); !strings.Contains(log.String(), "cancelled 2"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the program was not told: %s", log.String())
		}
	}
}

type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestStdioClosed(t *testing.T) {
	s := ours(t, "legacy", nil)
	begin(t, s, who("ann"), `{}`)
	s.Close()
	if n := s.Health().Running; n != 0 {
		t.Errorf("%d processes run after Close", n)
	}
	if _, err := talk(t.Context(), s, legacyPost(who("ann"), "", toolCall("1", "echo", ""))); !errors.Is(err, gateway.ErrUnreachable) {
		t.Errorf("after Close: %v", err)
	}
}

func TestLinesKeepTheEndsOfWhatIsTooLong(t *testing.T) {
	long := `{"id":1,` + strings.Repeat("x", 300_000) + `,"id":2}`
	in := newLineReader(strings.NewReader("short\n"+long+"\r\n"+strings.Repeat("y", 100_000)+"\nlast"), 200_000)
	for _, want := range []struct {
		line  string
		whole bool
	}{{"short", true}, {long[:ends] + long[len(long)-ends+2:], false}, {strings.Repeat("y", 100_000), true}, {"last", true}} {
		line, whole, err := in.next()
		if string(line) != want.line || whole != want.whole || err != nil && want.line != "last" {
			t.Errorf("got %d bytes (%.20q…), whole %v, %v; want %d bytes, whole %v", len(line), line, whole, err, len(want.line), want.whole)
		}
	}
}
