package mint

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"time"

	"sallyport/identity"
	"sallyport/identity/federate"
	"sallyport/identity/pop"
)

// Paths of the endpoints.
const (
	TokenPath      = "/oauth/token"
	RevokePath     = "/oauth/revoke"
	IntrospectPath = "/oauth/introspect"
)

// Federation verifies what others issued. *federate.Federation is one.
type Federation interface {
	Verify(ctx context.Context, token string, use federate.Use) (*federate.Identity, error)
}

// EndpointsConfig is what the endpoints work with. Authority, Verifier and PublicURL are
// required.
type EndpointsConfig struct {
	Authority  *Authority
	Verifier   *identity.Verifier // of our own access tokens
	Federation Federation         // nil: nobody else's tokens are exchanged
	Proofs     *pop.Checker       // the verifier's own; nil: proofs are refused
	PublicURL  string             // without a path; what tokens are for is <PublicURL>/mcp
	Now        func() time.Time   // default time.Now
	Log        *slog.Logger       // default: discarded
}

// bodyTimeout bounds the sending of a request's body.
const bodyTimeout = 10 * time.Second

type endpoints struct{ cfg EndpointsConfig }

// Endpoints serves the token endpoint (RFC 8693, RFC 7523), revocation (RFC 7009) and
// introspection (RFC 7662). Refusals are the JSON of RFC 6749 §5.2. Why a token or proof is bad
// is for the log alone; every other refusal says what to change. It panics where a required
// part of the configuration is missing, since what is left could only be too open.
func Endpoints(cfg EndpointsConfig) http.Handler {
	if cfg.Authority == nil || cfg.Verifier == nil || cfg.PublicURL == "" {
		panic("mint: endpoints need an authority, a verifier and the public URL")
	}
	cfg.PublicURL = strings.TrimSuffix(cfg.PublicURL, "/")
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &endpoints{cfg}
}

// ServeHTTP answers one request.
func (e *endpoints) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	serve := map[string]func(*http.Request, form) (any, error){
		TokenPath: e.token, RevokePath: e.revoke, IntrospectPath: e.introspect}[r.URL.Path]
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if serve == nil {
		http.Error(w, "404: this gateway has no such page", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodPost {
		h.Set("Allow", "POST")
		http.Error(w, "405: this endpoint takes POST alone", http.StatusMethodNotAllowed)
		return
	}
	// Whoever it is has this long to send a body of at most 64 KiB. It holds after the answer as well,
	// for what the server then takes in of a body that was refused. A writer that cannot set it leaves
	// the server's own timeouts.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	if e.cfg.Proofs != nil {
		h.Set("DPoP-Nonce", e.cfg.Proofs.Nonce())
	}
	answer, err := e.answer(r, serve)
	if err != nil {
		e.refuse(w, r, err)
		return
	}
	write(w, http.StatusOK, answer)
}

func (e *endpoints) answer(r *http.Request, serve func(*http.Request, form) (any, error)) (any, error) {
	// No browser has business here: what a page could bring along is its user's certificate.
	if len(r.Header["Origin"]) > 0 {
		return nil, refuse(codeRequest, "this endpoint is not for web pages (the request has an Origin)")
	}
	f, refusal := readForm(r)
	if refusal != nil {
		return nil, refusal
	}
	if refusal := noSecrets(r, f); refusal != nil {
		return nil, refusal
	}
	return serve(r, f)
}

// noSecrets refuses clients that have a password.
func noSecrets(r *http.Request, f form) *Refusal {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if _, secret := f["client_secret"]; secret || strings.EqualFold(scheme, "Basic") {
		return &Refusal{Code: codeClient, Status: http.StatusUnauthorized,
			Message: "this gateway has no client secrets; sign an assertion with the client's key (private_key_jwt), or exchange the token of an issuer that the operator trusts"}
	}
	return nil
}

// refuse answers with why.
func (e *endpoints) refuse(w http.ResponseWriter, r *http.Request, err error) {
	refusal, ok := errors.AsType[*Refusal](err)
	if !ok {
		refusal = &Refusal{Code: codeBroken, Message: "the gateway failed; its log says why", Status: http.StatusInternalServerError, err: err}
	}
	attrs := []any{"endpoint", r.URL.Path, "code", refusal.Code, "message", refusal.Message, "remote", r.RemoteAddr}
	if refusal.err != nil {
		attrs = append(attrs, "error", refusal.err)
	}
	e.cfg.Log.Warn("token request refused", attrs...)
	if refusal.Status == http.StatusUnauthorized {
		maps.Copy(w.Header(), identity.Challenge(e.cfg.PublicURL, "/mcp", refusal.err, ""))
	}
	write(w, refusal.Status, struct {
		Code    string `json:"error"`
		Message string `json:"error_description"`
	}{refusal.Code, plain(refusal.Message)})
}

// plain is what error_description may hold: printable ASCII without '"' and '\' (RFC 6749 §5.2).
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '`':
			return '\''
		case r == '\\' || r < ' ' || r > '~':
			return '?'
		}
		return r
	}, s)
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // an error means that the client has gone
}
