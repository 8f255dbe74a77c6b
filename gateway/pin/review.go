package pin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"sallyport/gateway/wire"
)

// ErrRefused is wrapped by a review that cannot be: the answer is no.
var ErrRefused error = refused{}

type refused struct{}

func (refused) Error() string { return "not approved" }

// Refused tells whoever does not know this package that the answer is no.
func (refused) Refused() bool { return true }

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
	s.acting.Lock()
	defer s.acting.Unlock()
	todo, err := s.choose(of, digest)
	if err != nil {
		return nil, err
	}
	for _, c := range todo {
		if err := s.record(ctx, who, of, c); err != nil {
			return nil, err
		}
	}
	review := &Review{By: who, At: s.o.Now().UTC().Truncate(time.Second)}
	next, approved := s.take(todo, review)
	if err := writeFile(s.path, marshal(next)); err != nil {
		return nil, fmt.Errorf("write pins %s: %w", s.path, err)
	}
	s.dirty = false
	s.current.Store(&next)
	s.changed(slices.Collect(maps.Keys(approved))...)
	return s.describe(next, func(server string, k key) bool { return approved[server][k] }), nil
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
	for _, server := range slices.Sorted(maps.Keys(s.servers())) {
		entries := s.servers()[server].entries
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
			for era := range c.take {
				v := s.candidate(server, c, wire.Era(era), of.Named)
				if v != nil {
					shown = append(shown, v.digest)
				}
				if v != nil && (digest == "" || v.digest == digest) {
					c.take[era] = v
				}
			}
			if c.take != [2]*version{} {
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

// candidate is what a review would take in an era. A review of many takes what is there now and was
// not reviewed yet.
func (s *Store) candidate(server string, c choice, era wire.Era, named bool) *version {
	e := c.entry
	if v := e.pending[era]; v != nil {
		return v
	}
	gone := s.servers()[server].looked[look{c.key.kind, era}] && !e.present[era]
	if v := e.pin[era]; named || v != nil && v.reviewed == nil && !gone {
		return v
	}
	return nil
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
		if v.steers {
			return problemOf(k, wire.Era(era), v.raw)
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

// take returns what would count with the choices applied, and which names they are, by server.
func (s *Store) take(todo []choice, review *Review) (all map[string]*server, approved map[string]map[key]bool) {
	all, approved = maps.Clone(s.servers()), map[string]map[key]bool{}
	for _, c := range todo {
		if approved[c.server] == nil {
			approved[c.server] = map[key]bool{}
			all[c.server] = all[c.server].clone()
		}
		approved[c.server][c.key] = true
		e := all[c.server].entries[c.key]
		copies := map[*version]*version{} // one for both eras
		for era, v := range c.take {
			if v == nil {
				continue
			}
			if copies[v] == nil {
				reviewed := *v
				reviewed.reviewed = review
				copies[v] = &reviewed
			}
			e.pin[era], e.pending[era] = copies[v], nil
		}
	}
	return all, approved
}
