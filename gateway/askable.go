package gateway

import "sallyport/gateway/wire"

// askable takes from what a newer client can be asked what the policy would not let the server ask
// it. A server of an older revision asks for what was declared to it, in the middle of a call, and
// in the newer form a question that is refused is the end of the call: server-filesystem, which asks
// for the client's folders before its first answer, would answer nothing. It only takes away; what
// is asked all the same is decided when it is asked.
func (x *exchange) askable(call checked, can Capabilities) Capabilities {
	if call.msg.Era != wire.Modern || x.snap.RecordOnly {
		return can
	}
	for _, one := range []struct {
		declared *bool
		method   string
	}{{&can.Sampling, wire.AskSampling}, {&can.Elicitation, wire.AskElicitation}, {&can.Roots, wire.AskRoots}} {
		*one.declared = *one.declared && x.wouldLetAsk(call, one.method)
	}
	return can
}

// wouldLetAsk asks the policy without a record, since nothing has been asked yet.
func (x *exchange) wouldLetAsk(call checked, method string) bool {
	in := x.ask(x.who, method, call.server)
	in.Request.Era = call.msg.Era.String()
	if refusal := x.concerns(in, &call); refusal != nil {
		return false
	}
	d, err := x.snap.Policy.Decide(x.r.Context(), in)
	return err == nil && d.Allow
}
