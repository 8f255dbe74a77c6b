package mint

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"sallyport/identity"
	"sallyport/identity/jose"
)

// DefaultTTL is the life of a token for which none was asked.
const DefaultTTL = 5 * time.Minute

// IssuerConfig says for whom tokens are made. URL, Audience and Keys are required: without
// one of them every Mint fails.
type IssuerConfig struct {
	URL      string           // iss, the gateway's publicURL
	Audience string           // aud, <publicURL>/mcp
	Keys     *Keyring         // signing keys
	TTL      time.Duration    // life of a token where the request asks for none; default DefaultTTL
	Now      func() time.Time // default time.Now
}

// Issuer signs access tokens. It is safe for concurrent use.
type Issuer struct {
	cfg IssuerConfig
	ttl atomic.Int64 // where a request asks for none
}

// SetTTL changes the life of tokens for which none is asked, from now on.
func (i *Issuer) SetTTL(ttl time.Duration) { i.ttl.Store(int64(ttl)) }

// NewIssuer returns an issuer. A TTL out of bounds is reported by [CheckTTL], to be asked
// when configuration is read, and by every Mint.
func NewIssuer(cfg IssuerConfig) *Issuer {
	if cfg.TTL == 0 {
		cfg.TTL = DefaultTTL
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	i := &Issuer{cfg: cfg}
	i.SetTTL(cfg.TTL)
	return i
}

func (i *Issuer) defaultTTL() time.Duration { return time.Duration(i.ttl.Load()) }

// Request asks for a token. Subject, ClientID and one role at least are required.
type Request struct {
	Subject, ClientID string
	Roles             []string
	TTL               time.Duration // 1 s to 15 min in whole seconds; zero: the issuer's default
	Grant, Task       string        // empty: the token names none
	JKT, X5T          string        // thumbprints of the key and of the certificate that the holder must prove; empty: not bound
	Measured          string        // digest of the agent's own files, as it claims; empty: none
	Actors            []string      // who acts for the subject, newest first; at most four
}

// Claims are the claims of a token of ours, as they stand in it.
type Claims struct {
	Issuer    string   `json:"iss"`
	Audience  string   `json:"aud"`
	Subject   string   `json:"sub"`
	ClientID  string   `json:"client_id"`
	Roles     []string `json:"roles"`
	Grant     string   `json:"grant,omitempty"`
	Task      string   `json:"task,omitempty"`
	IssuedAt  int64    `json:"iat"` // seconds since 1970
	ExpiresAt int64    `json:"exp"`
	ID        string   `json:"jti"`

	Confirmation *Confirmation `json:"cnf,omitempty"` // nil: not bound
	Measured     string        `json:"measured,omitempty"`
	Actor        *Actor        `json:"act,omitempty"` // the newest
}

// Confirmation says what the holder of a token must prove (RFC 7800 §3.1): all that is not empty.
type Confirmation struct {
	JKT string `json:"jkt,omitempty"`      // RFC 9449 §6.1
	X5T string `json:"x5t#S256,omitempty"` // RFC 8705 §3.1
}

// Actor is who acts for the subject, and for whom that one acts (RFC 8693 §4.1).
type Actor struct {
	Subject string `json:"sub"`
	Actor   *Actor `json:"act,omitempty"`
}

// Mint signs a token and returns it with its claims. The error says which part of the request
// cannot be had; then the token is empty.
func (i *Issuer) Mint(r Request) (string, Claims, error) { return i.mint(r, i.cfg.Now()) }

// mint is Mint by a clock that has been read already: who has measured the token's life by it
// gets exactly that.
func (i *Issuer) mint(r Request, at time.Time) (string, Claims, error) {
	if i.cfg.URL == "" || i.cfg.Audience == "" || i.cfg.Keys == nil {
		return "", Claims{}, errors.New("a token issuer needs its URL, an audience and keys")
	}
	if r.TTL == 0 {
		r.TTL = i.defaultTTL()
	}
	if err := check(r); err != nil {
		return "", Claims{}, err
	}
	now := at.Unix()
	c := Claims{Issuer: i.cfg.URL, Audience: i.cfg.Audience, Subject: r.Subject, ClientID: r.ClientID, Roles: r.Roles,
		Grant: r.Grant, Task: r.Task, IssuedAt: now, ExpiresAt: now + int64(r.TTL/time.Second), ID: rand.Text(),
		Confirmation: confirmation(r.JKT, r.X5T), Measured: r.Measured, Actor: actor(r.Actors)}
	token, err := i.sign("at+jwt", c)
	if err != nil {
		return "", Claims{}, err
	}
	return token, c, nil
}

// confirmation is nil where a token is bound to nothing.
func confirmation(jkt, x5t string) *Confirmation {
	if jkt == "" && x5t == "" {
		return nil
	}
	return &Confirmation{JKT: jkt, X5T: x5t}
}

// actor nests who acts for the subject, given newest first.
func actor(names []string) (newest *Actor) {
	for _, name := range slices.Backward(names) {
		newest = &Actor{Subject: name, Actor: newest}
	}
	return newest
}

// assertionTTL is the life of an assertion: long enough for one request to a token endpoint.
const assertionTTL = time.Minute

// Assert signs a statement for another token endpoint, audience, that subject is who the gateway
// acts for (RFC 7523, section 3). It is no access token, here or anywhere: its type says so, and
// it has no client and no roles.
func (i *Issuer) Assert(subject, audience string) (string, error) {
	if i.cfg.URL == "" || i.cfg.Keys == nil {
		return "", errors.New("a token issuer needs its URL and keys")
	}
	for _, part := range []struct{ name, value string }{{"subject", subject}, {"audience", audience}} {
		if err := identity.CheckText(part.value); err != nil {
			return "", fmt.Errorf("the %s %w", part.name, err)
		}
	}
	now := i.cfg.Now().Unix()
	return i.sign("JWT", struct {
		Issuer    string `json:"iss"`
		Audience  string `json:"aud"`
		Subject   string `json:"sub"`
		IssuedAt  int64  `json:"iat"`
		ExpiresAt int64  `json:"exp"`
		ID        string `json:"jti"`
	}{i.cfg.URL, audience, subject, now, now + int64(assertionTTL/time.Second), rand.Text()})
}

func check(r Request) error {
	if err := CheckTTL(r.TTL); err != nil {
		return err
	}
	if len(r.Roles) == 0 {
		return errors.New("a token needs at least one role (--role)")
	}
	for _, role := range r.Roles {
		if err := identity.CheckText(role); err != nil {
			return fmt.Errorf("a role %w", err)
		}
	}
	for _, part := range []struct {
		name, value string
		optional    bool
	}{{"subject", r.Subject, false}, {"client", r.ClientID, false}, {"grant", r.Grant, true}, {"task", r.Task, true}, {"measured digest", r.Measured, true}} {
		if part.optional && part.value == "" {
			continue
		}
		if err := identity.CheckText(part.value); err != nil {
			return fmt.Errorf("the %s %w", part.name, err)
		}
	}
	return checkHolder(r)
}

// checkHolder checks what the request says of who will hold the token.
func checkHolder(r Request) error {
	if r.JKT != "" && identity.CheckThumbprint(r.JKT) != nil {
		return errors.New("the key's thumbprint is not a SHA-256 digest in base64url (RFC 7638)")
	}
	if r.X5T != "" && identity.CheckThumbprint(r.X5T) != nil {
		return errors.New("the certificate's thumbprint is not a SHA-256 digest in base64url (RFC 8705)")
	}
	if len(r.Actors) > identity.MaxActors {
		return fmt.Errorf("a token names at most %d actors, not %d", identity.MaxActors, len(r.Actors))
	}
	for _, actor := range r.Actors {
		if err := identity.CheckText(actor); err != nil {
			return fmt.Errorf("an actor %w", err)
		}
	}
	return nil
}

// CheckTTL returns an error unless a token may live that long: 1 s to identity.MaxLifetime,
// in whole seconds, since exp has no fractions.
func CheckTTL(ttl time.Duration) error {
	if ttl < time.Second || ttl > identity.MaxLifetime || ttl%time.Second != 0 {
		return fmt.Errorf("a token lives from 1s to 15m in whole seconds, not %s; ask for a shorter life and renew it", ttl)
	}
	return nil
}

func (i *Issuer) sign(typ string, c any) (string, error) {
	kid, private := i.cfg.Keys.signer()
	claims, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("write claims: %w", err)
	}
	enc := base64.RawURLEncoding
	header := []byte(`{"alg":"EdDSA","typ":"` + typ + `","kid":"` + kid + `"}`) // a thumbprint needs no escapes
	input := enc.EncodeToString(header) + "." + enc.EncodeToString(claims)
	token := input + "." + enc.EncodeToString(ed25519.Sign(private, []byte(input)))
	if len(token) > jose.MaxSize {
		return "", fmt.Errorf("the token would be %d bytes long; the limit is %d: use fewer roles or shorter names", len(token), jose.MaxSize)
	}
	return token, nil
}
