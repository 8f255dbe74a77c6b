package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/wire"
)

// eras is what is known of the program's eras, from all its processes.
type eras struct {
	modern  verdict
	refusal []byte // of initialize, where the program knows only the newer protocol
}

// verdict is whether the program speaks the newer protocol.
type verdict uint8

const (
	unknown  verdict = iota
	speaks           // it has answered so
	declines         // it has answered so
	presumed         // it fell silent or ended over the question: the older protocol will tell
)

// probeTimeout is how long a program may think about server/discover before it is taken for one
// that does not know it; and at most a part of the time that it has for its start, since the
// older handshake needs some as well.
const (
	probeTimeout = 5 * time.Second
	probePart    = 3
)

func (s *Stdio) modern() verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.eras.modern
}

// learn notes a verdict; a presumption gives way to an answer, and never the other way.
func (s *Stdio) learn(v verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v != presumed || s.eras.modern == unknown {
		s.eras.modern = v
	}
}

// refusesInit is how the program refuses the older protocol, or nil where it may speak it.
func (s *Stdio) refusesInit() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.eras.refusal
}

// modernRequest is a POST of the newer protocol, which has no sessions.
func (s *Stdio) modernRequest(ctx context.Context, party gateway.Party, msg *wire.Message) (*gateway.Reply, error) {
	if msg.Kind == wire.Notification { // of cancellation, which the end of the request has brought
		return accepted(), nil
	}
	known := s.modern()
	if known == declines || known == presumed {
		return wrongEra(msg.ID), nil
	}
	k := s.keyOf(party, wire.Modern)
	p, err := s.process(ctx, k, party)
	if err != nil {
		return nil, err
	}
	if known == unknown {
		if v, err := s.probe(ctx, k, p); err != nil || v != speaks {
			return wrongEra(msg.ID), err
		}
	}
	return p.call(ctx, msg, nil)
}

// wrongEra is how a server of the older protocol refuses the newer: clients then begin with
// initialize.
func wrongEra(id []byte) *gateway.Reply {
	return jsonReply(http.StatusBadRequest, wire.AppendError(nil, id, -32000, "Bad Request: this server does not speak protocol "+wire.V20260728, nil))
}

// probe asks the program once whether it speaks the newer protocol (stdio, "Backward
// Compatibility"). A process that does not can begin with the older one.
func (s *Stdio) probe(ctx context.Context, k key, p *process) (verdict, error) {
	if err := p.shake.enter(ctx); err != nil {
		return unknown, err
	}
	defer p.shake.exit()
	if known := s.modern(); known != unknown {
		return known, nil
	}
	out := gateway.AskDiscover().Outbound()
	discover, refused := wire.Decode(out.Body, out.Header, wire.Limits{})
	if refused != nil {
		return unknown, refused
	}
	p.probed = true
	answered := make(chan verdict, 1)
	c := &asking{msg: discover, then: func(result bool) {
		v := declines
		if result {
			v = speaks
		}
		s.learn(v) // also when it comes too late for who asked
		answered <- v
	}}
	if err := p.begin(ctx, c); err != nil {
		return unknown, err
	}
	over := time.NewTimer(min(probeTimeout, s.cfg.StartTimeout/probePart))
	defer over.Stop()
	select {
	case v := <-answered:
		if v != speaks {
			s.becomeLegacy(k)
		}
		return v, nil
	case <-ctx.Done():
		c.forget()
		return unknown, ctx.Err()
	case <-over.C:
		s.learn(presumed)
		c.postpone()
		s.becomeLegacy(k)
	case <-p.gone:
		if p.alreadyAnswered() || p.wanted() {
			return unknown, fmt.Errorf("%w: %w", gateway.ErrUnreachable, p.reason())
		}
		s.learn(presumed)
		s.forgive(k)
	}
	return s.modern(), nil
}

func (p *process) alreadyAnswered() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answered
}

// becomeLegacy lets the process for k go on as that of the older protocol, where there is none.
func (s *Stdio) becomeLegacy(k key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	legacy := k
	legacy.era = wire.Legacy
	if at := s.places[k]; at != nil && s.places[legacy] == nil {
		s.places[legacy] = at
		delete(s.places, k)
	}
}

// forgive lets the next process start at once: the last has ended over a question that it could
// not know.
func (s *Stdio) forgive(k key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.places, k)
}

// refusedInit draws the conclusions from a refusal of initialize, which is raw; own is whether the
// words refused were the gateway's. Of a process that had been asked for the newer protocol before,
// that may be the reason, so the next begins without. Of another, where the newer protocol is
// spoken, it is the program's last word, unless it may be about what a client said. It must be
// called with shake held.
func (p *process) refusedInit(raw []byte, own bool) {
	s := p.s
	code, _ := at(raw, "error", "code")
	n, _ := strconv.Atoi(string(code.Of(raw)))
	final := own || n == wire.RPCUnknownMethod || n == wire.RPCVersion
	s.mu.Lock()
	switch {
	case p.probed && s.eras.modern != speaks:
		s.eras.modern = unknown
	case !p.probed && s.eras.modern == speaks && final:
		s.eras.refusal = raw
	}
	s.mu.Unlock()
	if p.probed {
		p.end(errRefused, toExit)
	}
}

var errRefused = errors.New("it refused the handshake, having been asked for the newer protocol before")

// postpone keeps a probe for an answer that comes too late.
func (c *asking) postpone() {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if _, open := c.p.calls[c.id]; open {
		delete(c.p.calls, c.id)
		c.p.late = c
	}
}

func noHandshake(within time.Duration, hint string) error {
	return fmt.Errorf("%w: the server did not answer initialize within %v%s", gateway.ErrTimeout, within, hint)
}
