package approval

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Approver is who decides.
type Approver struct {
	Name            string // as the record calls it
	Subject, Issuer string // as a grant would call it
	Roles           []string
	Operator        bool // may agree in place of any role
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
	case t == nil:
		return nil, fmt.Errorf("no call waits under %s: it has lapsed, or there never was one; see `sallyport approvals list`", quote(id))
	case by.Subject == t.Subject:
		// Whoever vouches: an issuer may be renamed while a grant of it lives, and where two people
		// of two issuers have one name, a third can decide.
		return nil, fmt.Errorf("%s is a call of your own (%s); somebody else must decide about it", t.ID, quote(t.Subject))
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
