package bridge

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// round is a request of a client of the older protocol at a newer server. As often as the server
// asks for input, the questions go to the client on the stream of the request, and when all are
// answered the request goes to the server again.
type round struct {
	l   *Link
	ctx context.Context // of the client's request
	who client
	out gateway.Outbound // the request, as the client made it

	// Of the one goroutine that reads the reply:
	id       []byte // of the newest request, ours
	src      *source
	first    *wire.Reply // read already
	queue    [][]byte    // events for the client
	waiting  bool        // for the client's answers
	deadline time.Time
	answered bool

	again  chan again     // holds at most one
	failed chan *rpcError // holds at most one

	mu      sync.Mutex // guards all below
	open    int        // questions without an answer
	answers []member
	state   []byte // raw, or nil
}

// again is the permit of the answer that was the last, in the form of the request.
type again struct {
	permit *gateway.Permit
	id     []byte
}

// rpcError is why the client's request fails.
type rpcError struct {
	code  int
	words string
}

// question is one that a client has been put on behalf of a newer server.
type question struct {
	r      *round
	key    []byte // of the input that it asks for, raw
	method string
}

// maxInputs bounds what a server may ask for at once.
const maxInputs = 16

// beat is how often a stream that waits for the client says that it is there.
const beat = 15 * time.Second

// ask sends a request of an older client to a newer server.
func (l *Link) ask(ctx context.Context, p *gateway.Permit, out gateway.Outbound) (*gateway.Reply, error) {
	r := &round{l: l, ctx: ctx, who: clientOf(out), out: out, again: make(chan again, 1), failed: make(chan *rpcError, 1)}
	r.id = newID()
	q, err := p.Exchange(func(o gateway.Outbound) (gateway.Outbound, error) { return l.toNewer(o, r.id) })
	if err != nil {
		return nil, err
	}
	if err := r.send(q); err != nil {
		return nil, err
	}
	if r.src.events != nil {
		return streamOf(r.next, r.close), nil
	}
	msg, err := r.src.next()
	if err != nil {
		r.close()
		return nil, unended(err)
	}
	if msg.ResultType == inputRequired {
		r.first = msg
		return streamOf(r.next, r.close), nil
	}
	defer r.close()
	raw, err := r.answer(msg)
	if err != nil {
		return nil, err
	}
	return jsonOf(http.StatusOK, raw), nil
}

func newID() []byte { return quoted("sallyport-" + rand.Text()) }

// send spends a permit of the request.
func (r *round) send(p *gateway.Permit) error {
	reply, err := r.l.up.Send(r.ctx, p)
	if err != nil {
		return err
	}
	r.src, err = r.l.source(reply)
	return err
}

// close forgets the questions, and ends the request at the server, which is its cancellation.
func (r *round) close() {
	r.l.mu.Lock()
	for id, q := range r.l.questions {
		if q.r == r {
			delete(r.l.questions, id)
		}
	}
	r.l.mu.Unlock()
	if r.src != nil {
		r.src.close()
	}
}

// next is the next event for the client.
func (r *round) next() ([]byte, error) {
	if len(r.queue) > 0 {
		raw := r.queue[0]
		r.queue = r.queue[1:]
		return event(raw), nil
	}
	if r.waiting {
		return r.await()
	}
	msg, err := r.first, error(nil)
	if r.first = nil; msg == nil {
		msg, err = r.src.next()
	}
	switch {
	case err != nil && r.answered:
		return nil, io.EOF
	case err != nil:
		return nil, unended(err)
	case r.answered:
		return nil, nil // what comes after the answer is for nobody
	case msg == nil:
		return comment, nil
	case msg.Kind == wire.Notification:
		return event(msg.Raw), nil
	case msg.Kind == wire.Request:
		return nil, fmt.Errorf("%w: a request to the client, which its revision of the protocol does not have", gateway.ErrGarbage)
	case msg.ResultType == inputRequired && r.mine(msg):
		return nil, r.put(msg)
	}
	raw, err := r.answer(msg)
	return event(raw), err
}

// mine reports whether msg answers the newest request.
func (r *round) mine(msg *wire.Reply) bool {
	return msg.Kind == wire.Response && (strictjson.Equal(msg.ID, r.id) || msg.ID == nil && msg.Error != nil)
}

// answer is the server's answer for the client.
func (r *round) answer(msg *wire.Reply) ([]byte, error) {
	if !r.mine(msg) {
		return nil, fmt.Errorf("%w: answer to another request", gateway.ErrGarbage)
	}
	r.answered = true
	id := r.out.Message.ID
	if msg.Result == nil {
		return answerOf(id, nil, msg.Error), nil
	}
	if msg.Result[0] != '{' || msg.ResultType != "" && msg.ResultType != complete {
		return nil, fmt.Errorf("%w: a result of a type that the client's revision of the protocol does not have", gateway.ErrUnreachable)
	}
	return answerOf(id, olderResult(msg.Result), nil), nil
}

// stop answers the client with an error of the link's own.
func (r *round) stop(e *rpcError) {
	r.answered, r.waiting = true, false
	r.close()
	r.src = &source{body: http.NoBody, over: true}
	r.queue = append(r.queue, wire.AppendError(nil, r.out.Message.ID, e.code, e.words, nil))
}

// put turns the server's requests for input into questions to the client.
func (r *round) put(msg *wire.Reply) error {
	inputs, err := inputsOf(msg)
	if err != nil {
		return err
	}
	if len(inputs) == 0 {
		r.stop(&rpcError{rpcUnavailable, "the server wants to be asked again and has no question: call again"})
		return nil
	}
	for _, in := range inputs {
		if !allows(r.out.Can, in.method) {
			r.stop(&rpcError{rpcUnavailable, "the server asks for " + in.method + ", and this client did not declare that it can be asked: connect with a client that can"})
			return nil
		}
	}
	r.mu.Lock()
	r.open, r.answers, r.state = len(inputs), nil, nil
	if msg.HasRequestState {
		r.state = msg.RequestState.Of(msg.Raw)
	}
	r.mu.Unlock()
	r.src.close() // of the request that has been answered
	r.waiting, r.deadline = true, r.l.o.Now().Add(r.l.o.Patience)
	l := r.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.questions)+len(inputs) > maxInputs*l.o.MaxQuestions {
		r.fail(rpcUnavailable, "too many calls wait for the answers of their clients: try again later")
		return nil
	}
	for _, in := range inputs {
		id := newID()
		l.questions[string(id)] = &question{r: r, key: in.key, method: in.method}
		r.queue = append(r.queue, request(id, in.method, in.params))
	}
	return nil
}

// await waits for the client's answers, and sends the request again with them.
func (r *round) await() ([]byte, error) {
	left := r.deadline.Sub(r.l.o.Now())
	if left <= 0 {
		r.stop(&rpcError{rpcUnavailable, fmt.Sprintf("the client did not answer what the server asks within %v", r.l.o.Patience)})
		return nil, nil
	}
	timer := time.NewTimer(min(beat, left))
	defer timer.Stop()
	select {
	case <-r.ctx.Done():
		return nil, r.ctx.Err()
	case e := <-r.failed:
		r.stop(e)
		return nil, nil
	case a := <-r.again:
		r.id, r.waiting = a.id, false
		return nil, r.send(a.permit)
	case <-timer.C:
		return comment, nil
	}
}

// fail ends the round with an error to the client, once its answers are waited for. The first
// reason stands.
func (r *round) fail(code int, words string) {
	select {
	case r.failed <- &rpcError{code, words}:
	default:
	}
}
