package upstream

import (
	"strconv"

	"sallyport/gateway/wire"
)

// question is one of the program's that a client has been put.
type question struct {
	raw  []byte // the program's id
	peer *peer
}

// mostQuestions bounds those of one process that wait for an answer.
const mostQuestions = 256

// needs is the capability that a client must have declared to be asked.
var needs = map[string]string{wire.AskSampling: "sampling", wire.AskElicitation: "elicitation", wire.AskRoots: "roots"}

// question puts a question of the program's to the one client it can be for: that of the only
// session with a call under way, or else the only one that listens. Where there are several,
// nobody could say which is meant, and the program is told so. The client sees an id of ours: what
// a program uses as one need not survive the client's own reading and writing.
func (p *process) question(reply *wire.Reply) {
	if reply.Method == wire.MethodPing {
		_ = p.write(wire.AppendResult(nil, reply.ID, []byte(`{}`)))
		return
	}
	one, c := p.asker()
	if one == nil || !one.can[needs[reply.Method]] {
		p.refuse(reply.ID, "no client of this server can be asked that")
		return
	}
	id, ok := p.ask(reply, one)
	if !ok {
		p.refuse(reply.ID, "too many questions are open")
		return
	}
	raw := wire.Splice(reply.Raw, reply.IDAt, []byte(id))
	if c != nil && c.put(raw, false) || c == nil && one.say(raw) {
		return
	}
	p.mu.Lock()
	delete(p.asked, id)
	p.mu.Unlock()
	p.refuse(reply.ID, "the client has gone")
}

// ask notes a question and returns the id that the client sees.
func (p *process) ask(reply *wire.Reply, one *peer) (id string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.asked) >= mostQuestions {
		return "", false
	}
	p.newest++
	id = strconv.FormatInt(p.newest, 10)
	p.asked[id] = question{raw: append([]byte(nil), reply.ID...), peer: one}
	return id, true
}

// refuse answers a question of the program's with an error; id is the program's.
func (p *process) refuse(id []byte, why string) {
	_ = p.write(wire.AppendError(nil, id, wire.RPCUnknownMethod, why, nil))
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

// withdrawn tells the client that was asked.
func (p *process) withdrawn(reply *wire.Reply) {
	span, ok := at(reply.Raw, "params", "requestId")
	if !ok {
		return
	}
	theirs := string(span.Of(reply.Raw))
	p.mu.Lock()
	var one *peer
	var ours string
	for id, q := range p.asked {
		if string(q.raw) == theirs {
			one, ours = q.peer, id
			delete(p.asked, id)
		}
	}
	var c *asking
	for _, open := range p.calls {
		if open.peer == one && one != nil && (c == nil || open.id > c.id) {
			c = open
		}
	}
	p.mu.Unlock()
	if one == nil {
		return
	}
	raw := wire.Splice(reply.Raw, span, []byte(ours))
	if c == nil || !c.put(raw, false) {
		one.say(raw)
	}
}

// reply passes a client's answer to the program, if the client was asked.
func (p *process) reply(msg *wire.Message, one *peer) error {
	p.mu.Lock()
	q, open := p.asked[string(msg.ID)]
	if open = open && one != nil && q.peer == one; open {
		delete(p.asked, string(msg.ID))
	}
	p.mu.Unlock()
	if !open {
		return nil // withdrawn meanwhile
	}
	err := p.out.addNow(func(dst []byte) []byte { return appendLine(dst, msg.Raw, q.raw, msg.IDAt) })
	if err != nil {
		return upstreamErr(err)
	}
	return nil
}
