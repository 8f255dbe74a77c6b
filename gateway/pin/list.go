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
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := s.names()
	var out []Entry
	for server, known := range s.servers {
		for k, e := range known.entries {
			if of.has(server, k) {
				out = append(out, s.describe(server, k, e, names)...)
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

// describe makes one entry of the eras where they are alike, else one of each.
func (s *Store) describe(server string, k key, e *entry, names *names) []Entry {
	modern, legacy := wire.Modern, wire.Legacy
	m, l := s.inEra(server, k, e, modern, names), s.inEra(server, k, e, legacy, names)
	switch {
	case m != nil && l != nil && e.pin[modern] == e.pin[legacy] && e.pending[modern] == e.pending[legacy] && m.Problem == l.Problem && m.State == l.State:
		m.Eras = append(m.Eras, l.Eras...)
		return []Entry{*m}
	case m != nil && l != nil:
		return []Entry{*m, *l}
	case m != nil:
		return []Entry{*m}
	case l != nil:
		return []Entry{*l}
	}
	return nil
}

func (s *Store) inEra(server string, k key, e *entry, era wire.Era, names *names) *Entry {
	pin, pending := e.pin[era], e.pending[era]
	if pin == nil && pending == nil && e.problem[era] == "" {
		return nil
	}
	there := e.present[era] || !s.servers[server].looked[look{k.kind, era}] // what no list has said yet is not gone
	out := &Entry{Server: server, Kind: k.kind.String(), Name: k.name, Eras: []string{era.String()},
		Served: there && e.wouldServe(era, s.mode) != nil, State: stateOf(e, era, there)}
	shown := pin
	if pin != nil {
		out.Digest, out.First, out.Review, out.Pinned = pin.digest, pin.first.Format(time.RFC3339), pin.reviewed, pin.raw
	}
	if pending != nil {
		out.Seen, out.Current, shown = pending.digest, pending.raw, pending
	}
	if shown != nil {
		out.Problem = problemOf(k, era, shown.raw)
		out.Findings = names.findings(server, k, shown)
	}
	out.Problem = cmp.Or(e.problem[era], out.Problem)
	if out.Problem != "" && out.State != Changed {
		out.State, out.Served = Hidden, false
	}
	return out
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
