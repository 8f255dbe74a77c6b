package reader

import (
	"encoding/json"
	"time"

	"sallyport/gateway/audit"
)

// OPAEvent is a decision in the form in which Open Policy Agent logs one, for pipelines that take
// those: https://www.openpolicyagent.org/docs/management-decision-logs. Members that OPA has and a
// record has not are left out.
type OPAEvent struct {
	Labels      map[string]string      `json:"labels"`
	DecisionID  string                 `json:"decision_id"`
	TraceID     string                 `json:"trace_id,omitempty"`
	Bundles     map[string]opaRevision `json:"bundles,omitempty"`
	Path        string                 `json:"path"`
	Input       json.RawMessage        `json:"input"`
	Result      opaResult              `json:"result"`
	Erased      []string               `json:"erased,omitempty"`
	RequestedBy string                 `json:"requested_by,omitempty"`
	Timestamp   time.Time              `json:"timestamp"`
	Custom      opaCustom              `json:"custom"`
}

type opaRevision struct {
	Revision string `json:"revision"`
}

// opaResult is what package mcp.authz says, as far as the record has it.
type opaResult struct {
	Allow       bool              `json:"allow"`
	Deny        []string          `json:"deny"`
	Obligations []json.RawMessage `json:"obligations"`
}

// opaCustom is what a record has and OPA's form has no place for. What the gateway decided can be
// another thing than what the policy said: a budget or a missing approval refuses as well.
type opaCustom struct {
	Seq             uint64   `json:"seq"`
	Phase           string   `json:"phase"`
	Decision        string   `json:"decision"`
	Code            string   `json:"code"`
	Rules           []string `json:"rules"`
	ArgumentsDigest string   `json:"arguments_digest,omitempty"`
	LabelsAfter     []string `json:"labels_after,omitempty"`
	Detail          string   `json:"detail,omitempty"`
}

// opaInput is the policy's input document as far as a record without one can tell it.
type opaInput struct {
	Subject struct {
		ID     string   `json:"id"`
		Client string   `json:"client"`
		Roles  []string `json:"roles"`
	} `json:"subject"`
	Grant     *opaGrant       `json:"grant,omitempty"`
	Action    string          `json:"action"`
	Server    opaNamed        `json:"server"`
	Tool      *opaNamed       `json:"tool,omitempty"`
	Arguments json.RawMessage `json:"arguments,omitempty"`
	Flow      struct {
		Labels []string `json:"labels"`
	} `json:"flow"`
	Request struct {
		ID   string    `json:"id"`
		Time time.Time `json:"time"`
	} `json:"request"`
}

type opaGrant struct {
	ID   string `json:"id"`
	Task string `json:"task"`
}

type opaNamed struct {
	Name   string `json:"name"`
	Digest string `json:"digest,omitempty"`
}

// OPA returns the decision that the entry records, in OPA's form. ok is false for what no policy was
// asked about: outcomes, acts of operators, and refusals at an earlier door. Labels name the
// installation.
func (e Entry) OPA(labels map[string]string) (event OPAEvent, ok bool) {
	r := &e.Record
	if r.PolicyRevision == "" || r.Phase != audit.PhaseDecision && r.Phase != audit.PhaseRefusal {
		return OPAEvent{}, false
	}
	event = OPAEvent{Labels: labels, DecisionID: r.ID, TraceID: r.TraceID, Path: "mcp/authz", Input: r.Input, Erased: r.InputErased,
		RequestedBy: r.Client, Timestamp: r.Time,
		Result:  opaResult{Allow: r.Decision == "allow", Deny: orEmpty(r.Reasons), Obligations: r.Obligations},
		Bundles: map[string]opaRevision{"policies": {r.PolicyRevision}},
		Custom: opaCustom{Seq: r.Seq, Phase: r.Phase, Decision: r.Decision, Code: r.Code, Rules: orEmpty(r.Rules),
			ArgumentsDigest: r.ArgumentsDigest, LabelsAfter: r.LabelsAfter, Detail: r.Detail}}
	if event.Result.Obligations == nil {
		event.Result.Obligations = []json.RawMessage{}
	}
	if r.PolicyAllow != nil {
		event.Result.Allow = *r.PolicyAllow
	}
	if event.Input == nil {
		event.Input = inputOf(r)
		if r.Arguments == nil && r.ArgumentsDigest != "" {
			event.Erased = append(event.Erased, "/input/arguments")
		}
	}
	return event, true
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func inputOf(r *audit.Record) json.RawMessage {
	in := opaInput{Action: r.Method, Server: opaNamed{Name: r.Server}, Arguments: r.Arguments}
	in.Subject.ID, in.Subject.Client, in.Subject.Roles = r.Subject, r.Client, orEmpty(r.Roles)
	in.Flow.Labels = orEmpty(r.LabelsBefore)
	in.Request.ID, in.Request.Time = r.ID, r.Time
	if r.Grant != "" {
		in.Grant = &opaGrant{r.Grant, r.Task}
	}
	if r.Tool != "" {
		in.Tool = &opaNamed{r.Tool, r.ToolDigest}
	}
	out, err := json.Marshal(in)
	if err != nil { // not of what a line was read into
		return json.RawMessage(`{}`)
	}
	return out
}
