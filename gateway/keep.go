package gateway

import (
	"fmt"
	"log/slog"
	"slices"

	"sallyport/gateway/audit"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
	"sallyport/policy"
)

// What a policy was asked, kept with what it said, so that it can be asked again (`sallyport policy
// replay`). Nothing here can refuse: what cannot be kept is missing from the record, which says so.

// said is what records point at; nobody writes it.
var said = [...]bool{false, true}

// keep notes what the policy itself said, before the grant, budgets and people, and the question
// where the operator wants it.
func (x *exchange) keep(in *policy.Input, d policy.Decision, err error) {
	x.rec.PolicyAllow = &said[0]
	if d.Allow && err == nil {
		x.rec.PolicyAllow = &said[1]
	}
	if x.g.inputs == nil {
		return
	}
	doc, missing := x.document(in)
	if missing != "" {
		x.rec.InputMissing = missing
		x.g.counts.inputsMissing.Add(1)
		return
	}
	x.rec.Replayable = len(x.rec.InputErased) == 0
	x.g.inputs.Keep(&x.rec, doc)
}

// advised notes what rules said that are not enforced.
func (x *exchange) advised(d policy.Decision) {
	a := d.Advisory
	if a == nil {
		return
	}
	v := &audit.Verdict{Allow: a.Allow, Reasons: a.Reasons, Obligations: raws(a.Obligations), Rules: a.Rules}
	if a.Err != nil {
		v.Error = a.Err.Error()
	}
	x.rec.Advisory = v
	if d.Allow && !a.Allow {
		x.rec.Decision = wouldDeny
	}
}

// document is the question as it may be kept, or why it may not.
func (x *exchange) document(in *policy.Input) (doc []byte, missing string) {
	if n := len(in.Arguments); n > x.g.mostInput { // not copied to find out
		return nil, fmt.Sprintf("its arguments have %d bytes, and at most %d of an input are kept (audit.inputBytes)", n, x.g.mostInput)
	}
	doc, err := in.Document()
	if err != nil {
		return nil, "it could not be written" // an error may quote what it could not write
	}
	if len(doc) > x.g.mostInput {
		return nil, fmt.Sprintf("it has %d bytes, and at most %d are kept (audit.inputBytes)", len(doc), x.g.mostInput)
	}
	if doc, missing = x.masked(doc); missing != "" {
		return nil, missing
	}
	if x.g.inputs.Readable() {
		clean, n, ok := x.withoutSecrets(doc)
		if !ok {
			return nil, "it could not be searched for secrets to its end"
		}
		if doc = clean; n > 0 {
			x.rec.InputErased = append(x.rec.InputErased, fmt.Sprintf("%d secrets", n))
		}
	}
	return doc, ""
}

// forgetQuestion leaves out of a record what another record has said already.
func forgetQuestion(r *audit.Record) {
	r.PolicyAllow, r.Replayable, r.Input, r.InputSealed, r.InputKey = nil, false, nil, "", ""
	r.InputErased, r.InputMissing, r.Advisory, r.Shadow = nil, "", nil, nil
}

// masked is a document without what the policy wants erased before anything is recorded, or why
// nothing of it may be.
func (x *exchange) masked(doc []byte) (_ []byte, missing string) {
	out, err := x.erase(doc)
	switch {
	case err != nil:
		x.g.log.Warn("an input was not recorded", slog.String("id", x.rec.ID), slog.Any("error", err))
		return nil, err.Error()
	case len(out) == 0:
		return nil, "system.log.mask erases all of it"
	}
	return out, ""
}

// erase takes out of a document at a place of the input what the policy wants erased.
func (x *exchange) erase(doc []byte, place ...string) ([]byte, error) {
	if x.question == nil || len(doc) == 0 {
		return doc, nil
	}
	mask, err := x.snap.Policy.Erasure(x.r.Context(), x.question)
	if err != nil {
		return nil, err
	}
	out, erased, err := mask.Apply(doc, place...)
	x.rec.InputErased = merge(x.rec.InputErased, erased)
	return out, err
}

// recordable is what the record may keep of arguments where a policy asks for them.
func (x *exchange) recordable(arguments []byte) []byte {
	if len(arguments) == 0 {
		return arguments
	}
	arguments, err := x.erase(arguments, "arguments")
	if err != nil {
		x.g.log.Warn("arguments were not recorded", slog.String("id", x.rec.ID), slog.Any("error", err))
		return strictjson.AppendString(nil, "[not kept: "+err.Error()+"]")
	}
	if len(arguments) == 0 {
		return strictjson.AppendString(nil, "[not kept: system.log.mask erases all of it]")
	}
	out, _, complete := x.withoutSecrets(arguments)
	if !complete {
		return strictjson.AppendString(nil, "[not kept: it could not be searched for secrets to its end]")
	}
	return out
}

// withoutSecrets takes out of a document what whoever reads the record must not read: secrets, and
// the gateway's own credentials. It returns how many there were; complete is false where the
// document could not be searched to its end.
func (x *exchange) withoutSecrets(doc []byte) (out []byte, n int, complete bool) {
	out = doc
	if x.snap.Secrets != nil {
		found := x.snap.Secrets.JSON(doc)
		if !found.Complete {
			return nil, 0, false
		}
		n = len(found.Findings)
		for _, f := range slices.Backward(found.Findings) { // from the end, so that earlier places stay right
			out = wire.Splice(out, strictjson.Span{Start: f.Start, End: f.End}, []byte("[redacted: "+f.Rule+"]"))
		}
	}
	for _, server := range x.snap.members {
		clean, more := server.scrub(out)
		out, n = clean, n+more
	}
	return out, n, true
}
