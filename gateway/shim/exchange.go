package shim

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ExchangeConfig says what is exchanged, and for what. URL and Credential are required.
type ExchangeConfig struct {
	URL        string // the endpoint that the token is for
	Credential Credential
	TLS        *tls.Config
	PlainHTTP  bool
	Now        func() time.Time // default time.Now

	Grant    string   // an existing grant; "" makes one with the first token
	Roles    []string // of the grant; none: all that the credential's rule allows
	Tools    []string // patterns "server.tool"; none: whatever the roles may use
	Task     string
	MaxCalls int64
	TTL      time.Duration // of the grant; 0: the gateway's default
}

// Credential proves to a token endpoint who asks. It is asked anew for each token: files are
// replaced, and most credentials live for minutes.
type Credential interface {
	// Prove returns what goes into the request, given what the issuer of the gateway's tokens is
	// called, which is the audience of whatever is proven to it.
	Prove(ctx context.Context, issuer string) (Proof, error)
}

// Proof is a credential as it is sent. One of the two is set.
type Proof struct {
	Subject         string // a token of another issuer, to be exchanged
	ClientID        string // with Assertion
	ClientAssertion string // a JWT signed by the client (private_key_jwt, RFC 7523)
}

// Grant types and the like (RFC 8693, RFC 7523, RFC 9396).
const (
	grantExchange  = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantBearer    = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	grantClient    = "client_credentials"
	typeJWT        = "urn:ietf:params:oauth:token-type:jwt"
	typeAccess     = "urn:ietf:params:oauth:token-type:access_token"
	assertionJWT   = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	detailsOfGrant = "mcp_grant"

	// unsaidLife is the life of a token whose issuer names none.
	unsaidLife = time.Minute
)

// Exchange is a [Source] that exchanges a credential at the token endpoint of the gateway's
// issuer, found by its metadata (RFC 9728, RFC 8414). It is safe for concurrent use.
type Exchange struct {
	cfg  ExchangeConfig
	url  *url.URL
	http *http.Client

	turn   chan struct{} // holds one while a token is fetched; guards what follows
	server *server       // nil before it is found
	grant  string        // "" before there is one
	nonce  string
	ask    SourceAsk // the newest
	last   Token     // the newest, of grant where that is not empty
}

// enter waits for a fetch under way no longer than ctx allows.
func (x *Exchange) enter(ctx context.Context) (leave func(), err error) {
	select {
	case x.turn <- struct{}{}:
		return func() { <-x.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a token that is being fetched: %w", context.Cause(ctx))
	}
}

// NewExchange returns a source that has exchanged nothing yet.
func NewExchange(cfg ExchangeConfig) (*Exchange, error) {
	u, err := checkURL(cfg.URL, cfg.PlainHTTP)
	if err != nil {
		return nil, err
	}
	if cfg.Credential == nil {
		return nil, errors.New("no credential to exchange")
	}
	if cfg.Now == nil {
		cfg.Now = wallTime
	}
	return &Exchange{cfg: cfg, url: u, http: newHTTPClient(cfg.TLS), grant: cfg.Grant, turn: make(chan struct{}, 1)}, nil
}

// Token implements [Source]. The first token makes a grant unless one was given; the others renew
// it.
func (x *Exchange) Token(ctx context.Context, ask SourceAsk) (Token, error) {
	leave, err := x.enter(ctx)
	if err != nil {
		return Token{}, err
	}
	defer leave()
	return x.token(ctx, ask)
}

// token is Token in its turn.
func (x *Exchange) token(ctx context.Context, ask SourceAsk) (Token, error) {
	if x.server == nil {
		r, err := findResource(ctx, x.http, x.url)
		if err != nil {
			return Token{}, err
		}
		if x.server, err = findServer(ctx, x.http, r, x.cfg.PlainHTTP); err != nil {
			return Token{}, err
		}
	}
	proof, err := x.cfg.Credential.Prove(ctx, x.server.Issuer)
	if err != nil {
		return Token{}, err
	}
	form, err := x.form(proof, ask)
	if err != nil {
		return Token{}, err
	}
	doc, err := x.post(ctx, x.server.Token, form, ask)
	if err != nil {
		return Token{}, fmt.Errorf("exchange at %s: %w", x.server.Token, err)
	}
	t, err := x.read(doc, form)
	if err == nil {
		x.last, x.ask = t, ask
	}
	return t, err
}

// Close gives back the grant that was made here, so that it ends with whoever used it (RFC 7009).
// Where that cannot be, it ends when it expires.
func (x *Exchange) Close(ctx context.Context) error {
	leave, err := x.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if x.cfg.Grant != "" || x.last.Grant == "" || x.server.Revocation == "" {
		return nil
	}
	if !x.cfg.Now().Before(x.last.Expires) { // only a token that lives can give its grant back
		if _, err := x.token(ctx, x.ask); errors.Is(err, ErrEnded) {
			return nil
		} else if err != nil {
			return err
		}
	}
	doc, err := x.post(ctx, x.server.Revocation, url.Values{"token": {x.last.Value}}, x.ask)
	if doc != nil && doc.status == http.StatusOK {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("it answers %s", status(doc.status))
	}
	return fmt.Errorf("give the grant back at %s: %w", x.server.Revocation, err)
}

// form is the request's body.
func (x *Exchange) form(proof Proof, ask SourceAsk) (url.Values, error) {
	form := url.Values{"resource": {x.url.String()}}
	supported := x.server.GrantTypes
	switch {
	case proof.ClientAssertion != "":
		form.Set("grant_type", grantClient)
		form.Set("client_id", proof.ClientID)
		form.Set("client_assertion_type", assertionJWT)
		form.Set("client_assertion", proof.ClientAssertion)
	case slices.Contains(supported, grantExchange):
		form.Set("grant_type", grantExchange)
		form.Set("subject_token", proof.Subject)
		form.Set("subject_token_type", typeJWT)
		form.Set("requested_token_type", typeAccess)
	case slices.Contains(supported, grantBearer):
		form.Set("grant_type", grantBearer)
		form.Set("assertion", proof.Subject)
	default:
		return nil, fmt.Errorf("%s neither exchanges tokens (RFC 8693) nor takes assertions (RFC 7523)", x.server.Issuer)
	}
	if slices.Contains(x.server.Details, detailsOfGrant) {
		details, err := json.Marshal([]grantDetails{x.details(ask)})
		if err != nil {
			return nil, err
		}
		form.Set("authorization_details", string(details))
	}
	return form, nil
}

// grantDetails is what is asked for, as authorization_details (RFC 9396).
type grantDetails struct {
	Type      string   `json:"type"`
	Grant     string   `json:"grant,omitempty"`
	Roles     []string `json:"roles,omitempty"`
	Tools     []string `json:"tools,omitempty"`
	Task      string   `json:"task,omitempty"`
	MaxCalls  int64    `json:"max_calls,omitempty"`
	ExpiresIn int64    `json:"expires_in,omitempty"` // seconds
	Measured  string   `json:"measured,omitempty"`
}

func (x *Exchange) details(ask SourceAsk) grantDetails {
	if x.grant != "" {
		return grantDetails{Type: detailsOfGrant, Grant: x.grant, Measured: ask.Measured}
	}
	return grantDetails{Type: detailsOfGrant, Roles: x.cfg.Roles, Tools: x.cfg.Tools, Task: x.cfg.Task,
		MaxCalls: x.cfg.MaxCalls, ExpiresIn: int64(x.cfg.TTL / time.Second), Measured: ask.Measured}
}

// post sends the form with a proof, and once more with the nonce that is wanted.
func (x *Exchange) post(ctx context.Context, to string, form url.Values, ask SourceAsk) (*document, error) {
	for again := true; ; again = false {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if ask.Proof != nil {
			proof, err := ask.Proof(http.MethodPost, to, x.nonce)
			if err != nil {
				return nil, fmt.Errorf("prove possession of the key: %w", err)
			}
			req.Header.Set("DPoP", proof)
		}
		doc, err := fetchJSON(x.http, req)
		if doc != nil && doc.header.Get("DPoP-Nonce") != "" {
			x.nonce = doc.header.Get("DPoP-Nonce")
		}
		if doc != nil && errors.Is(err, errNoJSON) {
			return nil, fmt.Errorf("it answers %s with %s", status(doc.status), kindOf(doc.header))
		}
		if err != nil {
			return nil, err
		}
		if again && ask.Proof != nil && text(find(doc.body, "error")) == "use_dpop_nonce" && doc.header.Get("DPoP-Nonce") != "" {
			continue
		}
		return doc, nil
	}
}

// tokenAnswer is the answer of a token endpoint, good or bad (RFC 6749, section 5).
type tokenAnswer struct {
	Token     string         `json:"access_token"`
	Type      string         `json:"token_type"`
	ExpiresIn int64          `json:"expires_in"`
	Details   []grantDetails `json:"authorization_details"`

	Error       string `json:"error"`
	Description string `json:"error_description"`
}

func (x *Exchange) read(doc *document, form url.Values) (Token, error) {
	var a tokenAnswer
	if err := json.Unmarshal(doc.body, &a); err != nil {
		return Token{}, fmt.Errorf("exchange at %s: it answers with JSON of another shape", x.server.Token)
	}
	switch {
	case a.Error == "invalid_grant" && x.last.Grant != "" && form.Has("authorization_details") && form.Get("grant_type") != grantBearer:
		// The grant gave a token before. An assertion may be refused under the same name; then
		// another one may do.
		return Token{}, &EndedError{Grant: x.grant, Why: x.why(a.Description)}
	case a.Error != "":
		return Token{}, fmt.Errorf("exchange at %s: %s", x.server.Token, refusalText(a))
	case doc.status != http.StatusOK || a.Token == "":
		return Token{}, fmt.Errorf("exchange at %s: it answers %s and no token", x.server.Token, status(doc.status))
	}
	life := time.Duration(a.ExpiresIn) * time.Second
	if a.ExpiresIn <= 0 {
		life = unsaidLife
	}
	if len(a.Details) == 1 && a.Details[0].Grant != "" {
		x.grant = a.Details[0].Grant
	}
	return Token{Value: a.Token, Expires: x.cfg.Now().Add(life), Grant: x.grant, Bearer: !strings.EqualFold(a.Type, "DPoP")}, nil
}

// why is the issuer's reason without what EndedError says itself.
func (x *Exchange) why(description string) string {
	return strings.TrimSuffix(strings.TrimPrefix(description, "the grant "+x.grant+" ended: "), "; ask for a new one")
}

func refusalText(a tokenAnswer) string {
	if a.Description == "" {
		return fmt.Sprintf("refused (%.100q)", a.Error)
	}
	return fmt.Sprintf("refused: %.1000s (%.100s)", a.Description, a.Error)
}
