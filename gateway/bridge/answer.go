package bridge

import (
	"context"
	"fmt"
	"slices"

	"sallyport/gateway"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// input is one that a newer server asks for.
type input struct {
	key    []byte // raw
	method string
	params []byte
}

// inputsOf reads what a server asks for.
func inputsOf(msg *wire.Reply) ([]input, error) {
	if msg.InputRequests.Empty() {
		return nil, nil
	}
	raw := msg.InputRequests.Of(msg.Raw)
	var inputs []input
	sound := true
	err := strictjson.EachMember(raw, func(m strictjson.Member) {
		v := m.Value().Of(raw)
		in := input{key: raw[m.NameStart:m.NameEnd], method: text(v, "method"), params: memberOf(v, "params")}
		switch in.method {
		case wire.AskElicitation:
			in.params = elicitation(in.params)
		case wire.AskSampling, wire.AskRoots:
		default:
			sound = false
		}
		inputs = append(inputs, in)
	})
	if err != nil || !sound || len(inputs) > maxInputs {
		return nil, fmt.Errorf("%w: inputRequests that the protocol does not have", gateway.ErrGarbage)
	}
	return inputs, nil
}

// elicitation gives an elicitation by URL the id that the older protocol wants.
func elicitation(params []byte) []byte {
	if params == nil || params[0] != '{' || text(params, "mode") != "url" || memberOf(params, "elicitationId") != nil {
		return params
	}
	return object(params, func(_ string, value []byte) []byte { return value }, member{quoted("elicitationId"), newID()})
}

// take returns the question that the client has been put under the id, once, or nil.
func (l *Link) take(id string, who client) *question {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.questions[id]
	if q == nil || q.r.who != who {
		return nil
	}
	delete(l.questions, id)
	return q
}

// answer takes a client's answer: to a question of ours, or to one of an older server.
func (l *Link) answer(ctx context.Context, p *gateway.Permit, out gateway.Outbound) (*gateway.Reply, error) {
	q := l.take(string(out.Message.ID), clientOf(out))
	if q == nil {
		return l.answerSame(ctx, p, out)
	}
	result := memberOf(out.Body, "result")
	if result == nil || result[0] != '{' {
		q.r.fail(rpcUnavailable, "the client did not answer "+q.method+", which the server needs")
		return accepted(), nil
	}
	if err := q.r.answeredBy(p, member{q.key, result}); err != nil {
		return nil, err
	}
	return accepted(), nil
}

// answeredBy notes an answer. The permit of the last becomes that of the request with all of them.
func (r *round) answeredBy(p *gateway.Permit, one member) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers = append(r.answers, member{one.name, slices.Clone(one.value)})
	if r.open--; r.open > 0 {
		_, err := p.Redeem() // it has paid for this answer, which travels with the last
		return err
	}
	id := newID()
	q, err := p.Exchange(func(gateway.Outbound) (gateway.Outbound, error) {
		return r.l.toNewer(r.out, id, member{quoted("inputResponses"), object(nil, nil, r.answers...)}, member{quoted("requestState"), r.state})
	})
	if err != nil {
		r.fail(rpcUnavailable, "the client's answers cannot be put into the form of the server")
		return err
	}
	r.again <- again{q, id} // there is room: it is the last answer of this round, and await has taken the one before
	return nil
}
