package gateway

import (
	"cmp"
	"net/http"

	"sallyport/gateway/wire"
)

// Step is a part of the line, as architecture.md lists them.
type Step uint8

// The steps, in their order. The events of a stream are relayed within StepForward.
const (
	StepEdge Step = iota
	StepAuthenticate
	StepDecode
	StepResolve
	StepCheckInput
	StepAuthorize
	StepAudit
	StepForward
	StepCheckOutput
	StepRespond
	Steps // how many there are
)

var stepNames = [Steps]string{"edge", "authenticate", "decode", "resolve", "check_input", "authorize", "audit", "forward", "check_output", "respond"}

func (s Step) String() string {
	if s < Steps {
		return stepNames[s]
	}
	return "unknown"
}

// Observer is told of requests. It changes nothing: what it does with what it learns is no part of
// any decision.
type Observer interface {
	// Begin is told of a request that has just come.
	Begin(r *http.Request) Watch
}

// Watch follows one request. It is used by the request's own goroutine alone.
type Watch interface {
	// Step says that the step before has ended and this one begins.
	Step(Step)
	// Trace is called once for each request of somebody who is known, before the record is written or
	// anything goes upstream. parent is the trace context that the client has sent, "" where it has sent
	// none that is well formed. What it returns goes upstream in its place, and the trace into the record.
	// A stranger's request is in no trace: it could write into those of others, and crowd them out.
	Trace(parent string) (traceparent string)
	// End says what came of the request.
	End(Seen)
}

// Seen is what an Observer learns of a request: nothing that a client could fill with anything it
// likes, no arguments, no results, nobody's name.
type Seen struct {
	ID       string // of the record
	Code     string // ok, cancelled, or that of a refusal
	Decision string // allow, deny, would_deny; "" where nothing was decided
	Method   string // "" unless the protocol knows it
	Era      string // "" where no message was understood
	Server   string // "" unless one was found
	Tool     string // "" unless it is in the server's catalogue
	BytesIn  int64
	BytesOut int64
}

// step marks where on the line the request is.
func (x *exchange) step(s Step) {
	if x.watch != nil {
		x.watch.Step(s)
	}
}

// traced settles which trace the request belongs to, once a message is understood or refused.
func (x *exchange) traced() {
	if x.settled || x.who == nil {
		return
	}
	x.settled = true
	x.traceparent = wire.Traceparent(x.r.Header, x.msg)
	if x.watch != nil {
		x.traceparent = x.watch.Trace(x.traceparent)
	}
	x.rec.TraceID = wire.TraceID(x.traceparent)
}

// seen tells the observer what came of the request.
func (x *exchange) seen() {
	if x.watch == nil {
		return
	}
	x.traced()
	s := Seen{ID: x.rec.ID, Code: cmp.Or(x.came, "ok"), Decision: x.rec.Decision, Server: x.rec.Server, BytesIn: x.rec.BytesIn, BytesOut: x.rec.BytesOut}
	if x.msg != nil && (x.msg.MethodKnown() || x.msg.Kind == wire.Response) {
		s.Method, s.Era = x.rec.Method, x.msg.Era.String()
	}
	if x.rec.ToolDigest != "" { // so it was found
		s.Tool = x.rec.Tool
	}
	x.watch.End(s)
}
