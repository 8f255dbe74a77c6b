package gateway

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/gateway/wire"
	"sallyport/identity/identitytest"

	"sallyport/identity/grant"
)

// openStream is an upstream stream that a test feeds.
type openStream struct {
	io.Reader
	w      *io.PipeWriter
	closed chan struct{}
}

func (s *openStream) Close() error { return nil }

// streaming makes the upstream answer with a stream that stays open until its context ends.
func (f *fixture) streaming() *openStream {
	r, w := io.Pipe()
	s := &openStream{Reader: r, w: w, closed: make(chan struct{})}
	f.up.answer = func(ctx context.Context, _ Outbound) (*Reply, error) {
		context.AfterFunc(ctx, func() { _ = w.CloseWithError(ctx.Err()); close(s.closed) })
		return &Reply{Status: 200, Header: ReplyHeader{ContentType: "text/event-stream"}, Body: s}, nil
	}
	return s
}

func (s *openStream) say(t *testing.T, event string) {
	t.Helper()
	if _, err := io.WriteString(s.w, event); err != nil {
		t.Fatal(err)
	}
}

// client is a connection to a real HTTP server, since streams need flushing.
type client struct {
	t    *testing.T
	body *bufio.Reader
	resp *http.Response
}

func (f *fixture) connect(t *testing.T, method, token, body string, headers ...string) *client {
	t.Helper()
	srv := httptest.NewServer(f.g)
	t.Cleanup(srv.Close)
	r := f.request(method, token, body, headers...)
	r.RequestURI, r.URL.Host, r.URL.Scheme = "", strings.TrimPrefix(srv.URL, "http://"), "http"
	r.Host = strings.TrimPrefix(identitytest.URL, "http://")
	ctx, cancel := context.WithCancel(context.Background())
	resp, err := srv.Client().Do(r.WithContext(ctx))
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = resp.Body.Close() })
	return &client{t: t, body: bufio.NewReader(resp.Body), resp: resp}
}

// event reads one event's data; "" at the end of the stream.
func (c *client) event() string {
	c.t.Helper()
	data := ""
	for {
		line, err := c.body.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		if rest, ok := strings.CutPrefix(line, "data: "); ok {
			data = rest
		}
		if err != nil || line == "" && data != "" {
			return data
		}
	}
}

const listenBody = `{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},` + meta + `}}`

const acknowledged = `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"L"}}}`

// At a policy swap an open stream is told that its tools may have changed, in the form that
// its era wants.
func TestPolicySwapTellsOpenStreams(t *testing.T) {
	t.Run("newer", func(t *testing.T) {
		f := newFixture(t)
		s := f.streaming()
		c := f.connect(t, "POST", f.reader, listenBody, modernHeaders("subscriptions/listen", "")...)
		s.say(t, "data: "+acknowledged+"\n\n")
		if got := c.event(); got != acknowledged {
			t.Fatalf("first event %s", got)
		}
		f.swap()
		want := `{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"L"}}}`
		if got := c.event(); got != want {
			t.Errorf("event %s; want %s", got, want)
		}
	})
	t.Run("older", func(t *testing.T) {
		f := newFixture(t)
		f.streaming()
		c := f.connect(t, "GET", f.reader, "")
		f.swap()
		if got, want := c.event(), `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`; got != want {
			t.Errorf("event %s; want %s", got, want)
		}
	})
}

// A stream that the new policy denies ends, and so does the upstream's side of it.
func TestPolicySwapEndsDeniedStreams(t *testing.T) {
	deny := testPolicy + "\ndeny contains \"frozen\" if input.subject.id == \"ann\"\n"
	t.Run("newer", func(t *testing.T) {
		f := newFixture(t)
		s := f.streaming()
		c := f.connect(t, "POST", f.reader, listenBody, modernHeaders("subscriptions/listen", "")...)
		s.say(t, "data: "+acknowledged+"\n\n")
		c.event()
		f.snap.Policy = mustPolicy(t, deny)
		f.swap()
		if got, want := c.event(), `{"jsonrpc":"2.0","id":"L","result":{"resultType":"complete"}}`; got != want {
			t.Errorf("last event %s; want %s", got, want)
		}
		if got := c.event(); got != "" {
			t.Errorf("after the end: %s", got)
		}
		<-s.closed
	})
	t.Run("older", func(t *testing.T) {
		f := newFixture(t)
		s := f.streaming()
		c := f.connect(t, "GET", f.reader, "")
		f.snap.Policy = mustPolicy(t, deny)
		f.swap()
		if got := c.event(); got != "" {
			t.Errorf("event %s; want the end", got)
		}
		<-s.closed
		if w := f.do("GET", f.reader, ""); w.Code != 405 || !strings.Contains(w.Body.String(), "frozen") {
			t.Errorf("opening it again: %d %s; want 405 with the policy's reason", w.Code, w.Body)
		}
	})
}

// A stream outlives the token that opened it and ends with the grant.
func TestStreamEndsWithItsGrantAndNotWithItsToken(t *testing.T) {
	f := newFixture(t)
	s := f.streaming()
	id := f.issuer.Grant(grant.Grant{Subject: "ann", Roles: []string{"reader"}})
	now := time.Now().Unix()
	const life = 3 // seconds, of which the first may be over already; a busy machine needs some for the request
	claims := f.issuer.Claims("ann")
	claims["grant"] = id
	c := f.connect(t, "GET", f.issuer.With(claims, map[string]any{"iat": now, "exp": now + life}), "")
	for !time.Now().After(time.Unix(now+life, 0)) {
		time.Sleep(10 * time.Millisecond) // the token's end is the wall clock's
	}
	s.say(t, `data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}`+"\n\n")
	if got := c.event(); !strings.Contains(got, "notifications/message") {
		t.Fatalf("event %s; want what the server says after the token's end", got)
	}
	f.revoke(id)
	if got := c.event(); got != "" {
		t.Errorf("event %s; want the end", got)
	}
	<-s.closed
}

func TestStopEndsStreams(t *testing.T) {
	f := newFixture(t)
	s := f.streaming()
	c := f.connect(t, "POST", f.reader, listenBody, modernHeaders("subscriptions/listen", "")...)
	s.say(t, "data: "+acknowledged+"\n\n")
	c.event()
	f.g.CloseStreams()
	if got, want := c.event(), `{"jsonrpc":"2.0","id":"L","result":{"resultType":"complete"}}`; got != want {
		t.Errorf("last event %s; want %s", got, want)
	}
	<-s.closed
}

// A question on a stream is decided by the policy of now, not of when the stream was opened.
func TestOldStreamObeysTheNewPolicy(t *testing.T) {
	f := newFixture(t)
	s := f.streaming()
	c := f.connect(t, "GET", f.reader, "")
	ask := func(id string) { s.say(t, `data: {"jsonrpc":"2.0","id":"`+id+`","method":"roots/list"}`+"\n\n") }
	ask("q1")
	if got := c.event(); !strings.Contains(got, "q1") {
		t.Fatalf("event %s; want the question", got)
	}
	f.snap.Policy = mustPolicy(t, strings.Replace(testPolicy, `allow if input.action == "roots/list"`, "", 1))
	f.swap()
	c.event() // list_changed
	ask("q2")
	s.say(t, `data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}`+"\n\n")
	if got := c.event(); !strings.Contains(got, "notifications/message") {
		t.Errorf("event %s; want the question left out", got)
	}
}

// Events are flushed as they come, not when the stream ends.
func TestEventsPassAtOnce(t *testing.T) {
	f := newFixture(t)
	s := f.streaming()
	c := f.connect(t, "POST", f.reader, modernCall("ask", `{}`), modernHeaders("tools/call", "ask")...)
	progress := `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`
	s.say(t, "data: "+progress+"\n\n")
	if got := c.event(); got != progress {
		t.Errorf("event %s; want %s while the stream is open", got, progress)
	}
	if got := c.resp.Header.Get("X-Accel-Buffering"); got != "no" {
		t.Errorf("X-Accel-Buffering %q; want no", got)
	}
	s.say(t, `data: {"jsonrpc":"2.0","id":7,"result":{"content":[]}}`+"\n\n")
	if got := c.event(); !strings.Contains(got, `"id":7`) {
		t.Errorf("event %s; want the answer", got)
	}
	_ = s.w.Close()
}

func TestStreamThatTheUpstreamDoesNotOffer(t *testing.T) {
	f := newFixture(t)
	f.up.answer = func(context.Context, Outbound) (*Reply, error) {
		return &Reply{Status: 405, Body: io.NopCloser(strings.NewReader(""))}, nil
	}
	if w := f.do("GET", f.reader, ""); w.Code != 405 {
		t.Errorf("GET: %d; want the upstream's 405", w.Code)
	}
	sent := f.up.requests()
	if len(sent) != 1 || sent[0].Method != "GET" || sent[0].Header.Get("Accept") != "text/event-stream" || sent[0].Header.Get(wire.HeaderSession) != "" {
		t.Errorf("upstream got %+v", sent)
	}
}

// A swap between the decision about a stream and its opening does not pass it by.
func TestSwapWhileAStreamOpensIsNotMissed(t *testing.T) {
	f := newFixture(t)
	s := f.streaming()
	inner := f.up.answer
	f.up.answer = func(ctx context.Context, out Outbound) (*Reply, error) {
		f.snap.Policy = mustPolicy(t, testPolicy+"\ndeny contains \"frozen\" if input.subject.id == \"ann\"\n")
		f.swap()
		return inner(ctx, out)
	}
	c := f.connect(t, "GET", f.reader, "")
	if got := c.event(); got != "" {
		t.Errorf("event %s; want the end", got)
	}
	<-s.closed
}

// slowReader takes its time with each piece of an answer.
type slowReader struct {
	http.ResponseWriter
	before func()
}

func (s *slowReader) Write(p []byte) (int, error) { s.before(); return s.ResponseWriter.Write(p) }
func (s *slowReader) Flush()                      {}

// What lies in the buffer when the policy ends a stream does not go out after it.
func TestBufferedEventsEndWithTheStream(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		f := newFixture(t)
		var events strings.Builder
		for range 50 {
			events.WriteString(`data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"m"}}` + "\n\n")
		}
		f.up.answer = func(context.Context, Outbound) (*Reply, error) { return sseReply(events.String()), nil }
		var once bool
		f.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f.g.ServeHTTP(&slowReader{w, func() {
				if f.g.streams.mu.TryLock() { // as a policy swap would, from outside
					for st := range f.g.streams.open {
						if once {
							st.end("the policy denies it")
						}
						once = true
					}
					f.g.streams.mu.Unlock()
				}
			}}, r)
		})
		body, headers := "", []string(nil)
		if method == "POST" {
			body, headers = listenBody, modernHeaders("subscriptions/listen", "")
		}
		w := f.do(method, f.reader, body, headers...)
		if n := strings.Count(w.Body.String(), "notifications/message"); n > 2 {
			t.Errorf("%s: %d events went out after the end", method, n)
		}
	}
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

// A client that does not read must not hold the upstream's connection.
func TestUpstreamIsFreeBeforeTheClientReads(t *testing.T) {
	f := newFixture(t)
	body := &closing{Reader: strings.NewReader(`{"jsonrpc":"2.0","id":7,"result":{}}`)}
	f.up.answer = func(context.Context, Outbound) (*Reply, error) {
		return &Reply{Status: 200, Header: ReplyHeader{ContentType: "application/json"}, Body: body}, nil
	}
	f.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.g.ServeHTTP(&slowReader{w, func() {
			if !body.closed {
				t.Error("the answer goes to the client while the upstream's connection is held")
			}
		}}, r)
	})
	if got := toolText(f.post(f.reader, legacyCall("ask", `{}`)).Body.String()); got != "ok" {
		t.Errorf("call: %s", got)
	}
}
