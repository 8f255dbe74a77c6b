package bridge

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"sallyport/gateway"
	"sallyport/gateway/wire"
)

const tools = `{"name":"ask","inputSchema":{"type":"object","properties":{"who":{"type":"string","x-mcp-header":"Who"}}}},{"name":"echo","inputSchema":{"type":"object"}}`

// heard is what a fake server was sent.
type heard struct {
	mu   sync.Mutex
	sent []gateway.Outbound // redeemed from permits
	told []gateway.Outbound // errands
}

func (h *heard) send(p *gateway.Permit) (gateway.Outbound, error) {
	out, err := p.Redeem()
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		h.sent = append(h.sent, out)
	}
	return out, err
}

func (h *heard) ask(e gateway.Errand) gateway.Outbound {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, e.Outbound())
	return e.Outbound()
}

// bodies is what was sent on permits.
func (h *heard) bodies() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for _, o := range h.sent {
		out = append(out, string(o.Body))
	}
	return out
}

// errands is what the gateway said itself since the catalogue was made: session and method, or
// the body of an answer.
func (h *heard) errands() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for _, o := range h.told {
		what := text(o.Body, "method")
		switch {
		case len(o.Body) == 0:
			what = o.Method
		case what == wire.NotifyCancelled:
			what += " " + string(memberOf(memberOf(o.Body, "params"), "requestId"))
		case what == "":
			what = string(o.Body)
		}
		out = append(out, strings.TrimSpace(o.Header.Get(wire.HeaderSession)+" "+what))
	}
	begun := slices.Index(out, "own DELETE") // the catalogue's own session
	return out[begun+1:]
}

// olderServer is an MCP server of the older protocol, in memory. What it does with a call is
// answer's.
type olderServer struct {
	heard
	answer  func(*talk)
	refuses func(gateway.Party) bool // initialize
	version string
	slow    chan struct{} // initialize waits for it, if not nil
	whole   bool          // answers are one body, which must be the first thing that answer says

	smu      sync.Mutex
	sessions map[string]map[string]chan string // to the channels of questions, by id
	begun    int
}

// talk is a request at an olderServer.
type talk struct {
	up      *olderServer
	ctx     context.Context
	out     gateway.Outbound
	session string
	id      string
	stream  io.Writer
	asked   int
}

// say writes a message on the stream of the request.
func (k *talk) say(format string, args ...any) {
	raw := fmt.Appendf(nil, format, args...)
	if !k.up.whole {
		raw = wire.AppendEvent(nil, raw)
	}
	_, _ = k.stream.Write(raw)
}

// result answers the request.
func (k *talk) result(format string, args ...any) {
	k.say(`{"jsonrpc":"2.0","id":%s,"result":%s}`, k.id, fmt.Sprintf(format, args...))
}

// ask asks the client something and returns its answer, or "" when the request has ended.
func (k *talk) ask(method, params string) string {
	k.asked++
	id := fmt.Sprintf(`"%s-%s-%d"`, k.session, strings.Trim(k.id, `"`), k.asked)
	answer := make(chan string, 1)
	k.up.smu.Lock()
	k.up.sessions[k.session][id] = answer
	k.up.smu.Unlock()
	k.say(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":%s}`, id, method, params)
	select {
	case a := <-answer:
		return a
	case <-k.ctx.Done():
		return ""
	}
}

func (s *olderServer) Ask(ctx context.Context, e gateway.Errand) (*gateway.Reply, error) {
	out := s.ask(e)
	switch method := text(out.Body, "method"); {
	case method == wire.MethodDiscover:
		return jsonOf(400, []byte(`{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no"}}`)), nil
	case method == wire.MethodToolsList:
		return jsonOf(200, []byte(`{"jsonrpc":"2.0","id":1,"result":{"tools":[`+tools+`]}}`)), nil
	case method == wire.MethodInitialize:
		return s.initialize(ctx, out)
	case method == "":
		s.deliver(out)
	}
	return accepted(), nil
}

func (s *olderServer) initialize(ctx context.Context, out gateway.Outbound) (*gateway.Reply, error) {
	version := s.version
	if version == "" {
		version = wire.V20251125
	}
	if out.For.Key == "" { // for the catalogue
		r := jsonOf(200, []byte(`{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"`+version+`","capabilities":{}}}`))
		r.Header.SessionID = "own"
		return r, nil
	}
	if s.slow != nil {
		select {
		case <-s.slow:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if s.refuses != nil && s.refuses(out.For) {
		return jsonOf(200, []byte(`{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"secret"}}`)), nil
	}
	s.smu.Lock()
	defer s.smu.Unlock()
	s.begun++
	id := fmt.Sprintf("s%d", s.begun)
	if s.sessions == nil {
		s.sessions = map[string]map[string]chan string{}
	}
	s.sessions[id] = map[string]chan string{}
	r := jsonOf(200, []byte(`{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"`+version+`","capabilities":{}}}`))
	r.Header.SessionID = id
	return r, nil
}

// forget ends all sessions without a word.
func (s *olderServer) forget() {
	s.smu.Lock()
	defer s.smu.Unlock()
	clear(s.sessions)
}

// deliver gives an answer to who asked, and reports whether the session is known.
func (s *olderServer) deliver(out gateway.Outbound) bool {
	s.smu.Lock()
	defer s.smu.Unlock()
	open, ok := s.sessions[out.Header.Get(wire.HeaderSession)]
	id := string(memberOf(out.Body, "id"))
	if answer := open[id]; answer != nil {
		delete(open, id)
		value := memberOf(out.Body, "result")
		if value == nil {
			value = memberOf(out.Body, "error")
		}
		answer <- string(value)
	}
	return ok
}

func (s *olderServer) Send(ctx context.Context, p *gateway.Permit) (*gateway.Reply, error) {
	out, err := s.send(p)
	if err != nil {
		return nil, err
	}
	msg, refused := wire.Decode(out.Body, out.Header, wire.Limits{})
	if refused != nil || msg.Era != wire.Legacy || string(msg.Raw) != string(out.Message.Raw) {
		return jsonOf(400, []byte(`{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"not one message of this revision"}}`)), nil
	}
	s.smu.Lock()
	_, known := s.sessions[out.Header.Get(wire.HeaderSession)]
	s.smu.Unlock()
	if !known {
		return jsonOf(http.StatusNotFound, []byte(`{"jsonrpc":"2.0","id":null,"error":{"code":404,"message":"Session not found"}}`)), nil
	}
	if msg.Kind == wire.Response {
		s.deliver(out)
		return accepted(), nil
	}
	r, w := io.Pipe()
	k := &talk{up: s, ctx: ctx, out: out, session: out.Header.Get(wire.HeaderSession), id: string(msg.ID), stream: w}
	stop := context.AfterFunc(ctx, func() { _ = w.CloseWithError(ctx.Err()) })
	go func() {
		defer stop()
		s.answer(k)
		_ = w.Close()
	}()
	kind := eventsType
	if s.whole {
		kind = jsonType
	}
	return &gateway.Reply{Status: 200, Header: gateway.ReplyHeader{ContentType: kind, SessionID: k.session}, Body: r}, nil
}

// newerServer is an MCP server of the newer protocol, in memory.
type newerServer struct {
	heard
	answer func(ctx context.Context, out gateway.Outbound, msg *wire.Message) (*gateway.Reply, error)
}

func (s *newerServer) Ask(_ context.Context, e gateway.Errand) (*gateway.Reply, error) {
	out := s.ask(e)
	switch text(out.Body, "method") {
	case wire.MethodDiscover:
		return jsonOf(200, []byte(`{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"],"capabilities":{},"resultType":"complete"}}`)), nil
	case wire.MethodToolsList:
		return jsonOf(200, []byte(`{"jsonrpc":"2.0","id":1,"result":{"tools":[`+tools+`],"ttlMs":1000,"cacheScope":"public","resultType":"complete"}}`)), nil
	}
	return jsonOf(404, []byte(`{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}`)), nil
}

func (s *newerServer) Send(ctx context.Context, p *gateway.Permit) (*gateway.Reply, error) {
	out, err := s.send(p)
	if err != nil {
		return nil, err
	}
	msg, refused := wire.Decode(out.Body, out.Header, wire.Limits{})
	if refused != nil || msg.Era != wire.Modern || string(msg.Raw) != string(out.Message.Raw) {
		return jsonOf(400, []byte(`{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"not one message of this revision"}}`)), nil
	}
	return s.answer(ctx, out, msg)
}

// replied is a result for the message, as one body.
func replied(msg *wire.Message, result string) (*gateway.Reply, error) {
	return jsonOf(200, wire.AppendResult(nil, msg.ID, []byte(result))), nil
}

// streamed is messages as a stream.
func streamed(messages ...string) (*gateway.Reply, error) {
	var body []byte
	for _, m := range messages {
		body = wire.AppendEvent(body, []byte(m))
	}
	return &gateway.Reply{Status: 200, Header: gateway.ReplyHeader{ContentType: eventsType}, Body: io.NopCloser(strings.NewReader(string(body)))}, nil
}
