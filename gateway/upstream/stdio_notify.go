package upstream

import (
	"bytes"
	"log/slog"
	"strconv"

	"sallyport/gateway/wire"
)

const (
	subscriptionID  = "io.modelcontextprotocol/subscriptionId"
	resourceUpdated = "notifications/resources/updated"
	logMessage      = "notifications/message"
)

// listChanged are the notifications that are everybody's.
var listChanged = map[string]bool{wire.NotifyToolsChanged: true, "notifications/prompts/list_changed": true, "notifications/resources/list_changed": true}

// notified passes a notification to whom it belongs. In a process that principals share, what
// names nobody is nobody's: it may be about another's call.
func (p *process) notified(reply *wire.Reply) {
	if c, raw := p.callOf(reply); c != nil {
		c.put(raw, false)
		return
	}
	raw := bytes.Clone(reply.Raw)
	switch {
	case reply.Method == wire.NotifyProgress: // of a call that is over
	case reply.Method == wire.NotifyCancelled:
		p.withdrawn(reply)
	case reply.Method == resourceUpdated:
		uri, _ := at(raw, "params", "uri")
		p.broadcast(raw, func(one *peer) bool { return one.subscribed(string(uri.Of(raw))) })
	case listChanged[reply.Method]:
		if p.s.cfg.Changed != nil {
			p.s.cfg.Changed()
		}
		p.broadcast(raw, nil)
	case p.s.cfg.Instance == Shared:
		p.log.Debug("a notification of a shared server names nobody", slog.Int("bytes", len(raw)))
	default:
		if c := p.onlyCall(); c != nil && reply.Method == logMessage && c.put(raw, false) {
			return
		}
		p.broadcast(raw, nil)
	}
}

// callOf finds the call that a notification names, and what it says in the caller's own words.
func (p *process) callOf(reply *wire.Reply) (*asking, []byte) {
	path := []string{"params", "_meta", subscriptionID}
	if reply.Method == wire.NotifyProgress {
		path = []string{"params", "progressToken"}
	}
	span, ok := at(reply.Raw, path...)
	if !ok {
		return nil, nil
	}
	id, err := strconv.ParseInt(string(span.Of(reply.Raw)), 10, 64)
	if err != nil {
		return nil, nil
	}
	p.mu.Lock()
	c := p.calls[id]
	p.mu.Unlock()
	if c == nil {
		return nil, nil
	}
	own := c.msg.ID
	if reply.Method == wire.NotifyProgress {
		own = c.msg.ProgressToken
	}
	if own == nil || c.then != nil {
		return nil, nil
	}
	return c, wire.Splice(reply.Raw, span, own)
}

// broadcast puts a message on the streams of the sessions that want it; nil is all.
func (p *process) broadcast(raw []byte, wants func(*peer) bool) {
	p.mu.Lock()
	peers := make([]*peer, 0, len(p.peers))
	for _, one := range p.peers {
		peers = append(peers, one)
	}
	p.mu.Unlock()
	for _, one := range peers {
		if wants == nil || wants(one) {
			one.say(raw)
		}
	}
}
