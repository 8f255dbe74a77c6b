package approval

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Options of a Desk. Zero fields take the defaults.
type Options struct {
	Now        func() time.Time
	TTL        time.Duration // from asking, and again from deciding; default 15 minutes
	PerRoot    int           // tickets that wait, of one root grant and its tree; default 16
	PerSubject int           // tickets that wait, of one subject; default 100
	Most       int           // tickets in all; default 1,000
}

// MaxArguments bounds, in bytes, what a person can be shown of a call: its name, its arguments and the
// rest.
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
	if o.PerSubject <= 0 {
		o.PerSubject = 100
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
	if n := len(c.Tool) + len(c.Arguments) + len(c.Also); n > MaxArguments {
		return Ticket{}, false, fmt.Errorf("the call needs a person's approval and has %d bytes of arguments; a person can be shown %d", n, MaxArguments)
	}
	if err := d.room(c); err != nil {
		return Ticket{}, false, err
	}
	made := &Ticket{ID: newID(), Call: c, State: Pending, Asked: now, Lapses: now.Add(d.o.TTL)}
	*made = made.copy() // the caller's bytes are the caller's
	d.ids[made.ID], d.of[c.key()] = made, made
	return made.copy(), false, nil
}

// room says why no further ticket can be made for c. The bounds of one task and one subject keep
// them from filling the desk for all others. mu is held.
func (d *Desk) room(c Call) error {
	ofRoot, ofSubject := 0, 0
	var spent *Ticket // that was used, the oldest
	for _, t := range d.ids {
		switch {
		case t.State == Used && (spent == nil || t.Decided.Before(spent.Decided)):
			spent = t
		case t.State == Pending:
			if t.root() == c.root() {
				ofRoot++
			}
			if t.Subject == c.Subject && t.Issuer == c.Issuer {
				ofSubject++
			}
		}
	}
	switch {
	case ofRoot >= d.o.PerRoot:
		return fmt.Errorf("%d calls of this grant wait for a person already; wait until one is decided", ofRoot)
	case ofSubject >= d.o.PerSubject:
		return fmt.Errorf("%d calls of %s wait for a person already; wait until one is decided", ofSubject, quote(c.Subject))
	case len(d.ids) < d.o.Most:
	case spent == nil:
		return errors.New("too many calls wait for a person; try again later")
	default:
		d.drop(spent)
	}
	return nil
}

// sweep drops what has lapsed. mu is held.
func (d *Desk) sweep(now time.Time) {
	for _, t := range d.ids {
		if !now.Before(t.Lapses) {
			d.drop(t)
		}
	}
}

// drop forgets a ticket. mu is held.
func (d *Desk) drop(t *Ticket) {
	delete(d.ids, t.ID)
	if k := t.key(); d.of[k] == t {
		delete(d.of, k)
	}
}

// EndGrants drops the tickets of grants that have ended.
func (d *Desk) EndGrants(ids []string) {
	d.dropWhere(func(t *Ticket) bool { return slices.Contains(ids, t.Grant) })
}

// EndPolicies drops the tickets of all policies but that of a revision. What somebody agreed to
// under one policy is not agreed to when that comes back later.
func (d *Desk) EndPolicies(but string) {
	d.dropWhere(func(t *Ticket) bool { return t.PolicyRevision != but })
}

func (d *Desk) dropWhere(over func(*Ticket) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.ids {
		if over(t) {
			d.drop(t)
		}
	}
}
