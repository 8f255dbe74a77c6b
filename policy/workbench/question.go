package workbench

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"sallyport/policy"
)

// clipped ends the names that the gateway has cut for the record.
const clipped = "…"

const noRule = "no rule allows it"

// verdict is what the policy said when the record was made. why is not empty where the record does
// not tell.
func (r *Recorded) verdict() (v Verdict, why string) {
	if r.Missing == MissingNewer {
		return v, r.Missing
	}
	v = Verdict{Obligations: r.Obligations, Rules: r.Rules}
	switch {
	case r.PolicyAllow != nil:
		v.Allow = *r.PolicyAllow
	case r.Revision == "" || slices.Contains(r.Reasons, "the grant does not allow it"):
		return v, missingPolicy
	case r.Phase == "decision" && r.Decision == "allow":
		v.Allow = true
	case !slices.Contains(r.Reasons, noRule):
		return v, missingVerdict
	}
	if !v.Allow {
		v.Reasons = r.Reasons
		if len(r.Reasons) == 0 {
			v.Failed = "the policy could not be evaluated"
		}
	}
	return v, ""
}

// question is what the policy was asked. missing names the paths of input that are not known; it
// is empty where the input was recorded.
type question struct {
	in      *policy.Input
	missing []string
}

func (r *Recorded) question() (q question, why string) {
	if r.Input == nil {
		return r.remembered()
	}
	in, err := r.Asked, error(nil)
	if in == nil {
		in, err = policy.ReadInput(r.Input)
	}
	if err == nil {
		return question{in: in}, ""
	}
	if json.Valid(r.Input) { // of another form than this version knows
		return q, MissingNewer
	}
	return q, "its input cannot be read"
}

// remembered is the question as far as a record without its input tells it.
func (r *Recorded) remembered() (q question, why string) {
	if strings.HasSuffix(r.Method, clipped) || strings.HasSuffix(r.Tool, clipped) {
		return q, "its names are cut"
	}
	in := &policy.Input{Action: r.Method, Server: r.Server, Flow: r.LabelsBefore,
		Subject: &policy.Subject{ID: r.Subject, Client: r.Client, Roles: r.Roles},
		Grant:   &policy.Grant{ID: r.Grant, Task: r.Task},
		Request: policy.Request{ID: r.ID, Time: r.Time, Method: r.Method}}
	missing := []string{"input.subject.issuer", "input.subject.actors", "input.subject.claims", "input.subject.proof", "input.subject.measured",
		"input.grant.expires", "input.grant.calls_left", "input.server.labels", "input.request.era", "input.request.time", "input.result"}
	if r.Method == "tools/call" && r.ToolDigest != "" {
		in.Tool = &policy.Tool{Name: r.Tool, Digest: r.ToolDigest}
		missing = append(missing, "input.tool.title", "input.tool.annotations", "input.tool.labels", "input.tool.pinned", "input.tool.reviewed")
	} else if !policy.Housekeeping(r.Method) {
		missing = append(missing, "input.tool", "input.resource", "input.prompt")
	}
	if r.Arguments != nil && r.Proved {
		in.Arguments = r.Arguments
	} else {
		missing = append(missing, "input.arguments")
	}
	return question{in, missing}, ""
}

// disagrees says where a record and its own input tell two stories, or is empty.
func (r *Recorded) disagrees(in *policy.Input) string {
	var subject policy.Subject
	if in.Subject != nil {
		subject = *in.Subject
	}
	for _, of := range []struct{ what, record, input string }{
		{"id", r.ID, in.Request.ID}, {"method", r.Method, in.Action}, {"server", r.Server, in.Server},
		{"subject", r.Subject, subject.ID}, {"client", r.Client, subject.Client},
		{"roles", strings.Join(r.Roles, "\x00"), strings.Join(subject.Roles, "\x00")},
	} {
		if begin, cut := strings.CutSuffix(of.record, clipped); of.record != of.input && !(cut && strings.HasPrefix(of.input, begin)) {
			return fmt.Sprintf("the record and its input name different things as %s", of.what)
		}
	}
	switch {
	case in.Grant != nil && in.Grant.ID != r.Grant:
		return "the record and its input name different grants"
	case in.Tool != nil && r.ToolDigest != "" && in.Tool.Digest != r.ToolDigest:
		return "the record and its input name different tool definitions"
	case r.Phase == "decision" && !r.Time.Equal(in.Request.Time):
		return "the record and its input name different times"
	}
	return ""
}
