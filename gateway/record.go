package gateway

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"

	"sallyport/gateway/audit"
	"sallyport/gateway/wire"
)

// record puts the decision on disk. Without that there is no call.
func (x *exchange) record(ctx context.Context) error {
	x.step(StepAudit)
	x.rec.Phase = audit.PhaseDecision
	err := x.g.recorder.Decide(ctx, &x.rec)
	x.rec.Calls, x.rec.Bytes = 0, 0 // what follows charges nothing more
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, audit.ErrLate) { // else it may yet come to the disk, and then counts
			x.held.Refund()
			x.held = nil
		}
		return &Error{Code: CodeUnaudited, Public: "the decision cannot be recorded, so the call is not made", Err: err}
	}
	x.decided = true
	x.countDecision()
	forgetQuestion(&x.rec)
	return nil
}

func (x *exchange) countDecision() {
	if x.rec.Decision == wouldDeny {
		x.g.counts.wouldDeny.Add(1)
	}
}

// outcome records what came of a request that went upstream, or that it went nowhere. Nobody
// waits for it; a record that finds no room is counted by the recorder.
func (x *exchange) outcome(code, detail string) {
	x.came = code
	if !x.decided {
		x.countDecision()
	}
	rec := x.rec
	if x.withheld != nil && rec.Decision == "allow" { // the decision of the call is on record; this is about its answer
		rec.Decision = wouldDeny
		x.g.counts.wouldDeny.Add(1)
	}
	rec.Phase = audit.PhaseRefusal
	if x.decided || code == "ok" { // the gateway's own answers reach no upstream, and are no refusal
		rec.Phase = audit.PhaseOutcome
	}
	rec.Code, rec.Detail = code, x.redaction(detail)
	rec.Time = x.g.now()
	if !x.sent.IsZero() {
		rec.UpstreamMS = float64(rec.Time.Sub(x.sent).Microseconds()) / 1000
	}
	if err := x.g.recorder.Note(&rec); err != nil {
		x.g.log.Warn("record dropped", slog.String("id", rec.ID), slog.Any("error", err))
	}
}

// refuse answers with e and records it.
func (x *exchange) refuse(e *Error) {
	x.came = e.Code.String()
	x.traced()
	detail := ""
	if e.Err != nil {
		detail = x.clean(e.Err.Error())
	}
	if x.who == nil {
		// Somebody who is nobody gets no line of his own in the record.
		x.g.recorder.Refused(source(x.r), e.Code.String())
	} else {
		if x.rec.Decision == "" {
			x.rec.Decision = "deny"
		}
		x.outcome(e.Code.String(), detail)
	}
	level := slog.LevelInfo
	if e.Code == CodeInternal || e.Code == CodeUnaudited {
		level = slog.LevelError
	}
	x.g.log.Log(x.r.Context(), level, "refused", slog.String("id", x.rec.ID), slog.String("code", e.Code.String()),
		slog.String("subject", x.rec.Subject), slog.String("server", x.rec.Server), slog.String("method", x.rec.Method),
		slog.String("tool", x.rec.Tool), slog.String("detail", detail), slog.String("trace_id", x.rec.TraceID), slog.String("span_id", wire.SpanID(x.traceparent)))
	if !x.started {
		x.respondError(e)
	}
}

// recovered turns a panic into the catch-all refusal: nothing that was not decided goes out.
func (x *exchange) recovered() {
	v := recover()
	if v == nil {
		return
	}
	x.g.log.Error("panic", slog.String("id", x.rec.ID), slog.String("trace_id", x.rec.TraceID), slog.String("span_id", wire.SpanID(x.traceparent)), slog.Any("value", v), slog.String("stack", string(debug.Stack())))
	x.refuse(&Error{Code: CodeInternal, Public: "internal error"})
}
