package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// edit is a value that goes out in another form.
type edit struct {
	at   strictjson.Span
	with []byte
}

// appendLine appends a message as one line, with some values replaced. Line breaks in it stand
// between values, since a string cannot hold them, so a space says the same.
func appendLine(dst, raw []byte, edits ...edit) []byte {
	slices.SortFunc(edits, func(a, b edit) int { return a.at.Start - b.at.Start })
	from, start := 0, len(dst)
	for _, e := range edits {
		dst = append(dst, raw[from:e.at.Start]...)
		dst = append(dst, e.with...)
		from = e.at.End
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

// replace returns raw with the value below path replaced, or raw where there is none.
func replace(raw, with []byte, path ...string) []byte {
	span, ok := at(raw, path...)
	if !ok {
		return raw
	}
	return wire.Splice(raw, span, with)
}

// begin registers a call and writes it, under an id of ours: two callers may use the same.
func (p *process) begin(msg *wire.Message, peer *peer) (*asking, error) {
	c := &asking{p: p, raw: msg.ID, token: msg.ProgressToken, msg: msg, peer: peer}
	c.init(4 * p.s.cfg.MaxMessage)
	p.mu.Lock()
	if p.ended || p.err != nil {
		p.mu.Unlock()
		return nil, fmt.Errorf("%w: %w", gateway.ErrUnreachable, p.reason())
	}
	p.last++
	c.id = p.last
	p.calls[c.id] = c
	p.mu.Unlock()
	id := strconv.AppendInt(nil, c.id, 10)
	idAt, _ := at(msg.Raw, "id")
	edits := []edit{{idAt, id}}
	if c.token != nil {
		if tokenAt, ok := at(msg.Raw, "params", "_meta", "progressToken"); ok {
			edits = append(edits, edit{tokenAt, id})
		}
	}
	if err := p.out.add(func(dst []byte) []byte { return appendLine(dst, msg.Raw, edits...) }); err != nil {
		c.forget()
		return nil, p.why(err)
	}
	return c, nil
}

// why is the reason behind a write that failed: a program that has ended says more than its
// pipe.
func (p *process) why(err error) error {
	if errors.Is(err, gateway.ErrTimeout) {
		return err
	}
	select {
	case <-p.gone:
		return fmt.Errorf("%w: %w", gateway.ErrUnreachable, p.reason())
	case <-time.After(3 * time.Second): // longer than wait gives it
		return err
	}
}

func (c *asking) forget() {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	delete(c.p.calls, c.id)
}

// cancel tells the program that nobody waits for a call.
func (p *process) cancel(id int64) error {
	return p.out.add(func(dst []byte) []byte {
		return fmt.Appendf(dst, `{"jsonrpc":"2.0","method":%q,"params":{"requestId":%d}}`+"\n", wire.NotifyCancelled, id)
	})
}

// write sends a message as it is.
func (p *process) write(raw []byte) error {
	if err := p.out.add(func(dst []byte) []byte { return appendLine(dst, raw) }); err != nil {
		return p.why(err)
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
	defer f.Close()
	in := newLineReader(f, p.s.cfg.MaxMessage)
	for {
		line, whole, err := in.next()
		switch {
		case len(bytes.TrimSpace(line)) == 0:
		case !whole:
			p.tooLong(line)
		default:
			p.take(bytes.Clone(line))
		}
		if err != nil {
			return
		}
	}
}

// take sorts one message.
func (p *process) take(line []byte) {
	reply, err := wire.DecodeReply(line, wire.Limits{})
	if err != nil {
		p.badLine(line, err)
		return
	}
	switch reply.Kind {
	case wire.Response:
		p.answered(reply)
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
	first, many := p.settling, p.bad > mostBad
	var only *asking
	if len(p.calls) == 1 {
		for _, c := range p.calls {
			only = c
		}
	}
	p.mu.Unlock()
	what := fmt.Sprintf("the server wrote %.80q to stdout, where only MCP messages may be (%v); let it log to stderr", line, err)
	p.log.Warn("server wrote what is no message", slog.String("problem", what))
	switch {
	case first || many:
		p.end(what)
		p.child.Kill()
	case only != nil:
		only.forget()
		only.fail(fmt.Errorf("%w: a line that is no MCP message", gateway.ErrGarbage))
	}
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
	c := p.calls[id]
	if c == nil && len(p.calls) == 1 {
		for _, only := range p.calls {
			c = only
		}
	}
	p.mu.Unlock()
	if c != nil {
		c.forget()
		c.fail(fmt.Errorf("%w: a line of over %d bytes", gateway.ErrTooLarge, p.s.cfg.MaxMessage))
	}
}

// answered gives an answer to who asked, under the id that was asked with.
func (p *process) answered(reply *wire.Reply) {
	id, err := strconv.ParseInt(string(reply.ID), 10, 64)
	p.mu.Lock()
	c := p.calls[id]
	if err == nil && c != nil {
		delete(p.calls, id)
		p.settling = false
		p.used = time.Now()
	}
	p.mu.Unlock()
	if err != nil || c == nil {
		p.log.Debug("server answered what nobody asked")
		return
	}
	raw := replace(reply.Raw, c.raw, "id")
	if c.msg.Method == wire.MethodListen {
		raw = replace(raw, c.raw, "result", "_meta", subscriptionID)
	}
	c.put(raw, true)
}

const subscriptionID = "io.modelcontextprotocol/subscriptionId"

// notified passes a notification to whom it belongs.
func (p *process) notified(reply *wire.Reply) {
	if c, path := p.callOf(reply); c != nil {
		value := c.raw
		if path[len(path)-1] == "progressToken" {
			value = c.token
		}
		c.put(replace(reply.Raw, value, path...), false)
		return
	}
	switch reply.Method {
	case wire.NotifyProgress:
		return // of a call that is over
	case wire.NotifyCancelled:
		p.questionWithdrawn(reply)
		return
	case wire.NotifyToolsChanged, "notifications/prompts/list_changed", "notifications/resources/list_changed":
		if p.s.cfg.Changed != nil {
			p.s.cfg.Changed()
		}
	case "notifications/message":
		// In a shared process nobody can say whose call it is about, unless there is one.
		if c := p.onlyCall(); c != nil {
			c.put(reply.Raw, false)
			return
		}
		if p.s.cfg.Instance == Shared {
			return
		}
	case "notifications/resources/updated":
		uri, _ := at(reply.Raw, "params", "uri")
		p.broadcast(reply.Raw, func(peer *peer) bool { return peer.subscribed(string(uri.Of(reply.Raw))) })
		return
	}
	p.broadcast(reply.Raw, func(*peer) bool { return true })
}

// callOf finds the call that a notification names, and where it does.
func (p *process) callOf(reply *wire.Reply) (*asking, []string) {
	paths := [][]string{{"params", "_meta", subscriptionID}}
	if reply.Method == wire.NotifyProgress {
		paths = [][]string{{"params", "progressToken"}}
	}
	for _, path := range paths {
		span, ok := at(reply.Raw, path...)
		if !ok {
			continue
		}
		id, err := strconv.ParseInt(string(span.Of(reply.Raw)), 10, 64)
		p.mu.Lock()
		c := p.calls[id]
		p.mu.Unlock()
		if err == nil && c != nil && (path[len(path)-1] != "progressToken" || c.token != nil) {
			return c, path
		}
	}
	return nil, nil
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

// broadcast puts a message on the streams of the sessions that want it.
func (p *process) broadcast(raw []byte, wants func(*peer) bool) {
	p.mu.Lock()
	peers := make([]*peer, 0, len(p.peers))
	for _, peer := range p.peers {
		peers = append(peers, peer)
	}
	p.mu.Unlock()
	for _, peer := range peers {
		if wants(peer) {
			peer.say(raw)
		}
	}
}
