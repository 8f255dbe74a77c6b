package mint

import (
	"errors"
	"net/http"

	"sallyport/identity"
	"sallyport/identity/grant"
)

// revoke is the revocation endpoint (RFC 7009): who holds a token ends the grant that it names,
// with all below. There is nothing else to end: the token is only a reference. A token that is
// unknown, or has no live grant, cannot do anything already, and the answer is the same.
func (e *endpoints) revoke(r *http.Request, f form) (any, error) {
	done := struct{}{}
	token, refusal := f.need("token")
	if refusal != nil {
		return nil, refusal
	}
	who, err := e.cfg.Verifier.VerifyUnproven(token)
	if err != nil {
		e.cfg.Log.Info("token to be revoked is none that works", "error", err)
		return done, nil
	}
	if who.JKT != "" || who.X5T != "" { // else a proof shows nothing, and would take room
		if _, err := e.prove(r, Asker{Issuer: who.Issuer, Subject: who.Subject}, who); err != nil {
			return nil, err
		}
	}
	asker, err := e.cfg.Authority.askerOf(who)
	if errors.Is(err, grant.ErrStale) {
		return nil, stale(err)
	}
	if err != nil {
		e.cfg.Log.Info("token to be revoked has no live grant", "error", err)
		return done, nil
	}
	if _, err := e.cfg.Authority.Revoke(r.Context(), asker, grant.Filter{ID: who.Grant}, grant.Completed, "its holder gave it back"); err != nil {
		return nil, err
	}
	return done, nil
}

// introspection is RFC 7662 §2.2. The zero value says no more than that a token is not active.
type introspection struct {
	Active bool `json:"active"`
	*Claims
	TokenType string `json:"token_type,omitempty"`
}

// introspect is the introspection endpoint (RFC 7662). It tells a caller of tokens of his own
// subject alone; those of others look to him as if they did not exist.
func (e *endpoints) introspect(r *http.Request, f form) (any, error) {
	by, err := e.caller(r, f)
	if err != nil {
		return nil, err
	}
	token, refusal := f.need("token")
	if refusal != nil {
		return nil, refusal
	}
	who, err := e.cfg.Verifier.VerifyUnproven(token)
	if err != nil {
		e.cfg.Log.Info("token asked about is not active", "error", err)
		return introspection{}, nil
	}
	of, err := e.cfg.Authority.askerOf(who)
	if errors.Is(err, grant.ErrStale) {
		return nil, stale(err)
	}
	if err != nil || of.Subject != by.Subject || of.Issuer != by.Issuer {
		return introspection{}, nil
	}
	return introspection{Active: true, TokenType: tokenType(who.JKT), Claims: &Claims{Issuer: who.Issuer, Audience: e.cfg.Verifier.Audience(),
		Subject: who.Subject, ClientID: who.ClientID, Roles: who.Roles, Grant: who.Grant, Task: who.Task, IssuedAt: who.IssuedAt.Unix(),
		ExpiresAt: who.Expires.Unix(), ID: who.TokenID, Confirmation: confirmation(who.JKT, who.X5T), Measured: who.Measured,
		Actor: actor(who.Actors)}}, nil
}

// caller is who asks about a token: by an access token of his own, with its proof, or by a
// client assertion.
func (e *endpoints) caller(r *http.Request, f form) (Asker, error) {
	if len(r.Header["Authorization"]) == 0 && f["client_assertion"] != "" {
		h, err := e.client(r.Context(), f)
		return h.asker, err
	}
	bad := &Refusal{Code: codeClient, Status: http.StatusUnauthorized,
		Message: "say who asks: an access token of yours that works, with its proof, in the Authorization header, or a client_assertion"}
	who, err := e.cfg.Verifier.Verify(r.Context(), &identity.Request{Method: r.Method, Header: r.Header, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, TLS: r.TLS})
	if errors.Is(err, identity.ErrNonce) {
		return Asker{}, &Refusal{Code: codeNonce, Message: needsNonce(err).Message, Status: http.StatusUnauthorized, err: err}
	}
	if err != nil {
		bad.err = err
		return Asker{}, bad
	}
	by, err := e.cfg.Authority.askerOf(who)
	if errors.Is(err, grant.ErrStale) {
		return Asker{}, stale(err)
	}
	if err != nil {
		bad.err = err
		return Asker{}, bad
	}
	return by, nil
}
