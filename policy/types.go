package policy

import (
	"encoding/json"
	"time"

	"sallyport/internal/strictjson"
)

// Subject is what a policy sees of the caller.
type Subject struct {
	ID, Issuer, Client string
	Roles, Actors      []string
	Claims             map[string]any
	Proof              string // none, dpop, mtls
	Measured           *Measured
}

// Measured is what is known of the caller's own identity and memory files.
type Measured struct {
	Digest            string
	Approved, Changed bool
}

// Grant is what a policy sees of the grant under which a call is made.
type Grant struct {
	ID, Task  string
	Expires   time.Time
	CallsLeft *int64 // nil: not counted
}

// Tool is what a policy sees of a tool. Annotations are the upstream's word and untrusted;
// labels are the operator's.
type Tool struct {
	Name, Title string
	Annotations json.RawMessage
	Labels      []string
	Digest      string
	Pinned      bool // the definition is the one that was seen first, or that a person has reviewed
	Reviewed    bool // a person has
}

// Item is a resource (URI) or a prompt (Name).
type Item struct {
	URI, Name string
	Labels    []string
}

// Request is what a policy sees of the request itself.
type Request struct {
	ID          string
	Time        time.Time
	Era, Method string
}

// Input is one question to a policy. It is not changed by asking.
type Input struct {
	Subject          *Subject
	Grant            *Grant // nil: none
	Action, Server   string
	ServerLabels     []string // of the whole server; where no single item is asked about, of all it has
	Tool             *Tool
	Resource, Prompt *Item
	ResourceTemplate bool               // Resource.URI is a template: unknown when asking for visibility
	Arguments        []byte             // raw JSON object that has passed the strict check; nil when absent
	ArgumentsOutline strictjson.Outline // of Arguments; the zero Outline where nobody has looked
	Flow             []string
	Request          Request
	Result           []byte
}

// Decision is a policy's answer. The zero Decision denies.
type Decision struct {
	Allow       bool
	Reasons     []string     // of the denial, from deny
	Obligations []Obligation // what must be done for the permission to hold
	Rules       []string     // which rules held
	Revision    string       // of the policy that decided
	Cached      bool
	Advisory    *Advice // what rules said that are not enforced; nil: nothing
}
