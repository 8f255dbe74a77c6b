package pin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"sallyport/gateway/catalog"
	"sallyport/gateway/wire"
)

// ErrRefused is wrapped by a review that cannot be: the answer is no.
var ErrRefused = errors.New("not approved")

// Approve makes what the server has shown last under the selected names what is pinned, reviewed
// by who, and returns what it has approved. With a digest it takes nothing but the definition that
// has it. Each act is recorded before it counts; the file is on disk when Approve returns, and on
// an error none of it counts.
//
// A definition that could not be served is not approved: with a name selected that is an error
// wrapping [ErrRefused], as is a digest that nothing has; of many it is left as it is.
func (s *Store) Approve(ctx context.Context, who string, of Selection, digest string) ([]Entry, error) {
	if who == "" {
		return nil, errors.New("approve: by whom?")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	todo, err := s.choose(of, digest)
	if err != nil {
		return nil, err
	}
	review := &Review{By: who, At: s.o.Now().UTC()}
	for _, c := range todo {
		if err := s.record(ctx, who, of, c); err != nil {
			return nil, err
		}
	}
	undo := s.take(todo, review)
	if err := s.write(); err != nil {
		undo()
		return nil, err
	}
	s.dirty = false
	names := s.names()
	var out []Entry
	servers := map[string]bool{}
	for _, c := range todo {
		servers[c.server] = true
		out = append(out, s.describe(c.server, c.key, c.entry, names)...)
	}
	s.changed(slices.Collect(maps.Keys(servers))...)
	return out, nil
}

// choice is one name to be approved, with the version for each era; nil keeps what is there.
type choice struct {
	server string
	key    key
	entry  *entry
	take   [2]*version
}

func (s *Store) choose(of Selection, digest string) ([]choice, error) {
	var todo []choice
	found := false
	var shown []string // digests
	for _, server := range slices.Sorted(maps.Keys(s.servers)) {
		entries := s.servers[server].entries
		for k, e := range entries {
			if !of.has(server, k) {
				continue
			}
			found = true
			c := choice{server: server, key: k, entry: e}
			if why := e.unfit(k); why != "" {
				if of.Named {
					return nil, fmt.Errorf("%w: %s; no review makes it servable", ErrRefused, why)
				}
				continue
			}
			some := false
			for era := range c.take {
				v := e.pending[era]
				if v == nil {
					v = e.pin[era]
				}
				if v == nil {
					continue
				}
				shown = append(shown, v.digest)
				if digest == "" || v.digest == digest {
					c.take[era], some = v, true
				}
			}
			if some {
				todo = append(todo, c)
			}
		}
	}
	switch {
	case !found:
		return nil, fmt.Errorf("%w: no such definition was ever seen; `sallyport tools list` shows what was", ErrRefused)
	case digest != "" && len(todo) == 0:
		slices.Sort(shown)
		return nil, fmt.Errorf("%w: what is there now is %v, not %s; look at it with `sallyport tools diff`", ErrRefused, slices.Compact(shown), digest)
	}
	return todo, nil
}

// unfit says why what was seen last cannot be approved, or "".
func (e *entry) unfit(k key) string {
	for era := range e.pin {
		v := e.pending[era]
		if v == nil {
			v = e.pin[era]
		}
		if e.problem[era] != "" {
			return e.problem[era]
		}
		if v == nil {
			continue
		}
		if err := catalog.CheckSteering(v.raw); err != nil {
			return err.Error()
		}
	}
	return ""
}

func (s *Store) record(ctx context.Context, who string, of Selection, c choice) error {
	if s.o.Record == nil {
		return nil
	}
	method := ActPin
	if of.Named {
		method = ActApprove
	}
	for era, v := range c.take {
		if v == nil || era == int(wire.Legacy) && v == c.take[wire.Modern] {
			continue
		}
		a := Act{Method: method, By: who, Server: c.server, Kind: c.key.kind, Name: c.key.name, Digest: v.digest}
		if old := c.entry.pin[era]; old != nil && old != v {
			a.Instead = old.digest
		}
		if err := s.o.Record(ctx, a); err != nil {
			return fmt.Errorf("record the review: %w", err)
		}
	}
	return nil
}

// take applies the choices and returns what takes them back.
func (s *Store) take(todo []choice, review *Review) (undo func()) {
	var undos []func()
	for _, c := range todo {
		e, old := c.entry, *c.entry
		undos = append(undos, func() { *e = old })
		for era, v := range c.take {
			if v == nil {
				continue
			}
			was := v.reviewed
			undos = append(undos, func() { v.reviewed = was })
			v.reviewed = review
			e.pin[era], e.pending[era] = v, nil
		}
	}
	return func() {
		slices.Reverse(undos)
		for _, u := range undos {
			u()
		}
	}
}
