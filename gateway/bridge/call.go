package bridge

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// call is a request at an older server under an id of ours: of a client of the newer protocol, or
// of one of the older that has no session. The server's reply may outlive the request that asked
// for it: when the server has a question the client gets that as its answer, and comes again.
// Nothing reads the reply meanwhile.
type call struct {
	l      *Link
	who    client
	party  gateway.Party
	method string
	name   string
	args   [sha256.Size]byte // of what the call was decided for
	ctx    context.Context   // of the exchange with the server
	cancel context.CancelFunc

	mu       sync.Mutex // guards all below
	s        *session
	id       []byte
	src      *source
	visitor  *visit // the request that waits for the call, or nil
	answered bool
	over     bool

	// While the client is to answer:
	state string // names the call to its client
	asked []byte // id of the server's question, raw
	input []byte // the question, as the client is asked for it
	timer *time.Timer
}

// visit is one request of the client on whose way back the messages of a call go.
type visit struct {
	c    *call
	msg  *wire.Message
	can  gateway.Capabilities
	rank int // of the least severe log message that the client wants
	stop func() bool

	state string // under which the client was told to come again
	eof   bool   // and that has been read
}

// begin sends a request as a call.
func (l *Link) begin(ctx context.Context, p *gateway.Permit, out gateway.Outbound) (*gateway.Reply, error) {
	msg := out.Message
	if msg.IsRetry && msg.Era == wire.Modern {
		return l.refuse(msg, wire.RPCInvalidParams, l.unknownState()), nil
	}
	c := &call{l: l, who: clientOf(out), party: out.For, method: msg.Method, name: msg.Name, args: sha256.Sum256(msg.Arguments)}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	l.mu.Lock()
	l.calls[c] = true
	l.mu.Unlock()
	v := c.enter(ctx, out)
	reply, s, err := l.within(ctx, p, out, c.form, func(_ *session, q *gateway.Permit) (*gateway.Reply, error) { return l.up.Send(c.ctx, q) })
	if err != nil {
		if ctx.Err() == nil { // the server has nothing that could be cancelled
			c.mu.Lock()
			c.id = nil
			c.mu.Unlock()
		}
		c.end(abandoned)
		return nil, err
	}
	if reply, err = c.take(v, s, reply); err != nil {
		c.end(abandoned)
		return nil, err
	}
	return reply, nil
}

// form puts the request into the form of a session.
func (c *call) form(out gateway.Outbound, s *session) (gateway.Outbound, error) {
	id := s.next()
	c.mu.Lock()
	c.s, c.id = s, id
	c.mu.Unlock()
	return toOlder(out, s, id, c.l.o.Limits)
}

// take makes the server's reply the client's.
func (c *call) take(v *visit, s *session, reply *gateway.Reply) (*gateway.Reply, error) {
	src, err := c.l.source(reply)
	if err != nil {
		c.l.release(s)
		return nil, err
	}
	c.mu.Lock()
	gone := c.over
	if !gone {
		c.src = src
	}
	c.mu.Unlock()
	if gone { // cancelled, or its client ended, while the reply was on its way
		src.close()
		c.l.release(s)
		return nil, fmt.Errorf("%w: the call has ended", gateway.ErrUnreachable)
	}
	if src.events != nil {
		return streamOf(v.next, v.close), nil
	}
	msg, err := src.next()
	if err != nil {
		return nil, unended(err)
	}
	raw, err := v.answer(msg)
	if err != nil {
		return nil, err
	}
	v.stop()
	c.end(finished)
	if v.msg.Era == wire.Modern && string(memberOf(msg.Error, "code")) == codeNoMethod {
		return jsonOf(http.StatusNotFound, raw), nil
	}
	return jsonOf(http.StatusOK, raw), nil // newer clients read more into other states than older servers say
}

const codeNoMethod = "-32601"

// enter makes a request of the client the one on whose way back the call's messages go. When ctx
// ends before the answer, so does the call.
func (c *call) enter(ctx context.Context, out gateway.Outbound) *visit {
	v := &visit{c: c, msg: out.Message, can: out.Can, rank: rankOf(text(memberOf(paramsOf(out), "_meta"), metaLevel))}
	c.mu.Lock()
	c.visitor = v
	c.mu.Unlock()
	v.stop = context.AfterFunc(ctx, v.leave)
	return v
}

// leave gives the call up if it is still this request that waits for it.
func (v *visit) leave() {
	v.c.mu.Lock()
	mine := v.c.visitor == v
	v.c.mu.Unlock()
	if mine {
		v.c.end(abandoned)
	}
}

// close is the end of the reply to the client. One that has not been read to its end has not told
// the client to come again.
func (v *visit) close() {
	v.stop()
	if v.state == "" {
		v.leave()
		return
	}
	c := v.c
	c.mu.Lock()
	unheard := !v.eof && c.visitor == nil && c.state == v.state
	c.mu.Unlock()
	if unheard {
		c.end(abandoned)
	}
}

// ending says why a call ends.
type ending bool

const (
	finished  ending = true  // it was answered, and read to the end
	abandoned ending = false // nobody waits for it; the server is told unless it has answered
)

// end ends the call, once.
func (c *call) end(how ending) {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return
	}
	c.over, c.visitor = true, nil
	s, id, src, answered, state := c.s, c.id, c.src, c.answered, c.state
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	l := c.l
	l.mu.Lock()
	delete(l.calls, c)
	delete(l.parked, state)
	l.mu.Unlock()
	if how == abandoned {
		c.cancel() // a reader may be waiting
	}
	if src != nil {
		src.close()
		l.release(s)
	}
	c.cancel() // not before a reply is closed that was read to its end: its connection can be kept
	if id != nil && !answered {
		l.tell(gateway.TellCancelled(s.id, id).As(c.party).In(s.version))
	}
}

// next is the next event for the client.
func (v *visit) next() ([]byte, error) {
	c := v.c
	if v.state != "" {
		v.eof = true
		return nil, io.EOF
	}
	msg, err := c.src.next()
	switch {
	case err != nil && c.answered: // also where what came after the answer was no good
		c.end(finished)
		return nil, io.EOF
	case err != nil:
		c.end(abandoned)
		return nil, unended(err)
	case c.answered:
		return nil, nil // what comes after the answer is for nobody
	case msg == nil:
		return comment, nil
	case msg.Kind == wire.Notification:
		return event(v.notice(msg)), nil
	case msg.Kind == wire.Request:
		return event(v.question(msg)), nil
	}
	raw, err := v.answer(msg)
	if err != nil {
		c.end(abandoned)
		return nil, err
	}
	return event(raw), nil
}

func event(raw []byte) []byte {
	if raw == nil {
		return nil
	}
	return wire.AppendEvent(nil, raw)
}

// answer is the server's answer for the client, which must be to this call.
func (v *visit) answer(msg *wire.Reply) ([]byte, error) {
	c := v.c
	// An error about a request that could not be read has no id; it is still the answer.
	if msg.Kind != wire.Response || !strictjson.Equal(msg.ID, c.id) && (msg.ID != nil || msg.Error == nil) {
		return nil, fmt.Errorf("%w: answer to another request", gateway.ErrGarbage)
	}
	result, failure := msg.Result, msg.Error
	if v.msg.Era == wire.Modern {
		var err error
		if result != nil {
			result, err = completed(c.method, msg)
		} else {
			failure = newerError(failure)
		}
		if err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	c.answered = true
	c.mu.Unlock()
	return answerOf(v.msg.ID, result, failure), nil
}

// notice is a notification as the client hears it, or nil.
func (v *visit) notice(msg *wire.Reply) []byte {
	switch msg.Method {
	case wire.NotifyProgress:
		token := memberOf(msg.Params, "progressToken")
		if v.msg.ProgressToken == nil || !strictjson.Equal(token, v.c.id) {
			return nil // of the request before this one, or of no request
		}
		at, _ := strictjson.Find(msg.Raw, "params") // token was found there
		inner, _ := strictjson.Find(msg.Params, "progressToken")
		return wire.Splice(msg.Raw, strictjson.Span{Start: at.Start + inner.Start, End: at.Start + inner.End}, v.msg.ProgressToken)
	case notifyMessage:
		if v.msg.Era == wire.Modern && slices.Index(gateway.LogLevels, text(msg.Params, "level")) < v.rank {
			return nil
		}
		return msg.Raw
	case wire.NotifyToolsChanged, "notifications/prompts/list_changed", "notifications/resources/list_changed":
		v.c.l.o.Changed()
	}
	if v.msg.Era == wire.Modern {
		return nil // the newer protocol has it elsewhere, for those who have asked
	}
	return msg.Raw
}

const notifyMessage = "notifications/message"

// rankOf orders the levels; a client that names none hears no message, and one with none is heard by
// nobody.
func rankOf(wanted string) int {
	if i := slices.Index(gateway.LogLevels, wanted); i >= 0 {
		return i
	}
	return len(gateway.LogLevels)
}
