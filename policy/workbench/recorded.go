package workbench

import (
	"encoding/json"
	"iter"
	"time"

	"sallyport/policy"
)

// Recorded is what the workbench knows of one record of a gateway's log. Whoever reads the log fills
// it; this package knows no file format.
type Recorded struct {
	Seq         uint64
	Time        time.Time
	ID, Phase   string
	Method      string
	Server      string
	Tool        string
	ToolDigest  string
	Subject     string
	Client      string
	Grant, Task string
	Roles       []string

	Decision, Code string
	PolicyAllow    *bool // what the policy itself said; nil where the record does not tell
	Advised        bool  // rules that are not enforced would refuse it
	Reasons, Rules []string
	Obligations    []json.RawMessage
	Revision       string // of the policy that decided
	LabelsBefore   []string
	LabelsAfter    []string
	Detail         string // the gateway's remark

	Input   []byte        // the policy's input document; nil where it is not at hand
	Asked   *policy.Input // Input, where somebody has read it already
	Missing string        // why it is not; one of the Missing… constants or a sentence

	Arguments    json.RawMessage // of an obligation record_arguments; secrets may have been taken out
	Proved       bool            // arguments_digest says that Arguments, or those of Input, are the bytes that were sent
	Contradicted bool            // it says that they are not; false where the key of digests is not at hand
}

// Why the input of a decision is not at hand.
const (
	MissingInput    = "its input was not recorded"
	MissingMasked   = "its input was masked"
	MissingIdentity = "its input is sealed and no identity was given"
	MissingLarge    = "its input was too large to be recorded"
	MissingNewer    = "it was made by a newer version"
	missingPolicy   = "no policy decided it"
	missingVerdict  = "it does not say what the policy answered"
	missingParts    = "the policy depends on what was not recorded"
)

// Entry reads one record. It is called once, by any goroutine.
type Entry func() (Recorded, error)

// Log is the records of a log in their order. An error ends it.
type Log iter.Seq2[Entry, error]

// Verdict is what a policy says of a request.
type Verdict struct {
	Allow       bool              `json:"allow"`
	Reasons     []string          `json:"reasons,omitempty"`
	Obligations []json.RawMessage `json:"obligations,omitempty"`
	Rules       []string          `json:"rules,omitempty"`
	Failed      string            `json:"failed,omitempty"` // the policy could not be evaluated, which refuses
}

// Example is one record as a report shows it.
type Example struct {
	ID     string    `json:"id"`
	Seq    uint64    `json:"seq"`
	Time   time.Time `json:"time"`
	Roles  []string  `json:"roles"`
	Method string    `json:"method"`
	Server string    `json:"server"`
	Tool   string    `json:"tool,omitempty"`
}

func exampleOf(r *Recorded) Example {
	return Example{r.ID, r.Seq, r.Time, r.Roles, r.Method, r.Server, r.Tool}
}
