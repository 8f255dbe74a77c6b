package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// appendLine appends a message as one line, with the values at some places replaced, which are in
// order. Line breaks in it stand between values, since a string cannot hold them, so a space says
// the same.
func appendLine(dst, raw, with []byte, places ...strictjson.Span) []byte {
	from, start := 0, len(dst)
	for _, at := range places {
		dst = append(dst, raw[from:at.Start]...)
		dst = append(dst, with...)
		from = at.End
	}
	dst = append(dst, raw[from:]...)
	line := dst[start:]
	if bytes.IndexByte(line, '\n') >= 0 || bytes.IndexByte(line, '\r') >= 0 {
		for i, c := range line {
			if c == '\n' || c == '\r' {
				line[i] = ' '
			}
		}
	}
	return append(dst, '\n')
}

// at is where the value below a path of members is.
func at(raw []byte, path ...string) (strictjson.Span, bool) {
	span := strictjson.Span{End: len(raw)}
	for _, name := range path {
		inner, ok := strictjson.Find(span.Of(raw), name)
		if !ok {
			return strictjson.Span{}, false
		}
		span = strictjson.Span{Start: span.Start + inner.Start, End: span.Start + inner.End}
	}
	return span, true
}

// errGone is returned when a process cannot take a message any more, before any of it was written.
var errGone = errors.New("the process has just ended")

// begin registers a call and writes it, under an id of ours: two callers may use the same. The
// context bounds how long it may take until there is room for it.
func (p *process) begin(ctx context.Context, c *asking) error {
	msg := c.msg
	c.p, c.began, c.status = p, time.Now(), http.StatusOK
	c.init(4*p.s.cfg.MaxMessage, c.began)
	p.mu.Lock()
	if p.state != running {
		defer p.mu.Unlock()
		return fmt.Errorf("%w: %w", errGone, upstreamErr(p.err))
	}
	p.last++
	c.id = p.last
	p.calls[c.id] = c
	p.mu.Unlock()
	var digits [20]byte
	id := strconv.AppendInt(digits[:0], c.id, 10)
	places := [2]strictjson.Span{msg.IDAt, msg.TokenAt}
	n := 2
	if msg.TokenAt.Empty() {
		n = 1
	} else if msg.TokenAt.Start < msg.IDAt.Start {
		places[0], places[1] = places[1], places[0]
	}
	err := p.out.add(ctx, func(dst []byte) []byte { return appendLine(dst, msg.Raw, id, places[:n]...) })
	if err != nil {
		c.forget()
		if ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", errGone, upstreamErr(err))
		}
		return err
	}
	return nil
}

// cancel tells the program that nobody waits for a call, unless it is too far behind to hear it.
func (p *process) cancel(id int64) {
	_ = p.out.addNow(func(dst []byte) []byte {
		return fmt.Appendf(dst, `{"jsonrpc":"2.0","method":%q,"params":{"requestId":%d}}`+"\n", wire.NotifyCancelled, id)
	})
}

// write sends a message as it is.
func (p *process) write(raw []byte) error {
	if err := p.out.addNow(func(dst []byte) []byte { return appendLine(dst, raw, nil) }); err != nil {
		return upstreamErr(err)
	}
	return nil
}

// mostBad is how many lines that are no message a program may write.
const mostBad = 100

// read takes what the program says until its output ends.
func (p *process) read(f interface {
	Read([]byte) (int, error)
	Close() error
}) {
	defer func() { _ = f.Close() }()
	in := newLineReader(f, p.s.cfg.MaxMessage)
	for {
		line, whole, err := in.next()
		switch {
		case len(bytes.TrimSpace(line)) == 0:
		case !whole:
			p.tooLong(line)
		default:
			p.take(line)
		}
		if err != nil {
			return
		}
	}
}

// take sorts one message. line is the reader's: what is kept of it is copied.
func (p *process) take(line []byte) {
	if p.passOn(line) {
		return
	}
	reply, err := wire.DecodeReply(line, wire.Limits{})
	if err != nil {
		p.badLine(line, err)
		return
	}
	if reply.Kind == wire.Response {
		p.answer(reply)
		return
	}
	p.mu.Lock()
	p.heard, p.silent = time.Now(), 0
	p.mu.Unlock()
	switch reply.Kind {
	case wire.Notification:
		p.notified(reply)
	case wire.Request:
		p.question(reply)
	}
}

// badLine is told to the one caller who can be meant, and to the operator in any case. A program
// whose first line is none is not an MCP server.
func (p *process) badLine(line []byte, err error) {
	p.mu.Lock()
	p.bad++
	first, many := !p.answered, p.bad > mostBad
	p.mu.Unlock()
	p.s.badLine()
	said := p.s.cfg.Secrets.ScrubText(string(line))
	what := fmt.Errorf("the server wrote %.80q to stdout, where only MCP messages may be (%w); let it log to stderr", said, err)
	if first || many {
		p.breakOff(what)
		return
	}
	p.log.Warn("server wrote what is no message", slog.Any("problem", what))
	if only := p.onlyCall(); only != nil && only.forget() {
		only.fail(fmt.Errorf("%w: a line that is no MCP message", gateway.ErrGarbage))
	}
}

func (s *Stdio) badLine() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.health.BadLines++
}

// Where the id of an answer stands that is too long to be read: at the one end or the other.
var (
	idFirst = regexp.MustCompile(`^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,18})\s*,`)
	idLast  = regexp.MustCompile(`,\s*"id"\s*:\s*(\d{1,18})\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$`)
)

// tooLong fails the call that a line over the limit answers, as far as its ends tell.
func (p *process) tooLong(line []byte) {
	p.log.Warn("server wrote a line over the size limit", slog.Int64("limit", p.s.cfg.MaxMessage))
	var id int64
	if m := idFirst.FindSubmatch(line); m != nil {
		id, _ = strconv.ParseInt(string(m[1]), 10, 64)
	} else if m := idLast.FindSubmatch(line); m != nil {
		id, _ = strconv.ParseInt(string(m[1]), 10, 64)
	}
	p.mu.Lock()
	p.heard, p.silent = time.Now(), 0
	c := p.calls[id]
	p.mu.Unlock()
	if c == nil {
		c = p.onlyCall()
	}
	if c != nil && c.forget() {
		c.fail(fmt.Errorf("%w: a line of over %d bytes", gateway.ErrTooLarge, p.s.cfg.MaxMessage))
	}
}

// answer gives an answer to who asked, under the id that was asked with.
func (p *process) answer(reply *wire.Reply) {
	id, err := strconv.ParseInt(string(reply.ID), 10, 64)
	p.mu.Lock()
	p.heard, p.silent = time.Now(), 0
	c := p.calls[id]
	if c == nil && p.late != nil && p.late.id == id {
		c = p.late
	}
	if err == nil && c != nil {
		delete(p.calls, id)
		p.answered = true
		p.used = p.heard
	}
	p.mu.Unlock()
	switch {
	case err != nil || c == nil:
		p.log.Debug("server answered what nobody asked")
	case c.then != nil:
		c.then(reply.Result != nil)
	default:
		raw := wire.Splice(reply.Raw, reply.IDAt, c.msg.ID)
		if c.endless() {
			raw = replace(raw, c.msg.ID, "result", "_meta", subscriptionID)
		}
		c.status = statusOf(c.msg.Era, reply.Error)
		c.put(raw, true)
	}
}

// passOn gives a plain result to who asked, unchecked, where the gateway checks it and it is written
// as nearly all are. See [resultID]; what else the line may be, its reader refuses.
func (p *process) passOn(line []byte) bool {
	id, at, ok := resultID(line)
	if !ok {
		return false
	}
	now := time.Now()
	p.mu.Lock()
	c := p.calls[id]
	if c == nil || !c.passes {
		p.mu.Unlock()
		return false
	}
	delete(p.calls, id)
	p.heard, p.silent, p.used, p.answered = now, 0, now, true
	p.mu.Unlock()
	c.putAt(wire.Splice(line, at, c.msg.ID), true, now)
	return true
}

// statusOf is the HTTP status that the newer protocol has for an error (Streamable HTTP, "Server
// Validation"); the older one has none.
func statusOf(era wire.Era, rpcError []byte) int {
	if rpcError == nil || era != wire.Modern {
		return http.StatusOK
	}
	const missingCapability = -32021
	code, _ := at(rpcError, "code")
	switch n, _ := strconv.Atoi(string(code.Of(rpcError))); n {
	case wire.RPCUnknownMethod:
		return http.StatusNotFound
	case wire.RPCHeaderMismatch, wire.RPCVersion, missingCapability:
		return http.StatusBadRequest
	default:
		return http.StatusOK
	}
}

// replace returns raw with the value below path replaced, or raw where there is none.
func replace(raw, with []byte, path ...string) []byte {
	span, ok := at(raw, path...)
	if !ok {
		return raw
	}
	return wire.Splice(raw, span, with)
}

func (p *process) onlyCall() *asking {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.calls) != 1 {
		return nil
	}
	for _, c := range p.calls {
		return c
	}
	return nil
}
