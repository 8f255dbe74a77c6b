package approval

import (
	"cmp"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// State is where a ticket is on its way.
type State string

// The states of a ticket.
const (
	Pending  State = "pending"
	Approved State = "approved"
	Denied   State = "denied"
	Used     State = "used"
	Lapsed   State = "lapsed"
)

// Call is a call that needs approval. Two calls whose fields are the same, but for the last
// two, of which Digest is, and Root, are one.
type Call struct {
	Method         string `json:"method"`
	Server         string `json:"server"`
	Tool           string `json:"tool"`
	Digest         string `json:"digest"` // of all that the call says
	Subject        string `json:"subject"`
	Issuer         string `json:"issuer"`
	Client         string `json:"client"`
	Grant          string `json:"grant"`
	Root           string `json:"-"` // the grant at the top of Grant's tree, whose open calls are counted together; "": Grant
	Task           string `json:"task"`
	PolicyRevision string `json:"policy_revision"`
	By             string `json:"by"` // role of who may agree

	Arguments json.RawMessage `json:"arguments,omitempty"` // for the person
	Also      json.RawMessage `json:"also,omitempty"`      // for the person: an object of what else the call says
}

// key is what makes two calls the same.
type key [11]string

func (c Call) key() key {
	return key{c.Method, c.Server, c.Tool, c.Digest, c.Subject, c.Issuer, c.Client, c.Grant, c.Task, c.PolicyRevision, c.By}
}

// Ticket is a call with what has become of it.
type Ticket struct {
	ID string `json:"id"`
	Call
	State     State     `json:"state"`
	Asked     time.Time `json:"asked"`
	Lapses    time.Time `json:"lapses"`
	Decided   time.Time `json:"decided,omitzero"`
	DecidedBy string    `json:"decided_by,omitempty"`
	Why       string    `json:"why,omitempty"`
}

func (c *Call) root() string { return cmp.Or(c.Root, c.Grant) }

// Advice says to the model what it can do.
func (t Ticket) Advice() string {
	if t.State == Denied {
		because := ""
		if t.Why != "" {
			because = ": " + t.Why
		}
		return fmt.Sprintf("A person was asked to approve this call and denied it (%s)%s. Do not repeat it; do something else, or say why you cannot.", t.ID, because)
	}
	return fmt.Sprintf("This call needs a person's approval: %s. Ask one with the role %s to run `sallyport approvals approve %s`, then make exactly the same call again. "+
		"Until then go on with other work. The request lapses at %s.", t.ID, quote(t.By), t.ID, t.Lapses.UTC().Format(time.RFC3339))
}

func (t *Ticket) copy() Ticket {
	out := *t
	out.Arguments, out.Also = slices.Clone(t.Arguments), slices.Clone(t.Also)
	return out
}

// quote bounds a name of somebody else's making.
func quote(s string) string { return fmt.Sprintf("%.64q", s) }

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return "ap_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}
