package pin

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"sallyport/gateway/catalog"
	"sallyport/gateway/wire"
)

// Shown is what a server has shown in one era. A list that could not be fetched is nil, and then
// nothing is said of what was in it.
type Shown struct {
	Tools, Prompts, Templates []catalog.PageResult
	Instructions              []byte // a raw JSON string; nil where there are none
}

// lists returns the lists by their kinds.
func (s *Shown) lists() map[Kind]*[]catalog.PageResult {
	return map[Kind]*[]catalog.PageResult{Tool: &s.Tools, Prompt: &s.Prompts, Template: &s.Templates}
}

// Bounds of what one server can have kept. A server with more shows the rest to nobody.
const (
	maxDefinition  = 512 << 10 // bytes, as in package catalog
	maxServerBytes = 32 << 20  // of all definitions of a server, pinned and seen
)

// See takes what a server has shown, in each era that has answered, and returns what may be
// served of it: lists in which each element is the pinned copy and the rest is left out. In mode
// [FirstUse] a name that was never seen is pinned as it is now; the file is on disk before See
// returns, and where it cannot be written, what is new is not served. A name that was pinned in
// one era does not get a second first sight in the other, unless both come in one call.
func (p *Pins) See(in [2]*Shown) (out [2]*Shown) {
	s := p.store
	s.acting.Lock()
	defer s.acting.Unlock()
	r := s.round(p.name)
	for _, era := range []wire.Era{wire.Modern, wire.Legacy} {
		if in[era] != nil {
			r.hear(era, in[era])
		}
	}
	r.save()
	for era := range in {
		if in[era] != nil {
			out[era] = r.show(wire.Era(era), in[era])
		}
	}
	for _, e := range r.order {
		s.tell(*r.events[e])
	}
	return out
}

// round begins a See.
func (s *Store) round(name string) *round {
	r := &round{store: s, name: name, server: s.servers()[name].clone(), fresh: map[key]bool{}, events: map[key]*Event{}}
	for _, e := range r.entries {
		r.size += e.size()
	}
	return r
}

// tell logs an event and passes it on.
func (s *Store) tell(e Event) {
	attrs := []any{slog.String("server", e.Server), slog.String("kind", e.Kind.String()), slog.String("name", e.Name),
		slog.String("pinned", e.Pinned), slog.String("seen", e.Seen), slog.String("why", e.Why)}
	if e.Method == EventRestored {
		s.o.Log.Info("a definition is as it was pinned again, and served", attrs...)
	} else {
		s.o.Log.Warn("a definition has changed since it was pinned, and is off; look at it with `sallyport tools diff`", attrs...)
	}
	if s.o.Event != nil {
		s.o.Event(e)
	}
}

// round is one See, on a copy of the server's pins. The store's acting is held while it lives.
type round struct {
	*server
	store  *Store
	name   string
	size   int          // of what is kept of the server
	fresh  map[key]bool // pinned in this round, at first sight
	events map[key]*Event
	order  []key // of events
}

// hear compares what an era has shown with what is pinned.
func (r *round) hear(era wire.Era, shown *Shown) {
	for kind, pages := range shown.lists() {
		if *pages == nil {
			continue
		}
		seen := map[string][][]byte{}
		for _, result := range *pages {
			page, err := catalog.ParsePage(result.Result, kinds[kind].member)
			if err != nil {
				seen = nil // of no use; who builds the list says why
				break
			}
			for i, name := range page.Names {
				if name != "" {
					seen[name] = append(seen[name], page.Elements[i].Of(page.Result))
				}
			}
		}
		if seen != nil {
			r.looked[look{kind, era}] = true
			r.compare(era, kind, seen)
		}
	}
	r.looked[look{Instructions, era}] = true
	instructions := map[string][][]byte{}
	if len(shown.Instructions) > 0 {
		instructions[""] = [][]byte{shown.Instructions}
	}
	r.compare(era, Instructions, instructions)
}

// compare takes all definitions of a kind at once: what is not among them is gone.
func (r *round) compare(era wire.Era, kind Kind, seen map[string][][]byte) {
	for k, e := range r.entries {
		if k.kind == kind && seen[k.name] == nil {
			r.gone(era, k, e)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		k, raws := key{kind, name}, seen[name]
		e := r.entries[k]
		if e == nil {
			e = &entry{}
			r.entries[k] = e
		}
		was := e.off(era)
		e.present[era], e.problem[era] = true, ""
		switch {
		case len(raws) > 1:
			e.problem[era] = "two definitions have this name"
		default:
			r.judge(era, k, e, raws[0])
		}
		r.note(era, k, e, was)
	}
}

// gone notes that a name is not there any more. A pin stays for when it comes back; what was never
// pinned goes with it, so that a server cannot fill the file with names.
func (r *round) gone(era wire.Era, k key, e *entry) {
	e.present[era], e.problem[era] = false, ""
	if e.pinned() || e.present[1-era] {
		return
	}
	delete(r.entries, k)
	r.store.dirty = r.store.dirty || e.waits()
}

// judge decides what one definition is to its pin.
func (r *round) judge(era wire.Era, k key, e *entry, raw []byte) {
	other := e.pin[1-era]
	if e.pin[era] == nil && other.is(raw) {
		e.pin[era], r.store.dirty = other, true
	}
	if e.pin[era].is(raw) {
		r.store.dirty = r.store.dirty || e.pending[era] != nil
		e.pending[era] = nil
		return
	}
	v, first := e.pending[era], r.first(era, k, e)
	if v.is(raw) && (!first || v.unseen) {
		return
	}
	if !v.is(raw) {
		v = e.pending[1-era]
	}
	if !v.is(raw) {
		if e.problem[era] = r.room(raw); e.problem[era] != "" {
			return
		}
		v = newVersion(raw, catalog.Digest(raw), r.store.o.Now())
		r.size += len(raw) + overhead
	}
	r.store.dirty = true
	if !first || v.unseen {
		e.pending[era] = v
		return
	}
	e.pin[era], e.pending[era], r.fresh[k] = v, nil, true
}

// first reports whether what is seen now may be pinned as it is: nothing was pinned before.
func (r *round) first(era wire.Era, k key, e *entry) bool {
	return r.store.now() == FirstUse && (!e.pinned() || r.fresh[k] && e.pin[era] == nil)
}

// room says why a definition cannot be kept, or "".
func (r *round) room(raw []byte) string {
	if len(raw) > maxDefinition {
		return fmt.Sprintf("the definition has %d bytes; the limit is %d", len(raw), maxDefinition)
	}
	if r.size+len(raw) > r.store.most {
		return fmt.Sprintf("the server's definitions have over %d MiB together; none more is kept", r.store.most>>20)
	}
	return ""
}

// note keeps the event of a definition that has left its pin or come back.
func (r *round) note(era wire.Era, k key, e *entry, was bool) {
	now := e.off(era)
	if !e.pinned() || was == now {
		return
	}
	ev := &Event{Method: EventChanged, Server: r.name, Kind: k.kind, Name: k.name, Why: e.problem[era]}
	for _, pin := range e.pin {
		if pin != nil {
			ev.Pinned = pin.digest
		}
	}
	ev.Seen = ev.Pinned
	switch {
	case now && e.pending[era] != nil:
		ev.Seen = e.pending[era].digest
	case now:
		ev.Seen = ""
	case e.waits(): // in the other era
		return
	default:
		ev.Method = EventRestored
	}
	if r.events[k] == nil {
		r.order = append(r.order, k)
	}
	r.events[k] = ev
}

// save puts what is new on disk, and then makes it count. Where it cannot be written, what was
// pinned in this round is not pinned.
func (r *round) save() {
	next := r.store.with(r.name, r.server)
	if r.store.dirty {
		if err := writeFile(r.store.path, marshal(next)); err != nil {
			r.store.o.Log.Error("pins not written; definitions that are new are not served", slog.String("server", r.name),
				slog.String("file", r.store.path), slog.Any("error", err))
			for k := range r.fresh {
				delete(r.entries, k)
			}
		} else {
			r.store.dirty = false
		}
	}
	r.store.current.Store(&next)
}

// show returns the lists with nothing but pinned copies in them.
func (r *round) show(era wire.Era, shown *Shown) *Shown {
	out := *shown
	for kind, pages := range out.lists() {
		kept := make([]catalog.PageResult, 0, len(*pages))
		for _, result := range *pages {
			if page, err := catalog.ParsePage(result.Result, kinds[kind].member); err == nil {
				result.Result = page.Replace(func(i int) []byte { return r.served(era, kind, page.Names[i]) })
			}
			kept = append(kept, result)
		}
		if *pages != nil {
			*pages = kept
		}
	}
	out.Instructions = r.served(era, Instructions, "")
	return &out
}

func (r *round) served(era wire.Era, kind Kind, name string) []byte {
	if v := r.entries[key{kind, name}].serves(era, r.store.now()); v != nil {
		return v.raw
	}
	return nil
}
