package pin

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"sallyport/gateway/catalog"
	"sallyport/gateway/wire"
)

// State says how a definition stands to its pin.
type State string

// The states.
const (
	Pinned   State = "pinned"   // as it was at first sight; nobody has reviewed it
	Reviewed State = "reviewed" // as somebody has reviewed it
	Changed  State = "changed"  // another than what is pinned; off
	New      State = "new"      // seen, not pinned, and waiting for a review; off
	Hidden   State = "hidden"   // cannot be served, as its Problem says
	Gone     State = "gone"     // pinned, and not in what the server shows now
)

// Entry is one definition as a person looks at it: one name of a server, in the eras that have the
// same of it.
type Entry struct {
	Server string   `json:"server"`
	Kind   string   `json:"kind"`
	Name   string   `json:"name,omitempty"` // none of instructions
	Eras   []string `json:"eras"`
	State  State    `json:"state"`
	Served bool     `json:"served"`
	Digest string   `json:"digest,omitempty"` // of what is pinned
	Seen   string   `json:"seen,omitempty"`   // digest of what waits for a review
	First  string   `json:"first,omitempty"`  // when what is pinned was seen first
	Review *Review  `json:"reviewed,omitempty"`

	Problem  string    `json:"problem,omitempty"`  // why it is not served though it is pinned, or cannot be
	Findings []Finding `json:"findings,omitempty"` // in what waits, else in what is pinned

	Pinned  json.RawMessage `json:"pinned_definition,omitempty"`
	Current json.RawMessage `json:"seen_definition,omitempty"` // what waits
}

// Label is the entry as people name it.
func (e *Entry) Label() string {
	switch e.Kind {
	case Instructions.String():
		return e.Server + " (instructions)"
	case Tool.String():
		return e.Server + "." + e.Name
	}
	return e.Server + "." + e.Name + " (" + e.Kind + ")"
}

// Selection says which definitions are meant. The zero Selection means all.
type Selection struct {
	Server string
	Kind   Kind // counts where Named
	Name   string
	Named  bool // one name of one kind
}

func (s Selection) has(server string, k key) bool {
	return (s.Server == "" || s.Server == server) && (!s.Named || s.Kind == k.kind && s.Name == k.name)
}

// List returns what is known of the definitions that are selected, in the order of their names.
func (s *Store) List(of Selection) []Entry {
	return s.describe(s.servers(), of.has)
}

// draft is an entry in one era.
type draft struct {
	Entry
	key          key
	era          wire.Era
	pin, pending *version
}

// describe makes one entry of two eras where they are alike, else one of each.
func (s *Store) describe(all map[string]*server, wanted func(server string, k key) bool) []Entry {
	names := namesOf(all)
	var out []Entry
	for server, known := range all {
		for k, e := range known.entries {
			if !wanted(server, k) {
				continue
			}
			m, l := s.draft(server, k, known, e, wire.Modern), s.draft(server, k, known, e, wire.Legacy)
			m.inspect(names)
			l.inspect(names)
			if m != nil && l != nil && m.pin == l.pin && m.pending == l.pending && m.Problem == l.Problem && m.State == l.State {
				m.Eras = append(l.Eras, m.Eras...)
				l = nil
			}
			for _, d := range []*draft{m, l} {
				if d != nil {
					out = append(out, d.Entry)
				}
			}
		}
	}
	sortEntries(out)
	return out
}

func sortEntries(out []Entry) {
	slices.SortFunc(out, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Server, b.Server), cmp.Compare(kindOrder(a.Kind), kindOrder(b.Kind)), cmp.Compare(a.Name, b.Name),
			slices.Compare(b.Eras, a.Eras))
	})
}

func kindOrder(kind string) Kind {
	k, _ := ParseKind(kind) // our own words
	return k
}

func (s *Store) draft(name string, k key, known *server, e *entry, era wire.Era) *draft {
	pin, pending := e.pin[era], e.pending[era]
	if pin == nil && pending == nil && e.problem[era] == "" {
		return nil
	}
	there := e.present[era] || !known.looked[look{k.kind, era}] // what no list has said yet is not gone
	d := &draft{key: k, era: era, pin: pin, pending: pending}
	d.Entry = Entry{Server: name, Kind: k.kind.String(), Name: k.name, Eras: []string{era.String()},
		Served: there && e.wouldServe(era, s.now()) != nil, State: stateOf(e, era, there), Problem: e.problem[era]}
	if pin != nil {
		d.Digest, d.First, d.Review, d.Pinned = pin.digest, pin.first.Format(time.RFC3339), pin.reviewed, pin.raw
	}
	if pending != nil {
		d.Seen, d.Current = pending.digest, pending.raw
	}
	return d
}

// inspect looks at the texts.
func (d *draft) inspect(names names) {
	if d == nil {
		return
	}
	if shown := cmp.Or(d.pending, d.pin); shown != nil {
		d.Problem = cmp.Or(d.Problem, problemOf(d.key, d.era, shown.raw))
		d.Findings = names.findings(d.Server, d.key, shown)
	}
	if d.Problem != "" && d.State != Changed {
		d.State, d.Served = Hidden, false
	}
}

func stateOf(e *entry, era wire.Era, there bool) State {
	pin := e.pin[era]
	switch {
	case e.off(era) && e.pinned():
		return Changed
	case e.off(era):
		return New
	case !there:
		return Gone
	case pin.reviewed != nil:
		return Reviewed
	}
	return Pinned
}

// problemOf says why a definition could not be served even if it were reviewed, or "".
func problemOf(k key, era wire.Era, raw []byte) string {
	if err := catalog.CheckSteering(raw); err != nil {
		return err.Error()
	}
	if k.kind != Tool {
		return ""
	}
	page := append(append([]byte(`{"tools":[`), raw...), `]}`...)
	l, err := catalog.BuildListing(era, []catalog.PageResult{{Result: page}})
	if err != nil {
		return err.Error()
	}
	if t := l.Tools[k.name]; t != nil {
		return t.Problem
	}
	return "it cannot be read as a tool"
}
