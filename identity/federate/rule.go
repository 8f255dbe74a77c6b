package federate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sallyport/identity"
	"sallyport/identity/jose"
)

// Kinds of rules.
const (
	oidc          = "oidc"
	spiffe        = "spiffe"
	privateKeyJWT = "private_key_jwt"
)

// Bounds of the lifetime of a token of others.
const (
	DefaultLifetime = time.Hour
	MaxLifetime     = 24 * time.Hour
	// MaxAssertionLifetime bounds what a client signs for itself, whatever the rule says.
	MaxAssertionLifetime = 5 * time.Minute
)

// Rule says which tokens of one issuer are taken, and what they are worth here. Its fields are
// those of identity.federation in the configuration.
type Rule struct {
	Name string // letters, digits, '.', '_' and '-'; unique
	Kind string // oidc (also when empty), spiffe or private_key_jwt

	Issuer      string // oidc: exact iss
	Audience    string // exact and only aud
	JWKSURL     string // oidc, spiffe: where the keys are; for oidc by default as discovery says
	JWKSFile    string // file with the keys, instead
	CA          string // file with the certificates that may sign the server's, PEM; default the system's
	TrustDomain string // spiffe
	ClientID    string // private_key_jwt: exact iss and sub

	MaxLifetime time.Duration // from iat to exp; default an hour
	// Require names claims and the value that each must have: a text, a whole number, true or
	// false. A name's slashes go one level down; a slash in a name is written ~1, a tilde ~0.
	Require      map[string]string
	RequireClaim []string // claims that must be there and say something

	Subject       string // template; default "<name>:{sub}"
	Client        string // default the client's id, else the rule's name
	Roles         []string
	BearerAllowed bool
}

// RuleError says what is wrong with a rule, and at which of its keys.
type RuleError struct {
	Rule  string
	Index int    // of the rule, from 0
	Key   string // as the configuration has it, as jwksURL; empty: the rule as a whole
	What  string
}

func (e *RuleError) Error() string {
	rule := fmt.Sprintf("federation rule %q", e.Rule)
	if e.Rule == "" {
		rule = fmt.Sprintf("federation rule %d", e.Index+1)
	}
	if e.Key != "" {
		rule += ": " + e.Key
	}
	return rule + ": " + e.What
}

func fault(key, format string, args ...any) *RuleError {
	return &RuleError{Key: key, What: fmt.Sprintf(format, args...)}
}

// rule is a Rule that has been checked. It is immutable.
type rule struct {
	Rule
	require []requirement // in the order of their names
	present []requirement
	subject template
	keys    keySource
	replays *replays // private_key_jwt only
}

type requirement struct {
	name string
	path []string
	want string
}

// compile checks a rule by itself and gives it its defaults.
func compile(written Rule) (*rule, *RuleError) {
	r := &rule{Rule: written}
	if !goodName(r.Name) {
		return nil, fault("name", "wants 1 to 64 letters, digits, '.', '_' and '-'")
	}
	if r.Kind == "" {
		r.Kind = oidc
	}
	if err := r.checkKind(); err != nil {
		return nil, err
	}
	if err := r.checkWorth(); err != nil {
		return nil, err
	}
	if err := r.checkLifetime(); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(r.Require)) {
		path, err := parsePath(name)
		if err != nil {
			return nil, fault("require", "%q %s", name, err)
		}
		if r.Require[name] == "" {
			return nil, fault("require", "%q wants a value; to take any, name it under requireClaim", name)
		}
		r.require = append(r.require, requirement{name, path, r.Require[name]})
	}
	for _, name := range slices.Sorted(slices.Values(r.RequireClaim)) {
		path, err := parsePath(name)
		if err != nil {
			return nil, fault("requireClaim", "%q %s", name, err)
		}
		r.present = append(r.present, requirement{name: name, path: path})
	}
	if r.Kind == oidc && len(r.require) == 0 && anybodys(r.Issuer) {
		return nil, fault("require", "anybody can have a token of this issuer; name claims that are yours alone, as %s", immutableOf(r.Issuer))
	}
	return r, nil
}

// checkWorth looks at what a token is worth.
func (r *rule) checkWorth() *RuleError {
	if len(r.Roles) == 0 {
		return fault("roles", "gives no role, so such a token may do nothing; name the roles that it may ask for")
	}
	for _, role := range r.Roles {
		if err := identity.CheckText(role); err != nil {
			return fault("roles", "holds a name that %s", err)
		}
	}
	if r.Subject == "" {
		r.Subject = r.Name + ":{sub}"
	}
	var err error
	if r.subject, err = parseTemplate(r.Subject); err != nil {
		return fault("subject", "%s", err)
	}
	if r.Client == "" {
		r.Client = r.Name
		if r.Kind == privateKeyJWT {
			r.Client = r.ClientID
		}
	}
	if err := identity.CheckText(r.Client); err != nil {
		return fault("client", "%s", err)
	}
	return nil
}

func (r *rule) checkLifetime() *RuleError {
	switch {
	case r.MaxLifetime == 0:
		r.MaxLifetime = DefaultLifetime
	case r.MaxLifetime < time.Second || r.MaxLifetime > MaxLifetime:
		return fault("maxLifetime", "%s is not from 1s to 24h", r.MaxLifetime)
	}
	if r.Kind == privateKeyJWT {
		r.MaxLifetime = min(r.MaxLifetime, MaxAssertionLifetime)
	}
	return nil
}

// maxID bounds the names that are remembered, a jti and a kid, in bytes.
const maxID = 128

// verify checks the signature and, for what may be used once, that it is the first time.
func (r *rule) verify(ctx context.Context, t *jose.Token, c *claims, now time.Time) error {
	if t.Kid == "" || len(t.Kid) > maxID { // names that are in no set are remembered for a while
		return fmt.Errorf("%w: the header has no kid of 1 to %d bytes", ErrUnknownKey, maxID)
	}
	key, err := r.keys.key(ctx, t.Kid)
	if err != nil {
		return err
	}
	if err := t.VerifyForeign(key); err != nil {
		return err
	}
	if r.replays != nil {
		return r.replays.take(c.jti, c.iat, time.Unix(c.exp, 0), now)
	}
	return nil
}

// issuer is what the record has as the issuer of a token that the rule took.
func (r *rule) issuer() string {
	switch r.Kind {
	case spiffe:
		return "spiffe://" + r.TrustDomain
	case privateKeyJWT:
		return r.ClientID
	}
	return r.Issuer
}

const (
	lower   = "abcdefghijklmnopqrstuvwxyz"
	upper   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
	letters = lower + upper
)

func goodName(s string) bool {
	return s != "" && len(s) <= 64 && only(s, letters+digits+"._-")
}

// only reports whether s holds no other characters.
func only(s, characters string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return !strings.ContainsRune(characters, c) }) < 0
}
