package mint

import (
	"context"
	"errors"
	"net/http"

	"sallyport/identity"
	"sallyport/identity/federate"
	"sallyport/identity/grant"
	"sallyport/identity/jose"
	"sallyport/internal/strictjson"
)

// Grant types and token types that are understood.
const (
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantBearer   = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	grantClient   = "client_credentials"

	typeAccess    = "urn:ietf:params:oauth:token-type:access_token"
	typeJWT       = "urn:ietf:params:oauth:token-type:jwt"
	typeID        = "urn:ietf:params:oauth:token-type:id_token"
	typeAssertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// tokenAnswer is RFC 6749 §5.1 with RFC 8693 §2.2.1 and RFC 9396 §7.
type tokenAnswer struct {
	Token     string   `json:"access_token"`
	Issued    string   `json:"issued_token_type"`
	Type      string   `json:"token_type"`
	ExpiresIn int64    `json:"expires_in"` // seconds
	Details   []detail `json:"authorization_details"`
}

// holder is who asks at the token endpoint, and the key whose possession he has proven.
type holder struct {
	asker  Asker
	shown  *identity.Principal // of the token of ours that he showed; nil: it was another's
	key    key
	bearer bool // may have tokens that are bound to no key
}

// token is the token endpoint.
func (e *endpoints) token(r *http.Request, f form) (any, error) {
	kind, refusal := f.need("grant_type")
	if refusal != nil {
		return nil, refusal
	}
	if kind != grantExchange && kind != grantBearer && kind != grantClient {
		return nil, refuse(codeType, "grant_type must be %s, %s or %s", grantExchange, grantBearer, grantClient)
	}
	if refusal := e.target(f); refusal != nil {
		return nil, refusal
	}
	d, refusal := parseDetails(f["authorization_details"])
	if refusal != nil {
		return nil, refusal
	}
	// Who asks comes before the proof, which anybody can make and which takes room to remember;
	// only its nonce comes first, since an assertion that may be used once is used up by then.
	if refusal := e.nonce(r); refusal != nil {
		return nil, refusal
	}
	h, err := e.holder(r.Context(), kind, f)
	if err != nil {
		return nil, err
	}
	switch {
	case h.asker.Grant != "" && d == nil:
		return nil, refuse(codeDetails, "with an access token of this gateway say what the child grant may do (authorization_details), less than its own; it makes no other grant")
	case h.asker.Grant == "" && d != nil && d.JKT != "":
		return nil, refuse(codeDetails, "jkt is for the child of a grant whose token is shown; a grant of your own is bound to the key of the request's proof")
	}
	if h.key, err = e.prove(r, h.asker, h.shown); err != nil {
		return nil, err
	}
	if d != nil && d.JKT != "" {
		h.key = key{jkt: d.JKT} // he has proven his own; whoever gets the token must prove this one
	}
	return e.issue(r.Context(), h, d)
}

// issue makes the grant, unless the detail names one, and signs its token.
func (e *endpoints) issue(ctx context.Context, h holder, d *detail) (any, error) {
	if h.key == (key{}) && !h.bearer {
		return nil, refuse(codeProof, "the rule for this identity gives only tokens that are bound to a key: send a DPoP proof or a client certificate (`sallyport connect` does), or let the operator set bearerAllowed")
	}
	a := e.cfg.Authority
	ask := TokenAsk{JKT: h.key.jkt}
	if d != nil {
		ask.Grant, ask.Measured = d.Grant, d.Measured
	}
	made := ask.Grant == ""
	if made {
		g, err := a.Grant(ctx, h.asker, h.want(d))
		if err != nil {
			return nil, err
		}
		ask.Grant = g.ID
	}
	// A certificate binds where no proof does, and where it has bound the grant.
	if status, _ := a.cfg.Grants.Get(ask.Grant); h.key.jkt == "" || status.X5T != "" {
		ask.X5T = h.key.x5t
	}
	token, claims, err := a.Token(ctx, h.asker, ask)
	if err != nil {
		if made { // nobody holds it
			_, endErr := a.Revoke(context.WithoutCancel(ctx), h.asker, grant.Filter{ID: ask.Grant}, grant.Completed, "no token could be made of it")
			err = errors.Join(err, endErr)
		}
		return nil, err
	}
	status, _ := a.cfg.Grants.Get(ask.Grant)
	return tokenAnswer{Token: token, Issued: typeAccess, Type: tokenType(ask.JKT), ExpiresIn: claims.ExpiresAt - claims.IssuedAt,
		Details: []detail{granted(&status.Grant, e.cfg.Now())}}, nil
}

// want is the grant that the holder asks for, bound to his key. No detail asks for what the
// rule gives.
func (h holder) want(d *detail) Ask {
	var ask Ask
	if d != nil {
		ask = d.ask()
	}
	ask.JKT = h.key.jkt
	if ask.JKT == "" {
		ask.X5T = h.key.x5t
	}
	return ask
}

// tokenType is how a token is sent (RFC 9449 §5; one bound to a certificate alone is a Bearer
// token, RFC 8705 §3).
func tokenType(jkt string) string {
	if jkt != "" {
		return "DPoP"
	}
	return "Bearer"
}

// holder finds out who asks.
func (e *endpoints) holder(ctx context.Context, kind string, f form) (holder, error) {
	if kind != grantClient && f["client_assertion"]+f["client_assertion_type"] != "" {
		return holder{}, refuse(codeRequest, "client_assertion goes with grant_type client_credentials; here the token itself says who asks")
	}
	if f["actor_token"]+f["actor_token_type"] != "" {
		return holder{}, refuse(codeRequest, "actor_token is not taken: who acts is the holder of the key, or the client_id in authorization_details")
	}
	switch kind {
	case grantBearer:
		token, refusal := f.need("assertion")
		if refusal != nil {
			return holder{}, refusal
		}
		return e.federated(ctx, token, federate.Assertion, refuse(codeGrant, "the assertion is not accepted; the gateway's log says why"))
	case grantClient:
		return e.client(ctx, f)
	}
	token, refusal := f.need("subject_token")
	if refusal != nil {
		return holder{}, refusal
	}
	switch f["subject_token_type"] {
	case typeJWT, typeID:
		return e.federated(ctx, token, federate.SubjectToken, refuse(codeRequest, "the subject_token is not accepted; the gateway's log says why"))
	case typeAccess:
		return e.own(token)
	}
	return holder{}, refuse(codeRequest, "subject_token_type must be %s or %s for another issuer's token, or %s for one of this gateway", typeJWT, typeID, typeAccess)
}

// client is who signed the client assertion.
func (e *endpoints) client(ctx context.Context, f form) (holder, error) {
	if f["client_assertion_type"] != typeAssertion || f["client_assertion"] == "" {
		return holder{}, refuse(codeClient, "client_credentials needs client_assertion (a JWT that the client signed) and client_assertion_type %s; there are no client secrets", typeAssertion)
	}
	h, err := e.federated(ctx, f["client_assertion"], federate.ClientAssertion,
		&Refusal{Code: codeClient, Message: "the client_assertion is not accepted; the gateway's log says why", Status: http.StatusUnauthorized})
	if err != nil {
		return holder{}, err
	}
	if id, given := f["client_id"]; given && id != issuerOf(f["client_assertion"]) {
		return holder{}, refuse(codeClient, "client_id is not the client of the client_assertion; leave it out")
	}
	return h, nil
}

// issuerOf is the iss of a client assertion that has been verified: the client (RFC 7523 §3).
func issuerOf(assertion string) string {
	t, err := jose.Parse(assertion)
	if err != nil {
		return ""
	}
	span, _ := strictjson.Find(t.Claims, "iss")
	iss, _ := strictjson.String(span.Of(t.Claims))
	return iss
}

// federated is who an outside identity is here. refusal is what he is told where it is none.
func (e *endpoints) federated(ctx context.Context, token string, use federate.Use, refusal *Refusal) (holder, error) {
	if e.cfg.Federation == nil {
		refusal.err = errors.New("identity.federation has no rules")
		return holder{}, refusal
	}
	who, err := e.cfg.Federation.Verify(ctx, token, use)
	if err != nil {
		refusal.err = err
		return holder{}, refusal
	}
	return holder{bearer: who.BearerAllowed, asker: Asker{Name: who.Subject, Subject: who.Subject, Issuer: who.Issuer,
		ClientID: who.ClientID, Roles: who.Roles, Until: who.Until, Via: viaRule + who.Rule}}, nil
}

// own is who holds an access token of ours. Whether he does is for prove to see.
func (e *endpoints) own(token string) (holder, error) {
	bad := refuse(codeRequest, "the subject_token is not accepted; the gateway's log says why")
	who, err := e.cfg.Verifier.VerifyUnproven(token)
	if err != nil {
		bad.err = err
		return holder{}, bad
	}
	asker, err := e.cfg.Authority.askerOf(who)
	if errors.Is(err, grant.ErrStale) {
		return holder{}, stale(err)
	}
	if err != nil {
		bad.err = err
		return holder{}, bad
	}
	return holder{asker: asker, shown: who, bearer: true}, nil
}
