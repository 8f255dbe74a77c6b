package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"sallyport/gateway/audit"
	"sallyport/policy"
)

// A second policy decides beside the first and changes nothing. It is asked behind the call, by one
// goroutine that lives while there is something to ask; what it cannot keep up with is dropped and
// counted. It sees the question as the first policy saw it.

// Bounds of what waits for the second policy, and of one answer.
const (
	maxCompared      = 1024
	maxComparedBytes = 16 << 20
	shadowTimeout    = time.Second
)

// differenceKinds are how the second policy can differ.
var differenceKinds = [...]string{"newly_allowed", "newly_refused", "obligations"}

// errShadowPanic stands for what a panic said.
var errShadowPanic = errors.New("internal error of the engine")

// comparison is one question for the second policy, and what the first one answered.
type comparison struct {
	second Decider
	in     *policy.Input
	deny   bool // housekeeping: deny alone is asked
	first  policy.Decision
	rec    audit.Record // of the question
}

func (c *comparison) bytes() int { return len(c.in.Arguments) }

// shadow is what waits.
type shadow struct {
	mu      sync.Mutex // guards all below
	waiting []comparison
	bytes   int
	running bool
	dropped int64 // since it was told
}

// offer takes a question, or drops it where too many wait. It reports whether nobody is asking.
func (s *shadow) offer(c comparison) (begin, taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) >= maxCompared || len(s.waiting) > 0 && s.bytes+c.bytes() > maxComparedBytes {
		s.dropped++
		return false, false
	}
	s.waiting = append(s.waiting, c)
	s.bytes += c.bytes()
	begin, s.running = !s.running, true
	return begin, true
}

// take returns what waits; where that is nothing, whoever asks must end, and dropped is what has not
// been told.
func (s *shadow) take() (list []comparison, dropped int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, s.waiting, s.bytes = s.waiting, nil, 0
	if len(list) == 0 {
		s.running = false
		dropped, s.dropped = s.dropped, 0
	}
	return list, dropped
}

// compare offers a decision to the second policy, where there is one.
func (x *exchange) compare(in *policy.Input, deny bool, first policy.Decision) {
	if x.snap.Shadow == nil {
		return
	}
	c := comparison{second: x.snap.Shadow, in: in, deny: deny, first: first, rec: x.rec}
	c.rec.Arguments, c.rec.Detail = nil, ""
	forgetQuestion(&c.rec)
	begin, taken := x.g.shadow.offer(c)
	if !taken {
		x.g.counts.dropped.Add(1)
	}
	if begin {
		go x.g.compareAll()
	}
}

// compareAll asks until nothing waits.
func (g *Gateway) compareAll() {
	for {
		list, dropped := g.shadow.take()
		for i := range list {
			g.compareOne(&list[i])
		}
		if dropped > 0 {
			g.log.Warn("decisions were not compared with the shadow policy: it is slower than they come", slog.Int64("dropped", dropped))
			rec := audit.Record{ID: audit.NewID(), Time: g.now(), Phase: audit.PhaseSummary, Code: "shadow_dropped", Count: dropped,
				Detail: "decisions that were not compared with the shadow policy"}
			g.noted(&rec)
		}
		if len(list) == 0 {
			return
		}
	}
}

func (g *Gateway) compareOne(c *comparison) {
	second, err := g.secondOpinion(c)
	g.counts.compared.Add(1)
	if err != nil {
		g.counts.failed.Add(1)
	}
	kind := difference(c.first, second, err)
	if kind < 0 {
		return
	}
	g.counts.differences[kind].Add(1)
	v := audit.Verdict{Revision: c.second.Revision(), Allow: second.Allow && err == nil, Reasons: second.Reasons, Obligations: raws(second.Obligations),
		Rules: second.Rules, Kind: differenceKinds[kind]}
	if err != nil {
		v.Error = err.Error()
	}
	allow := c.first.Allow
	c.rec.Phase, c.rec.Time, c.rec.Shadow, c.rec.PolicyAllow = audit.PhaseShadow, g.now(), &v, &allow
	g.noted(&c.rec)
}

// secondOpinion asks the second policy. A panic in it is an error of its own.
func (g *Gateway) secondOpinion(c *comparison) (d policy.Decision, err error) {
	defer func() {
		if v := recover(); v != nil {
			g.log.Error("the shadow policy panicked", slog.String("id", c.rec.ID), slog.Any("value", v), slog.String("stack", string(debug.Stack())))
			d, err = policy.Decision{}, errShadowPanic
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), shadowTimeout)
	defer cancel()
	if c.deny {
		return c.second.Denied(ctx, c.in)
	}
	return c.second.Decide(ctx, c.in)
}

// difference returns which of differenceKinds it is, or less than 0 for none. A policy that fails
// refuses.
func difference(first, second policy.Decision, err error) int {
	allow := second.Allow && err == nil
	switch {
	case !first.Allow && allow:
		return 0
	case first.Allow && !allow:
		return 1
	case first.Allow && !slices.Equal(inOrder(first.Obligations), inOrder(second.Obligations)):
		return 2
	}
	return -1
}

// inOrder makes sets of obligations comparable: the engine writes each in one way.
func inOrder(list []policy.Obligation) []string {
	out := make([]string, 0, len(list))
	for _, o := range list {
		out = append(out, string(o.Raw))
	}
	slices.Sort(out)
	return out
}

// noted puts a record into the log that nobody waits for.
func (g *Gateway) noted(rec *audit.Record) {
	if err := g.recorder.Note(rec); err != nil {
		g.log.Warn("record dropped", slog.String("id", rec.ID), slog.Any("error", err))
	}
}

func raws(list []policy.Obligation) []json.RawMessage {
	out := make([]json.RawMessage, 0, len(list))
	for _, o := range list {
		out = append(out, o.Raw)
	}
	return out
}
