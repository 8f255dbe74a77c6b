package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"sallyport/identity/jose"
	"sallyport/internal/strictjson"
)

// MaxActors bounds a delegation chain.
const MaxActors = 4

// claims are the claims of the profile, read but not yet judged.
type claims struct {
	iss, sub, client, jti, grant, task string
	jkt, x5t, measured                 string
	aud, roles, actors                 []string
	iat, exp, nbf                      int64
	all                                map[string]any
}

var required = []string{"iss", "sub", "aud", "exp", "iat", "jti", "client_id", "roles"}

// known are the claim names that no other name may imitate, here or in act and cnf.
var known = func() *strictjson.Scope {
	act := strictjson.NewScope(strictjson.NewKeySet("sub", "iss", "act", "client_id"), nil)
	cnf := strictjson.NewScope(strictjson.NewKeySet("jkt", "x5t#S256", "jwk"), nil)
	return strictjson.Only(strictjson.NewKeySet("iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "roles",
		"grant", "task", "act", "cnf", "measured", "scope"), map[string]*strictjson.Scope{"act": act, "cnf": cnf})
}()

// readClaims reads the claims of a document that jose.Parse has checked. Each claim has
// exactly one type; a claim of the wrong one is never taken for an absent one.
func readClaims(raw []byte) (*claims, error) {
	if err := strictjson.CheckScope(raw, strictjson.Limits{}, known); err != nil {
		return nil, fmt.Errorf("%w: claims: %w", ErrDuplicate, err)
	}
	members, err := strictjson.Object(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: claims: %w", ErrMalformed, err)
	}
	c := &claims{}
	seen := make(map[string]bool, len(members))
	for _, m := range members {
		seen[m.Name] = true
		if err := c.read(m.Name, m.Value().Of(raw)); err != nil {
			return nil, fmt.Errorf("%w: %s %w", ErrClaim, m.Name, err)
		}
	}
	for _, name := range required {
		if !seen[name] {
			return nil, fmt.Errorf("%w: %s is missing", ErrClaim, name)
		}
	}
	// The document has one meaning, so encoding/json cannot read another.
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&c.all); err != nil {
		return nil, fmt.Errorf("%w: claims", ErrMalformed)
	}
	return c, nil
}

// read takes one claim; names that are not the profile's are free.
func (c *claims) read(name string, v []byte) (err error) {
	switch name {
	case "iss":
		c.iss, err = text(v)
	case "sub":
		c.sub, err = text(v)
	case "client_id":
		c.client, err = text(v)
	case "jti":
		c.jti, err = text(v)
	case "grant":
		c.grant, err = text(v)
	case "task":
		c.task, err = text(v)
	case "measured":
		c.measured, err = text(v)
	case "scope":
		_, err = text(v)
	case "aud":
		c.aud, err = audience(v)
	case "roles":
		c.roles, err = texts(v)
	case "iat":
		c.iat, err = seconds(v)
	case "exp":
		c.exp, err = seconds(v)
	case "nbf":
		c.nbf, err = seconds(v)
	case "act":
		err = c.readActors(v)
	case "cnf":
		err = c.readConfirmation(v)
	}
	return err
}

// readConfirmation reads what the token is bound to (RFC 7800 §3.1). A way of binding that we do
// not know cannot be checked, so a token that has one is refused even beside one that we know.
func (c *claims) readConfirmation(v []byte) error {
	members, err := strictjson.Object(v)
	if err != nil || len(members) == 0 {
		return errors.New("is not an object that names a key")
	}
	for _, m := range members {
		var dst *string
		switch m.Name {
		case "jkt":
			dst = &c.jkt
		case "x5t#S256":
			dst = &c.x5t
		default:
			return errors.New("binds the token in a way that is not known here")
		}
		if *dst, err = strictjson.String(m.Value().Of(v)); err != nil || CheckThumbprint(*dst) != nil {
			return errors.New("holds no SHA-256 thumbprint")
		}
	}
	return nil
}

// readActors flattens a delegation chain (RFC 8693 §4.1), newest first.
func (c *claims) readActors(v []byte) error {
	for more := true; more; {
		if len(c.actors) == MaxActors {
			return fmt.Errorf("has more than %d actors", MaxActors)
		}
		span, ok := strictjson.Find(v, "sub")
		if !ok {
			return errors.New("has an actor without sub")
		}
		actor, err := text(span.Of(v))
		if err != nil {
			return fmt.Errorf("has an actor whose sub %w", err)
		}
		c.actors = append(c.actors, actor)
		if span, more = strictjson.Find(v, "act"); more {
			v = span.Of(v)
		}
	}
	return nil
}

func (c *claims) principal() *Principal {
	p := &Principal{Subject: c.sub, Issuer: c.iss, ClientID: c.client, Roles: c.roles, Actors: c.actors,
		Grant: c.grant, Task: c.task, TokenID: c.jti, JKT: c.jkt, X5T: c.x5t, Measured: c.measured,
		IssuedAt: time.Unix(c.iat, 0).UTC(), Expires: time.Unix(c.exp, 0).UTC(), Proof: ProofNone, Claims: c.all}
	switch {
	case p.JKT != "":
		p.Proof = ProofDPoP
	case p.X5T != "":
		p.Proof = ProofMTLS
	}
	p.key = p.makeKey()
	return p
}

// CheckText returns an error unless s may be the value of a claim that names something: not
// empty, valid UTF-8, and without control characters, so that it stays one word in a log line
// and cannot end early in a program that stops at NUL.
func CheckText(s string) error {
	if s == "" {
		return errors.New("is empty")
	}
	if !utf8.ValidString(s) {
		return errors.New("is not UTF-8")
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return errors.New("holds a control character")
		}
	}
	return nil
}

// CheckThumbprint returns an error unless s is a SHA-256 digest in base64url, as cnf holds it
// (RFC 9449 §6.1, RFC 8705 §3.1).
func CheckThumbprint(s string) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != sha256.Size || len(s) != 43 { // the decoder skips line ends
		return errors.New("is not a SHA-256 digest in base64url")
	}
	return nil
}

func text(v []byte) (string, error) {
	s, err := strictjson.String(v)
	if err != nil {
		return "", errors.New("is not a string")
	}
	return s, CheckText(s)
}

func texts(v []byte) ([]string, error) {
	list, err := jose.Strings(v)
	if err != nil {
		return nil, errors.New("is not a list of strings")
	}
	if len(list) == 0 {
		return nil, errors.New("is empty")
	}
	for _, s := range list {
		if err := CheckText(s); err != nil {
			return nil, fmt.Errorf("has an element that %w", err)
		}
	}
	return list, nil
}

// audience reads aud, which RFC 7519 §4.1.3 allows as a string and as a list.
func audience(v []byte) ([]string, error) {
	if v[0] != '"' {
		return texts(v)
	}
	s, err := text(v)
	return []string{s}, err
}

// seconds reads a NumericDate that is a plain integer before the year 10000. Fractions and
// exponents are legal (RFC 7519 §2) but two parsers round them differently.
func seconds(v []byte) (int64, error) {
	const most = 253402300799
	errBad := errors.New("is not a whole number of seconds")
	if len(v) == 0 || len(v) > 12 {
		return 0, errBad
	}
	var n int64
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, errBad
		}
		n = n*10 + int64(c-'0')
	}
	if n > most {
		return 0, errBad
	}
	return n, nil
}
