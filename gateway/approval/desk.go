package approval

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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

// Call is a call that needs approval. Two calls whose fields are the same, but for Arguments, are
// one.
type Call struct {
	Method         string `json:"method"`
	Server         string `json:"server"`
	Tool           string `json:"tool"`
	Digest         string `json:"digest"` // of all that the call says
	Subject        string `json:"subject"`
	Issuer         string `json:"issuer"`
	Client         string `json:"client"`
	Grant          string `json:"grant"`
	Task           string `json:"task"`
	PolicyRevision string `json:"policy_revision"`
	By             string `json:"by"` // role of who may agree

	Arguments json.RawMessage `json:"arguments,omitempty"` // for the person
}

// key is what makes two calls the same: all of a Call but the arguments, of which Digest is.
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

// Approver is who decides.
type Approver struct {
	Name            string // as the record calls it
	Subject, Issuer string // as a grant would call it
	Roles           []string
	Operator        bool // may agree in place of any role
}

// Options of a Desk. Zero fields take the defaults.
type Options struct {
	Now     func() time.Time
	TTL     time.Duration // from asking, and again from agreeing; default 15 minutes
	PerRoot int           // open tickets of one grant; default 16
	Most    int           // tickets in all; default 1,000
}

// MaxArguments bounds, in bytes, what a person can be shown of a call.
const MaxArguments = 64 << 10

// Desk keeps tickets. It is safe for concurrent use.
type Desk struct {
	o   Options
	mu  sync.Mutex // guards all below
	ids map[string]*Ticket
	of  map[key]*Ticket // the newest of each call
}

// New returns a desk without tickets.
func New(o Options) *Desk {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.TTL <= 0 {
		o.TTL = 15 * time.Minute
	}
	if o.PerRoot <= 0 {
		o.PerRoot = 16
	}
	if o.Most <= 0 {
		o.Most = 1000
	}
	return &Desk{o: o, ids: map[string]*Ticket{}, of: map[key]*Ticket{}}
}

// SetTTL changes how long tickets live that are made or approved from now on.
func (d *Desk) SetTTL(ttl time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.o.TTL = ttl
}

// Ask takes the approval of exactly this call, where there is one: ok is true once for each. Else
// it returns the ticket that waits, or that was denied, and makes one where there is none. The error
// says why nobody can be asked.
func (d *Desk) Ask(c Call) (t Ticket, ok bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.o.Now()
	d.sweep(now)
	if known := d.of[c.key()]; known != nil {
		if known.State == Approved {
			known.State = Used
			delete(d.of, c.key())
			return known.copy(), true, nil
		}
		return known.copy(), false, nil
	}
	if len(c.Arguments) > MaxArguments {
		return Ticket{}, false, fmt.Errorf("the call needs a person's approval and has %d bytes of arguments; a person can be shown %d", len(c.Arguments), MaxArguments)
	}
	if err := d.room(c.Grant); err != nil {
		return Ticket{}, false, err
	}
	made := &Ticket{ID: newID(), Call: c, State: Pending, Asked: now, Lapses: now.Add(d.o.TTL)}
	made.Arguments = slices.Clone(c.Arguments)
	d.ids[made.ID], d.of[c.key()] = made, made
	return made.copy(), false, nil
}

func (d *Desk) room(grant string) error {
	of := 0
	for _, t := range d.ids {
		if t.Grant == grant && t.State == Pending {
			of++
		}
	}
	if of >= d.o.PerRoot {
		return fmt.Errorf("%d calls of this grant wait for a person already; wait until one is decided", of)
	}
	if len(d.ids) >= d.o.Most {
		return errors.New("too many calls wait for a person; try again later")
	}
	return nil
}

// sweep drops what has lapsed. mu is held.
func (d *Desk) sweep(now time.Time) {
	for id, t := range d.ids {
		if now.Before(t.Lapses) {
			continue
		}
		delete(d.ids, id)
		if d.of[t.key()] == t {
			delete(d.of, t.key())
		}
	}
}

// Check says why this person may not decide this ticket now, or nil.
func (d *Desk) Check(id string, by Approver) (Ticket, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, err := d.open(id, by)
	if err != nil {
		return Ticket{}, err
	}
	return t.copy(), nil
}

// Decide approves or denies a call. The error is fit for the person.
func (d *Desk) Decide(id string, by Approver, approve bool, why string) (Ticket, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, err := d.open(id, by)
	if err != nil {
		return Ticket{}, err
	}
	now := d.o.Now()
	t.State, t.Decided, t.DecidedBy, t.Why, t.Lapses = Denied, now, by.Name, why, now.Add(d.o.TTL)
	if approve {
		t.State = Approved
	}
	return t.copy(), nil
}

// open finds a ticket that by may decide. mu is held.
func (d *Desk) open(id string, by Approver) (*Ticket, error) {
	d.sweep(d.o.Now())
	t := d.ids[id]
	switch {
	case t == nil || !by.sees(t):
		return nil, fmt.Errorf("no call waits under %s: it has lapsed, or there never was one; see `sallyport approvals list`", quote(id))
	case by.Subject == t.Subject && by.Issuer == t.Issuer:
		return nil, fmt.Errorf("%s is a call of your own; somebody else must agree to it", t.ID)
	case !by.Operator && !slices.Contains(by.Roles, t.By):
		return nil, fmt.Errorf("%s wants the role %s, which you have not", t.ID, quote(t.By))
	case t.State != Pending:
		return nil, fmt.Errorf("%s has been %s already, by %s at %s", t.ID, t.State, t.DecidedBy, t.Decided.UTC().Format(time.RFC3339))
	}
	return t, nil
}

// sees reports whether a person may know of the ticket: operators, who has the role, and who made
// the call.
func (a Approver) sees(t *Ticket) bool {
	return a.Operator || slices.Contains(a.Roles, t.By) || a.Subject == t.Subject && a.Issuer == t.Issuer
}

// List returns the tickets that a person may see and that have not lapsed, oldest first.
func (d *Desk) List(who Approver) []Ticket {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweep(d.o.Now())
	out := []Ticket{}
	for _, t := range d.ids {
		if who.sees(t) {
			out = append(out, t.copy())
		}
	}
	slices.SortFunc(out, func(a, b Ticket) int {
		if by := a.Asked.Compare(b.Asked); by != 0 {
			return by
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// EndGrants drops the tickets of grants that have ended.
func (d *Desk) EndGrants(ids []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, t := range d.ids {
		if slices.Contains(ids, t.Grant) {
			delete(d.ids, id)
			delete(d.of, t.key())
		}
	}
}

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
	out.Arguments = slices.Clone(t.Arguments)
	return out
}

// quote bounds a name of somebody else's making.
func quote(s string) string { return fmt.Sprintf("%.64q", s) }

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return "ap_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}
