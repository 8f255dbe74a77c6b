package audit

import (
	"encoding/json"
	"time"
)

// Phases of a record.
const (
	PhaseDecision = "decision" // durable before the upstream sees a byte
	PhaseOutcome  = "outcome"  // what came of it
	PhaseRefusal  = "refusal"  // a request that went nowhere
	PhaseSummary  = "summary"  // refusals before authentication, counted
	PhaseRepair   = "repair"   // what a start found and mended
	PhaseKey      = "key"      // a key that seals inputs, wrapped for the operator
	PhaseShadow   = "shadow"   // a second policy would have decided otherwise
)

// Record is one line of the log. Its members are named as in the contract.
type Record struct {
	Seq             uint64            `json:"seq"`
	Time            time.Time         `json:"time"`
	ID              string            `json:"id"`
	Phase           string            `json:"phase"`
	Method          string            `json:"method"`
	Server          string            `json:"server"`
	Tool            string            `json:"tool"`
	ToolDigest      string            `json:"tool_digest"`
	ArgumentsDigest string            `json:"arguments_digest"`
	Subject         string            `json:"subject"`
	Client          string            `json:"client"`
	Grant           string            `json:"grant"`
	Task            string            `json:"task"`
	JTI             string            `json:"jti"`
	Roles           []string          `json:"roles"`
	Decision        string            `json:"decision"`
	Code            string            `json:"code"`
	Reasons         []string          `json:"reasons"`
	Obligations     []json.RawMessage `json:"obligations"`
	PolicyRevision  string            `json:"policy_revision"`
	Rules           []string          `json:"rules"`
	LabelsBefore    []string          `json:"labels_before"`
	LabelsAfter     []string          `json:"labels_after"`
	UpstreamMS      float64           `json:"upstream_ms"`
	BytesIn         int64             `json:"bytes_in"`
	BytesOut        int64             `json:"bytes_out"`
	TraceID         string            `json:"trace_id"`
	Calls           int64             `json:"calls,omitempty"`         // charged to the grant by a decision; negative: given back by an outcome
	Bytes           int64             `json:"bytes_charged,omitempty"` // of arguments, likewise
	Arguments       json.RawMessage   `json:"arguments,omitempty"`
	Count           int64             `json:"count,omitempty"`  // of a summary
	Source          string            `json:"source,omitempty"` // of a summary: one of those it counts
	Lost            [2]uint64         `json:"lost,omitzero"`    // of a repair: the numbers, first and last, that were acknowledged to nobody
	Detail          string            `json:"detail,omitempty"` // the operator's reason; never an argument or a token

	// What the policy was asked and said, for asking again.
	PolicyAllow  *bool           `json:"policy_allow,omitempty"`  // before grant, budget and approval; nil: it was not asked
	Replayable   bool            `json:"replayable,omitempty"`    // the input is here, and whole
	Input        json.RawMessage `json:"input,omitempty"`         // of the policy, in clear
	InputSealed  string          `json:"input_sealed,omitempty"`  // the same, sealed; package inputs opens it
	InputKey     string          `json:"input_key,omitempty"`     // id of the key that it is sealed with, or that this record brings
	InputErased  []string        `json:"input_erased,omitempty"`  // JSON pointers of what was taken out of the input
	InputMissing string          `json:"input_missing,omitempty"` // why there is no input although inputs are recorded
	WrappedKey   string          `json:"wrapped_key,omitempty"`   // of phase key: an age file, base64
	Advisory     *Verdict        `json:"advisory,omitempty"`      // what rules that are not enforced said
	Shadow       *Verdict        `json:"shadow,omitempty"`        // of phase shadow: what the second policy said
}

// Verdict is what rules said that change nothing.
type Verdict struct {
	Revision    string            `json:"revision,omitempty"` // of the policy; empty where it is the record's own
	Allow       bool              `json:"allow"`
	Reasons     []string          `json:"reasons"`
	Obligations []json.RawMessage `json:"obligations"`
	Rules       []string          `json:"rules"`
	Kind        string            `json:"kind,omitempty"`  // newly_allowed, newly_refused or obligations
	Error       string            `json:"error,omitempty"` // they could not be asked, which would refuse
}
