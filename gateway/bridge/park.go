package bridge

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/wire"
)

// inputKey names the one question of a result that asks for input. A server that has several at
// once gets its answers one after the other: each travels on the decision about one request.
const inputKey = "question"

// maxOfOne is how many calls of one client may wait for its answers.
const maxOfOne = 16

// question takes what the server asks in the middle of the call. The result is for the client; nil
// where the link has answered itself.
func (v *visit) question(msg *wire.Reply) []byte {
	c := v.c
	if msg.Method == wire.MethodPing {
		c.l.tell(gateway.AnswerPing(c.s.id, msg.ID).As(c.party))
		return nil
	}
	if v.msg.Era == wire.Legacy || !mayAsk(c.method) || !allows(v.can, msg.Method) || !v.park(msg) {
		c.l.tell(gateway.RefuseQuestion(c.s.id, msg.ID).As(c.party).In(c.s.version))
		return nil
	}
	return c.inputRequired(v.msg.ID)
}

// park leaves the call to wait for the client's next request. It fails where too many wait.
func (v *visit) park(msg *wire.Reply) bool {
	c, l := v.c, v.c.l
	state := rand.Text()
	l.mu.Lock()
	defer l.mu.Unlock()
	ofOne := 0
	for _, other := range l.parked {
		if other.who.key == c.who.key && other.who.session == c.who.session { // whatever it says that it can
			ofOne++
		}
	}
	if l.closed || len(l.parked) >= l.o.MaxQuestions || ofOne >= maxOfOne {
		l.o.Log.Warn("question not put to the client: too many calls wait for answers already")
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.visitor != v {
		return false
	}
	c.visitor, v.state = nil, state
	c.state, c.asked = state, msg.ID
	c.input = object(nil, nil, member{quoted("method"), quoted(msg.Method)}, member{quoted("params"), msg.Params})
	c.timer = time.AfterFunc(l.o.Patience, func() { c.expire(state) })
	l.parked[state] = c
	return true
}

// expire gives up a call whose client has not come again.
func (c *call) expire(state string) {
	c.mu.Lock()
	waits := c.visitor == nil && c.state == state
	c.mu.Unlock()
	if waits {
		c.end(abandoned)
	}
}

// inputRequired is the result that asks the client for its answer.
func (c *call) inputRequired(id []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return wire.AppendResult(nil, id, object(nil, nil,
		member{quoted("resultType"), quoted(inputRequired)},
		member{quoted("inputRequests"), object(nil, nil, member{quoted(inputKey), c.input})},
		member{quoted("requestState"), quoted(c.state)}))
}

const inputRequired = "input_required"

// waits reports whether the request comes again for a call that waits here, whatever the server
// speaks by now.
func (l *Link) waits(out gateway.Outbound) bool {
	if !out.Message.HasRequestState {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parked[text(paramsOf(out), "requestState")] != nil
}

func (l *Link) unknownState() string {
	return fmt.Sprintf("params.requestState names no call that waits for an answer: it was answered before, waited longer than %v, "+
		"or its server has gone; call again without requestState and inputResponses", l.o.Patience)
}

// retry answers the server's question with the client's input, and waits for the same call again.
func (l *Link) retry(ctx context.Context, p *gateway.Permit, out gateway.Outbound) (*gateway.Reply, error) {
	msg, params := out.Message, paramsOf(out)
	state := text(params, "requestState")
	l.mu.Lock()
	c := l.parked[state]
	l.mu.Unlock()
	if c == nil || c.who != clientOf(out) {
		return l.refuse(msg, wire.RPCInvalidParams, l.unknownState()), nil
	}
	// Another request was decided now than the server would go on with.
	if c.method != msg.Method || c.name != msg.Name || c.args != sha256.Sum256(msg.Arguments) {
		return l.refuse(msg, wire.RPCInvalidParams, "this is not the request that params.requestState belongs to: repeat its method, name and arguments as they were"), nil
	}
	input := memberOf(memberOf(params, "inputResponses"), inputKey)
	if input == nil {
		return jsonOf(http.StatusOK, c.inputRequired(msg.ID)), nil
	}
	if input[0] != '{' {
		return l.refuse(msg, wire.RPCInvalidParams, "params.inputResponses."+inputKey+" must be an object"), nil
	}
	asked, ok := c.unpark(state)
	if !ok {
		return l.refuse(msg, wire.RPCInvalidParams, l.unknownState()), nil
	}
	v := c.enter(ctx, out)
	if err := c.pass(p, asked, input); err != nil {
		c.end(abandoned)
		return nil, err
	}
	return streamOf(v.next, v.close), nil
}

// unpark takes the call back from those that wait. Only one request gets it.
func (c *call) unpark(state string) (asked []byte, ok bool) {
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || l.parked[state] != c {
		return nil, false
	}
	delete(l.parked, state)
	c.timer.Stop()
	c.state = ""
	return c.asked, true
}

// pass sends the client's input as the answer to the server's question.
func (c *call) pass(p *gateway.Permit, asked, input []byte) error {
	q, err := p.Exchange(func(out gateway.Outbound) (gateway.Outbound, error) {
		h := http.Header{"Content-Type": {jsonType}, "Accept": {jsonType + ", " + eventsType}}
		wire.TraceHeaders(h, out.Header)
		return remade(out, wire.AppendResult(nil, asked, input), sessionHeader(h, c.s), c.l.o.Limits)
	})
	if err != nil {
		return err
	}
	reply, err := c.l.up.Send(c.ctx, q)
	if err != nil {
		return err
	}
	_ = reply.Body.Close()
	if reply.Status >= http.StatusMultipleChoices {
		return fmt.Errorf("%w: it did not take the answer to its question: status %d", gateway.ErrGarbage, reply.Status)
	}
	return nil
}
