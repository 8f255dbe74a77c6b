package pin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// selected reads a selection as commands send it: nothing is all, a server all of it, a kind and a
// name one definition.
func selected(server, kind, name string) (Selection, error) {
	if kind == "" && name == "" {
		return Selection{Server: server}, nil
	}
	k, err := ParseKind(kind)
	if err != nil {
		return Selection{}, err
	}
	if server == "" || (name == "") != (k == Instructions) {
		return Selection{}, errors.New("want a server, and a name unless it is about its instructions")
	}
	return Selection{Server: server, Kind: k, Name: name, Named: true}, nil
}

// Look is [Store.List] for commands: it returns a JSON array of [Entry].
func (s *Store) Look(_ context.Context, server, kind, name string) (json.RawMessage, error) {
	of, err := selected(server, kind, name)
	if err != nil {
		return nil, err
	}
	return marshalEntries(s.List(of))
}

// Review is [Store.Approve] for commands: it returns a JSON array of [Entry].
func (s *Store) Review(ctx context.Context, who, server, kind, name, digest string) (json.RawMessage, error) {
	of, err := selected(server, kind, name)
	if err != nil {
		return nil, err
	}
	approved, err := s.Approve(ctx, who, of, digest)
	if err != nil {
		return nil, err
	}
	return marshalEntries(approved)
}

func marshalEntries(entries []Entry) (json.RawMessage, error) {
	if entries == nil {
		entries = []Entry{} // an empty array, not null
	}
	raw, err := json.Marshal(entries)
	if err != nil {
		return nil, fmt.Errorf("write definitions: %w", err)
	}
	return raw, nil
}
