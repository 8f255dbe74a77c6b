package upstream

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// peer is one client's session with a process. The program knows one session only; ours keep
// apart whose question, subscription and stream is whose.
type peer struct {
	id  string
	can map[string]bool // what its client can be asked

	mu     sync.Mutex // guards all below; taken after the process's
	used   time.Time
	stream *queue // of the open GET, or nil
	uris   map[string]bool
	ended  bool
}

// mostPeers bounds the sessions of one process. A client that is forgotten begins anew.
const mostPeers = 1000

// join begins a session for a client that can be asked what its initialize says.
func (p *process) join(init *wire.Message) *peer {
	one := &peer{id: rand.Text(), used: time.Now(), can: map[string]bool{}, uris: map[string]bool{}}
	if span, ok := at(init.Raw, "params", "capabilities"); ok && p.s.cfg.Instance != Shared {
		_ = strictjson.EachMember(span.Of(init.Raw), func(m strictjson.Member) { one.can[m.Name] = true })
	}
	var oldest *peer
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != running {
		return one // which dies with the process, as all of its sessions
	}
	if len(p.peers) >= mostPeers {
		var since time.Time
		for _, other := range p.peers {
			if used := other.usedAt(); oldest == nil || used.Before(since) {
				oldest, since = other, used
			}
		}
		delete(p.peers, oldest.id)
		oldest.end()
	}
	p.peers[one.id] = one
	return one
}

// peer returns a session that is about to be used, or nil, as of a process that runs no more.
func (p *process) peer(id string) *peer {
	now := time.Now()
	p.mu.Lock()
	p.used = now
	one := p.peers[id]
	if p.state != running {
		one = nil
	}
	p.mu.Unlock()
	if one != nil {
		one.mu.Lock()
		one.used = now
		one.mu.Unlock()
	}
	return one
}

// leave ends a session. The program hears that questions to it have no answer.
func (p *process) leave(one *peer) {
	p.mu.Lock()
	delete(p.peers, one.id)
	var open [][]byte
	for id, q := range p.asked {
		if q.peer == one {
			delete(p.asked, id)
			open = append(open, q.raw)
		}
	}
	p.mu.Unlock()
	one.end()
	for _, id := range open {
		p.refuse(id, "the client has ended its session")
	}
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

// usedAt is when the session was last used; of one that listens, now.
func (one *peer) usedAt() time.Time {
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.stream != nil {
		return time.Now()
	}
	return one.used
}

// listen opens the session's stream. A client that opens a second one has lost the first.
func (one *peer) listen(most int64) *queue {
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.stream != nil {
		one.stream.fail(nil)
	}
	one.stream = &queue{}
	one.stream.init(most, time.Now())
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

// subscribe notes what the session wants to hear of, before the program is asked. It reports
// whether the program need not be: another session of the process goes on listening.
func (p *process) subscribe(one *peer, msg *wire.Message) (enough bool) {
	span, ok := at(msg.Raw, "params", "uri")
	if !ok {
		return false
	}
	uri := string(span.Of(msg.Raw))
	const most, mostURI = 10_000, 2 << 10 // of a longer one there are no notices
	one.mu.Lock()
	switch {
	case msg.Method == wire.MethodResUnsub:
		delete(one.uris, uri)
	case len(one.uris) < most && len(uri) <= mostURI:
		one.uris[uri] = true
	}
	one.mu.Unlock()
	if msg.Method != wire.MethodResUnsub {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, other := range p.peers {
		if other.subscribed(uri) {
			return true
		}
	}
	return false
}

// handshake returns the answer to initialize, which a program gives once. In a process of its own
// the first client's words go through; a shared one is told of no capability, since nobody could
// say whom it asks.
func (p *process) handshake(ctx context.Context, init *wire.Message) ([]byte, error) {
	if raw := p.hello.Load(); raw != nil {
		return *raw, nil
	}
	if err := p.shake.enter(ctx); err != nil {
		return nil, err
	}
	defer p.shake.exit()
	if raw := p.hello.Load(); raw != nil {
		return *raw, nil
	}
	own := p.owner == ofGateway
	if init == nil || p.s.cfg.Instance == Shared {
		own = true
		out := gateway.AskInitialize(gateway.Capabilities{}).Outbound()
		var refused *wire.Error
		if init, refused = wire.Decode(out.Body, out.Header, wire.Limits{}); refused != nil {
			return nil, refused
		}
	}
	// The handshake is everybody's, so it does not end with the one who was first.
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), p.began.Add(p.s.cfg.StartTimeout))
	defer cancel()
	c := &asking{msg: init}
	if err := p.begin(ctx, c); err != nil {
		return nil, p.tooLate(ctx, err)
	}
	raw, err := c.answerOf(ctx)
	if err != nil {
		c.forget()
		return nil, p.tooLate(ctx, err)
	}
	if _, ok := at(raw, "result"); !ok {
		p.refusedInit(raw, own)
		return raw, nil // a refusal is for who asked, and the next may ask otherwise
	}
	// Calls come after what completes the handshake, so hello is set last.
	err = p.write([]byte(`{"jsonrpc":"2.0","method":"` + wire.NotifyInitialized + `"}`))
	p.hello.Store(&raw)
	return raw, err
}

// answerOf waits for the answer and drops what comes before.
func (c *asking) answerOf(ctx context.Context) ([]byte, error) {
	for {
		raw, answer, err := c.next(ctx, 0)
		if err != nil || answer {
			return raw, err
		}
	}
}

// tooLate ends a process that has not answered the handshake in time.
func (p *process) tooLate(ctx context.Context, err error) error {
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() == nil {
		return err
	}
	err = noHandshake(p.s.cfg.StartTimeout, p.stderr.hint())
	p.breakOff(err)
	return err
}
