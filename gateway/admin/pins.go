package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"sallyport/identity/mint"
	"sallyport/internal/strictjson"
)

// Pins keeps the pinned definitions of servers.
type Pins interface {
	// Look returns what is known of definitions: of all servers, of one, or of one name of a kind.
	Look(ctx context.Context, server, kind, name string) (json.RawMessage, error)
	// Review approves them as they are now, for who; with a digest only what has it. An error with
	// a method Refused says that the answer is no.
	Review(ctx context.Context, who, server, kind, name, digest string) (json.RawMessage, error)
}

// PinAsk says which definitions a command is about. Empty fields mean all.
type PinAsk struct {
	Server string `json:"server,omitempty"`
	Kind   string `json:"kind,omitempty"`
	Name   string `json:"name,omitempty"`
	Digest string `json:"digest,omitempty"` // of a review: nothing but what has it
}

var pinScope = strictjson.Only(strictjson.NewKeySet("server", "kind", "name", "digest"), nil)

func (s *server) look(_ http.ResponseWriter, r *http.Request, c caller) (any, error) {
	b, err := s.pinAsk(r, c)
	if err != nil {
		return nil, err
	}
	return s.pinned(s.Pins.Look(r.Context(), b.Server, b.Kind, b.Name))
}

func (s *server) review(_ http.ResponseWriter, r *http.Request, c caller) (any, error) {
	b, err := s.pinAsk(r, c)
	if err != nil {
		return nil, err
	}
	return s.pinned(s.Pins.Review(r.Context(), s.asker(c).Name, b.Server, b.Kind, b.Name, b.Digest))
}

func (s *server) pinAsk(r *http.Request, c caller) (PinAsk, error) {
	if s.Pins == nil {
		return PinAsk{}, refuse(http.StatusNotFound, "this gateway keeps no pinned definitions")
	}
	if !c.Operator {
		return PinAsk{}, refuse(http.StatusForbidden, fmt.Sprintf("user %s is no operator, and only an operator may look at pinned definitions and approve them; the gateway's configuration says who is (identity.local)", c.User))
	}
	return decode[PinAsk](r, pinScope)
}

func (s *server) pinned(answer json.RawMessage, err error) (any, error) {
	if no, ok := errors.AsType[interface {
		error
		Refused() bool
	}](err); ok && no.Refused() {
		return nil, &mint.Refusal{Code: "refused", Message: err.Error(), Status: http.StatusConflict}
	}
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// Look returns what is known of definitions, as JSON.
func (c *Client) Look(ctx context.Context, ask PinAsk) (json.RawMessage, error) {
	return do[json.RawMessage](ctx, c, http.MethodPost, pathPins, ask)
}

// Review approves definitions as they are now, and returns those that it approved, as JSON.
func (c *Client) Review(ctx context.Context, ask PinAsk) (json.RawMessage, error) {
	return do[json.RawMessage](ctx, c, http.MethodPost, pathReview, ask)
}
