package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"sallyport/identity/grant"
	"sallyport/identity/mint"
)

func (s *server) create(_ http.ResponseWriter, r *http.Request, c caller) (any, error) {
	body, err := decode[askBody](r, askScope)
	if err != nil {
		return nil, err
	}
	if body.Implicit && !c.Operator {
		return nil, refuse(http.StatusForbidden, "only an operator may mint a token without a grant of its own; ask for one with `sallyport grant create`, or use `sallyport connect`")
	}
	return s.Authority.Grant(r.Context(), s.asker(c), body.ask())
}

func (s *server) list(_ http.ResponseWriter, r *http.Request, c caller) (any, error) {
	f, err := queried(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	found := s.Authority.List(s.asker(c), f)
	if found == nil {
		found = []grant.Status{} // an empty array, not null
	}
	return found, nil
}

// queried reads a filter from a query.
func queried(raw string) (grant.Filter, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return grant.Filter{}, refuse(http.StatusBadRequest, "the query cannot be read")
	}
	var f grant.Filter
	known := map[string]*string{"id": &f.ID, "task": &f.Task, "subject": &f.Subject, "client_id": &f.ClientID, "key": &f.Key, "issuer": &f.Issuer}
	for name, vs := range values {
		v, ok := one(vs)
		if !ok {
			return grant.Filter{}, refuse(http.StatusBadRequest, fmt.Sprintf("the query has %.40q more than once, or empty", name))
		}
		switch dst := known[name]; {
		case dst != nil:
			*dst = v
		case name == "all" && v == "true":
			f.All = true
		default:
			return grant.Filter{}, refuse(http.StatusBadRequest, fmt.Sprintf("the query has %.40q, which is unknown", name))
		}
	}
	return f, nil
}

func (s *server) revoke(_ http.ResponseWriter, r *http.Request, c caller) (any, error) {
	body, err := decode[revokeBody](r, revokeScope)
	if err != nil {
		return nil, err
	}
	if body.State != grant.Revoked && body.State != grant.Completed {
		return nil, refuse(http.StatusBadRequest, fmt.Sprintf("a grant is ended as %q or %q, not as %.40q", grant.Revoked, grant.Completed, body.State))
	}
	ended, err := s.Authority.Revoke(r.Context(), s.asker(c), body.Filter, body.State, body.Why)
	if err != nil {
		return nil, err
	}
	if ended == nil {
		ended = []grant.Grant{}
	}
	return ended, nil
}

func (s *server) token(_ http.ResponseWriter, r *http.Request, c caller) (any, error) {
	b, err := decode[tokenBody](r, tokenScope)
	if err != nil {
		return nil, err
	}
	token, claims, err := s.Authority.Token(r.Context(), s.asker(c),
		mint.TokenAsk{Grant: b.Grant, TTL: time.Duration(b.TTL), JKT: b.JKT, X5T: b.X5T, Measured: b.Measured})
	if err != nil {
		return nil, err
	}
	return TokenAnswer{Token: token, Expires: time.Unix(claims.ExpiresAt, 0).UTC(), Grant: claims.Grant}, nil
}

func (s *server) whoami(_ http.ResponseWriter, _ *http.Request, c caller) (any, error) {
	return Me{User: c.User, UID: c.UID, Roles: c.Roles, Operator: c.Operator, PublicURL: s.PublicURL}, nil
}

func (s *server) approve(_ http.ResponseWriter, r *http.Request, c caller) (any, error) {
	if s.Measures == nil {
		return nil, refuse(http.StatusNotFound, noMeasures)
	}
	if !c.Operator {
		return nil, refuse(http.StatusForbidden, fmt.Sprintf("user %s is no operator, and only an operator may approve measured files; the gateway's configuration says who is (identity.local)", c.User))
	}
	manifest, err := read(r, nil)
	if err != nil {
		return nil, err
	}
	if err := s.Measures.Approve(r.Context(), c.User, manifest); err != nil {
		return nil, err
	}
	return struct{}{}, nil
}

const noMeasures = "this gateway keeps no manifests of measured files"

func (s *server) measures(_ http.ResponseWriter, r *http.Request, _ caller) (any, error) {
	if s.Measures == nil {
		return nil, refuse(http.StatusNotFound, noMeasures)
	}
	current, err := s.Measures.Current(r.Context())
	if err != nil {
		return nil, err
	}
	if len(current) == 0 {
		current = json.RawMessage("null")
	}
	return current, nil
}
