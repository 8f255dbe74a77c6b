package grant

import (
	"encoding/json"
	"slices"
	"time"
)

// State is where a grant is in its life. The zero State is none: nothing may be done with it.
type State string

// States of a grant. A store keeps Active, Revoked and Completed; Expired and Exhausted follow
// from the clock and the counters, see Status.
const (
	Active    State = "active"
	Revoked   State = "revoked"   // ended by a person or a rule
	Expired   State = "expired"   // its time is over
	Exhausted State = "exhausted" // no calls are left; it lives until it expires
	Completed State = "completed" // ended by its holder: the task is done
)

// Constraint narrows the arguments of the tools that its pattern matches. Exactly one of Schema
// and Rego is set.
type Constraint struct {
	Tools  string          `json:"tools"`            // pattern, see ParsePattern
	Schema json.RawMessage `json:"schema,omitempty"` // JSON Schema for the arguments
	Rego   string          `json:"rego,omitempty"`   // name of a rule, such as data.mcp.constraints.only_docs
}

// Budget is the most calls that may be made of the tools that its pattern matches.
type Budget struct {
	Tools string `json:"tools"` // pattern, see ParsePattern
	Calls int64  `json:"calls"` // 1 or more
}

// Grant is what may be done for one task, by whom, how often and until when. A Grant that came
// from a Registry or a Store is not changed any more, nor are its slices.
type Grant struct {
	ID     string `json:"id"`               // see NewID
	Parent string `json:"parent,omitempty"` // "" for a root
	Root   string `json:"root"`             // its own ID for a root
	Depth  int    `json:"depth"`            // 1 for a root, at most MaxDepth

	Task     string   `json:"task,omitempty"`
	Subject  string   `json:"subject"`
	Issuer   string   `json:"issuer,omitempty"`
	ClientID string   `json:"client_id,omitempty"`
	Actors   []string `json:"actors,omitempty"`
	Roles    []string `json:"roles,omitempty"`

	Tools    []string     `json:"tools,omitempty"`     // patterns; none: whatever the role may use
	Args     []Constraint `json:"args,omitempty"`      // all that match a call must hold
	MaxCalls int64        `json:"max_calls,omitempty"` // 0: calls are not bounded
	Budgets  []Budget     `json:"budgets,omitempty"`

	Created   time.Time `json:"created"`
	NotBefore time.Time `json:"not_before,omitzero"` // zero: at once
	Expires   time.Time `json:"expires"`             // not itself part of the grant's time

	JKT      string `json:"jkt,omitempty"`      // bound to this key: RFC 7638 thumbprint
	X5T      string `json:"x5t,omitempty"`      // bound to this certificate: RFC 8705 x5t#S256
	Measured string `json:"measured,omitempty"` // digest of the agent's own files when it was made

	ApprovedBy string `json:"approved_by,omitempty"`
	Reason     string `json:"reason,omitempty"`
	Via        string `json:"via,omitempty"`      // "socket", "operator", "federation:RULE", "token"
	Implicit   bool   `json:"implicit,omitempty"` // made without being asked for by name

	State    State     `json:"state"`
	Ended    time.Time `json:"ended,omitzero"` // when it was revoked or completed
	EndedBy  string    `json:"ended_by,omitempty"`
	EndedWhy string    `json:"ended_why,omitempty"`
	Rev      uint64    `json:"rev"` // counted by the store, for compare-and-set
}

// MaxDepth is the longest chain of grants: a root, its child, and two more.
const MaxDepth = 4

// MaxTree is how many grants a root's tree can have, ended ones included until they are
// forgotten. Whoever holds a grant can make children of it, so there must be an end to them.
const MaxTree = 1024

// Usage is how often a grant was used. The calls of a child count in all its ancestors.
type Usage struct {
	Calls  int64            `json:"calls"`
	ByTool map[string]int64 `json:"by_tool,omitempty"` // by "server.tool"

	// Bytes of arguments, of the calls for which the policy bounded them.
	Bytes       int64            `json:"bytes,omitempty"`
	BytesByTool map[string]int64 `json:"bytes_by_tool,omitempty"`
}

// Status is a grant as it stands now.
type Status struct {
	Grant            // its State is computed for now
	Usage     Usage  `json:"usage"`
	CallsLeft *int64 `json:"calls_left,omitempty"` // over the whole chain; nil where no level bounds calls
}

// Filter selects grants: those for which every field that is set holds. The zero Filter selects
// none, so that a forgotten condition neither shows nor ends everything.
type Filter struct {
	ID       string `json:"id,omitempty"`
	Task     string `json:"task,omitempty"`
	Subject  string `json:"subject,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	Key      string `json:"key,omitempty"` // JKT or X5T
	Issuer   string `json:"issuer,omitempty"`
	All      bool   `json:"all,omitempty"` // with no other field: every grant
}

// Match reports whether the filter selects g.
func (f Filter) Match(g *Grant) bool {
	if f == (Filter{}) {
		return false
	}
	return same(f.ID, g.ID) && same(f.Task, g.Task) && same(f.Subject, g.Subject) &&
		same(f.ClientID, g.ClientID) && same(f.Issuer, g.Issuer) &&
		(f.Key == "" || f.Key == g.JKT || f.Key == g.X5T)
}

func same(want, got string) bool { return want == "" || want == got }

// clone returns a copy that shares nothing with g, for what others may still change.
func (g *Grant) clone() Grant {
	c := *g
	c.Actors, c.Roles = slices.Clone(g.Actors), slices.Clone(g.Roles)
	c.Tools, c.Budgets = slices.Clone(g.Tools), slices.Clone(g.Budgets)
	c.Args = slices.Clone(g.Args)
	for i := range c.Args {
		c.Args[i].Schema = slices.Clone(c.Args[i].Schema)
	}
	return c
}
