package upstream

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"

	"sallyport/gateway"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// peer is one client's session with a process. The program knows one session only; ours keep
// apart whose question, subscription and stream is whose.
type peer struct {
	id  string
	can map[string]bool // what its client can be asked

	mu     sync.Mutex // guards all below
	stream *queue     // of the open GET, or nil
	uris   map[string]bool
	ended  bool
}

// join begins a session for a client that can be asked what its initialize says.
func (p *process) join(init *wire.Message) *peer {
	one := &peer{id: rand.Text(), can: map[string]bool{}, uris: map[string]bool{}}
	if span, ok := at(init.Raw, "params", "capabilities"); ok && p.s.cfg.Instance != Shared {
		_ = strictjson.EachMember(span.Of(init.Raw), func(m strictjson.Member) { one.can[m.Name] = true })
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.peers[one.id] = one
	return one
}

func (p *process) peer(id string) *peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.peers[id]
}

func (p *process) leave(one *peer) {
	p.mu.Lock()
	delete(p.peers, one.id)
	for id, peer := range p.asked {
		if peer == one {
			delete(p.asked, id)
		}
	}
	p.mu.Unlock()
	one.end()
}

// end closes the session's stream.
func (one *peer) end() {
	one.mu.Lock()
	defer one.mu.Unlock()
	one.ended = true
	if one.stream != nil {
		one.stream.fail(nil)
	}
}

// listen opens the session's stream. A client that opens a second one has lost the first.
func (one *peer) listen(most int64) *queue {
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.stream != nil {
		one.stream.fail(nil)
	}
	one.stream = &queue{}
	one.stream.init(most)
	if one.ended {
		one.stream.fail(nil)
	}
	return one.stream
}

func (one *peer) deaf(q *queue) {
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.stream == q {
		one.stream = nil
	}
}

func (one *peer) listening() bool {
	one.mu.Lock()
	defer one.mu.Unlock()
	return one.stream != nil
}

// say puts a message on the session's stream, if one is open.
func (one *peer) say(raw []byte) bool {
	one.mu.Lock()
	defer one.mu.Unlock()
	return one.stream != nil && one.stream.put(raw, false)
}

func (one *peer) subscribed(rawURI string) bool {
	one.mu.Lock()
	defer one.mu.Unlock()
	return one.uris[rawURI]
}

// subscribe notes what the session wants to hear of; the URI is raw.
func (one *peer) subscribe(msg *wire.Message) {
	span, ok := at(msg.Raw, "params", "uri")
	if !ok {
		return
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	const most = 10_000
	switch uri := string(span.Of(msg.Raw)); {
	case msg.Method == wire.MethodResUnsub:
		delete(one.uris, uri)
	case len(one.uris) < most:
		one.uris[uri] = true
	}
}

// needs is the capability that a client must have declared to be asked.
var needs = map[string]string{wire.AskSampling: "sampling", wire.AskElicitation: "elicitation", wire.AskRoots: "roots"}

// question puts a question of the program's to the one client it can be for: that of the only
// session with a call under way, or else the only one that listens. Where there are several,
// nobody could say which is meant, and the program is told so.
func (p *process) question(reply *wire.Reply) {
	if reply.Method == wire.MethodPing {
		p.answer(wire.AppendResult(nil, reply.ID, []byte(`{}`)))
		return
	}
	one, c := p.asker()
	if one != nil && one.can[needs[reply.Method]] {
		p.mu.Lock()
		p.asked[string(reply.ID)] = one
		p.mu.Unlock()
		if c != nil && c.put(reply.Raw, false) || c == nil && one.say(reply.Raw) {
			return
		}
		p.mu.Lock()
		delete(p.asked, string(reply.ID))
		p.mu.Unlock()
	}
	p.answer(wire.AppendError(nil, reply.ID, wire.RPCUnknownMethod, "no client of this session can be asked "+reply.Method, nil))
}

// answer answers the program's own question. Who reads its output must not wait for it to read
// its input.
func (p *process) answer(raw []byte) {
	go func() { _ = p.write(raw) }() // an error ends the process, which all see
}

// asker is whom a question is for, and the call whose stream it goes to.
func (p *process) asker() (*peer, *asking) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var newest *asking
	for _, c := range p.calls {
		switch {
		case c.peer == nil || newest != nil && newest.peer != c.peer:
			return nil, nil
		case newest == nil || c.id > newest.id:
			newest = c
		}
	}
	if newest != nil {
		return newest.peer, newest
	}
	var only *peer
	for _, one := range p.peers {
		if !one.listening() {
			continue
		}
		if only != nil {
			return nil, nil
		}
		only = one
	}
	return only, nil
}

// questionWithdrawn tells the client that was asked.
func (p *process) questionWithdrawn(reply *wire.Reply) {
	span, ok := at(reply.Raw, "params", "requestId")
	if !ok {
		return
	}
	id := string(span.Of(reply.Raw))
	p.mu.Lock()
	one := p.asked[id]
	delete(p.asked, id)
	var c *asking
	for _, open := range p.calls {
		if open.peer == one && one != nil && (c == nil || open.id > c.id) {
			c = open
		}
	}
	p.mu.Unlock()
	if one == nil || c != nil && c.put(reply.Raw, false) {
		return
	}
	one.say(reply.Raw)
}

// reply passes a client's answer to the program, if the client was asked.
func (p *process) reply(msg *wire.Message, one *peer) error {
	p.mu.Lock()
	ours := one != nil && p.asked[string(msg.ID)] == one
	delete(p.asked, string(msg.ID))
	p.mu.Unlock()
	if !ours {
		return nil // withdrawn meanwhile
	}
	return p.write(msg.Raw)
}

// handshake returns the result of initialize, which a program answers once. In a process of its
// own the first client's words go through; a shared one is told of no capability, since nobody
// could say whom it asks.
func (p *process) handshake(ctx context.Context, init *wire.Message) ([]byte, error) {
	p.shake.Lock()
	defer p.shake.Unlock()
	if p.hello != nil {
		return p.hello, nil
	}
	if init == nil || p.s.cfg.Instance == Shared {
		out := gateway.AskInitialize(gateway.Capabilities{}).Outbound()
		var refused *wire.Error
		if init, refused = wire.Decode(out.Body, out.Header, wire.Limits{}); refused != nil {
			return nil, refused
		}
	}
	// The handshake is everybody's, so it does not end with the one who was first.
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), p.began.Add(p.s.cfg.StartTimeout))
	defer cancel()
	c, err := p.begin(init, nil)
	if err != nil {
		return nil, err
	}
	for {
		raw, answer, err := c.next(ctx, 0)
		if err != nil {
			c.forget()
			if ctx.Err() != nil {
				err = fmt.Errorf("%w: the server did not answer initialize within %v%s", gateway.ErrTimeout, p.s.cfg.StartTimeout, p.stderr.hint())
				p.end(err.Error())
				p.child.Kill()
			}
			return nil, err
		}
		if !answer {
			continue
		}
		reply, err := wire.DecodeReply(raw, wire.Limits{})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", gateway.ErrGarbage, err)
		}
		if reply.Result == nil {
			return raw, nil // a refusal is for who asked, and the next may ask otherwise
		}
		p.hello = raw
		return raw, p.write([]byte(`{"jsonrpc":"2.0","method":"` + wire.NotifyInitialized + `"}`))
	}
}
