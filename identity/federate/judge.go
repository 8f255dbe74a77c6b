package federate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/identity/jose"
)

// judge returns the subject of a token that the rule takes if its signature verifies; otherwise
// why says what does not fit, by the names of claims.
func (r *rule) judge(t *jose.Token, c *claims, use Use, now time.Time) (subject, why string) {
	for _, ask := range []func() string{
		func() string { return r.forUse(use) },
		func() string { return r.forIssuer(c) },
		func() string { return r.forType(t.Typ) },
		func() string { return r.forAudience(c) },
		func() string { return r.forLifetime(c, now) },
		func() string { return r.forClaims(c) },
	} {
		if why = ask(); why != "" {
			return "", why
		}
	}
	return r.subject.fill(c)
}

func (r *rule) forUse(use Use) string {
	switch {
	case slices.Contains(kinds[r.Kind].uses, use):
		return ""
	case r.Kind == privateKeyJWT:
		return "takes client assertions only"
	default:
		return "takes no client assertions"
	}
}

func (r *rule) forIssuer(c *claims) string {
	switch r.Kind {
	case spiffe:
		if !inDomain(c.sub, r.TrustDomain) {
			return "sub is no SPIFFE ID of its trust domain"
		}
	case privateKeyJWT:
		if c.iss != r.ClientID || c.sub != r.ClientID {
			return "iss and sub are not both its client's id"
		}
	default:
		if c.iss != r.Issuer {
			return "iss is not its issuer"
		}
	}
	return ""
}

// forType tells an identity from the other documents that the same key may sign: access tokens,
// proofs, logout tokens (RFC 8725 §3.11).
func (r *rule) forType(typ string) string {
	bare := strings.TrimPrefix(strings.ToLower(typ), "application/")
	if typ != "" && !slices.Contains(kinds[r.Kind].types, bare) {
		return "the header's typ is not that of an identity (JWT, or absent)"
	}
	return ""
}

// forAudience wants exactly one: a token for two audiences is one that another party may replay
// at us.
func (r *rule) forAudience(c *claims) string {
	switch {
	case len(c.aud) != 1:
		return "aud has more than one element"
	case c.aud[0] != r.Audience:
		return "aud is not its audience"
	}
	return ""
}

func (r *rule) forLifetime(c *claims, now time.Time) string {
	life := c.exp - c.iat
	if !c.issued {
		if kinds[r.Kind].iat {
			return "iat is missing"
		}
		life = c.exp - now.Unix() // JWT-SVIDs need none
	}
	if most := int64(r.MaxLifetime / time.Second); life <= 0 || life > most {
		return fmt.Sprintf("lives longer than %s (maxLifetime, from iat to exp)", r.MaxLifetime)
	}
	return ""
}

func (r *rule) forClaims(c *claims) string {
	switch {
	// An exchange proves no possession of a key of another issuer; taking the token anyway
	// would unbind it.
	case c.bound:
		return "has cnf: it is bound to a key, of which an exchange is no proof"
	// Nobody approves themselves: who acts for another gets no grant of that other.
	case c.acted:
		return "has act: it is a delegation, which gets no grant"
	case r.replays != nil && (c.jti == "" || len(c.jti) > maxID):
		return fmt.Sprintf("jti is missing or longer than %d bytes", maxID)
	}
	for _, q := range r.require {
		switch value, why := c.find(q.path); {
		case why != "":
			return q.name + " " + why
		case value != q.want:
			return q.name + " is not what it requires"
		}
	}
	for _, q := range r.present {
		if v, ok := c.at(q.path); !ok || slices.Contains([]string{`""`, "null", "[]", "{}"}, string(v)) {
			return q.name + " is missing or empty"
		}
	}
	return ""
}

// inDomain reports whether id is a SPIFFE ID of a workload of the trust domain, by the letter of
// the SPIFFE ID specification, section 2.
func inDomain(id, domain string) bool {
	path, ok := strings.CutPrefix(id, "spiffe://"+domain+"/")
	if !ok || len(id) > 2048 {
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." || !only(segment, letters+digits+".-_") {
			return false
		}
	}
	return true
}
