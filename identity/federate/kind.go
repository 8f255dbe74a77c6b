package federate

import (
	"context"
	"crypto/x509"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"sallyport/identity/jose"
)

// kinds says of each kind of rule what its tokens may be.
var kinds = map[string]struct {
	uses    []Use
	types   []string // of the header's typ, lower case; absent is allowed for all
	keyUses []string // of a key's use, beside sig
	iat     bool     // must be there
}{
	oidc:          {uses: []Use{SubjectToken, Assertion}, types: []string{"jwt"}, iat: true},
	spiffe:        {uses: []Use{SubjectToken, Assertion}, types: []string{"jwt", "jose"}, keyUses: []string{"jwt-svid"}},
	privateKeyJWT: {uses: []Use{ClientAssertion}, types: []string{"jwt", "client-authentication+jwt"}, iat: true},
}

// checkKind looks at what a rule of its kind needs, and cannot have.
func (r *rule) checkKind() *RuleError {
	switch {
	case kinds[r.Kind].uses == nil:
		return fault("kind", "%q is unknown; known are oidc, spiffe and private_key_jwt", r.Kind)
	case r.Audience == "":
		return fault("audience", "is empty; it is what the token's aud must be, as the gateway's public URL")
	case r.JWKSURL != "" && r.JWKSFile != "":
		return fault("jwksURL", "stands beside jwksFile; use one of the two")
	case r.CA != "" && r.JWKSFile != "":
		return fault("ca", "means nothing beside jwksFile, for which nobody is asked")
	}
	if err := r.checkForeignKeys(); err != nil {
		return err
	}
	switch r.Kind {
	case oidc:
		return r.checkOIDC()
	case spiffe:
		return r.checkSPIFFE()
	}
	switch {
	case r.ClientID == "":
		return fault("clientID", "is empty; it is what iss and sub of the client's assertions must be")
	case r.JWKSFile == "":
		return fault("jwksFile", "is empty; it is the file with the client's public key, a JWK Set")
	}
	return nil
}

// checkForeignKeys refuses keys that mean something to another kind only: whoever wrote one
// believes that it is enforced.
func (r *rule) checkForeignKeys() *RuleError {
	for _, k := range []struct {
		name  string
		set   bool
		kinds []string
	}{
		{"issuer", r.Issuer != "", []string{oidc}},
		{"trustDomain", r.TrustDomain != "", []string{spiffe}},
		{"clientID", r.ClientID != "", []string{privateKeyJWT}},
		{"jwksURL", r.JWKSURL != "", []string{oidc, spiffe}},
		{"ca", r.CA != "", []string{oidc, spiffe}},
	} {
		if k.set && !slices.Contains(k.kinds, r.Kind) {
			return fault(k.name, "means nothing to a rule of kind %s; it is for %s", r.Kind, strings.Join(k.kinds, " and "))
		}
	}
	return nil
}

func (r *rule) checkOIDC() *RuleError {
	if r.Issuer == "" {
		return fault("issuer", "is empty; it is what iss must be, exactly")
	}
	if r.JWKSURL != "" {
		return checkURL("jwksURL", r.JWKSURL)
	}
	if r.JWKSFile != "" {
		return nil // a name in tokens, which nobody asks
	}
	if err := checkURL("issuer", r.Issuer); err != nil {
		err.What += "; or give the issuer's keys as jwksURL or jwksFile"
		return err
	}
	if strings.ContainsAny(r.Issuer, "?#") {
		return fault("issuer", "has a query, so its discovery document has no address; give jwksURL or jwksFile")
	}
	return nil
}

func (r *rule) checkSPIFFE() *RuleError {
	switch {
	case r.TrustDomain == "":
		return fault("trustDomain", "is empty; it is what stands after spiffe:// in the ids of its workloads")
	case len(r.TrustDomain) > 255 || !only(r.TrustDomain, lower+digits+".-_"):
		return fault("trustDomain", "wants lower case letters, digits, '.', '-' and '_' only, without spiffe://")
	case r.JWKSURL == "" && r.JWKSFile == "":
		return fault("jwksFile", "is empty; give the trust domain's JWT bundle as jwksFile or jwksURL")
	case r.JWKSURL != "":
		return checkURL("jwksURL", r.JWKSURL)
	}
	return nil
}

// checkURL refuses an address at which somebody else on the network could answer.
func checkURL(key, s string) *RuleError {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "": // it is not quoted: a password may stand in it
		return fault(key, "is no URL with a host")
	case u.User != nil:
		return fault(key, "has a user or password in it; keys are public and fetched without")
	case u.Fragment != "":
		return fault(key, "%q has a fragment", s)
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u)):
		return fault(key, "%q is not https, so anybody on the way could give other keys; http is for loopback only", s)
	}
	return nil
}

func isLoopback(u *url.URL) bool {
	host := u.Hostname()
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// keysFrom is the key of the rule that says where the keys are.
func (r *rule) keysFrom() string {
	switch {
	case r.JWKSFile != "":
		return "jwksFile"
	case r.JWKSURL != "":
		return "jwksURL"
	}
	return "issuer"
}

// sourceName is the same for rules that share one source of keys. The kind is in it, for it
// says which keys count.
func (r *rule) sourceName() string {
	return strings.Join([]string{r.Kind, r.issuer(), r.JWKSURL, r.JWKSFile, r.CA}, "\x00")
}

// open makes the source of the rule's keys. A file is read at once.
func (r *rule) open(o Options) (keySource, *RuleError) {
	uses := kinds[r.Kind].keyUses
	if r.JWKSFile != "" {
		k := &fileKeys{path: r.JWKSFile, uses: uses, now: o.Now, log: o.Log}
		if err := k.probe(context.Background()); err != nil {
			return nil, fault("jwksFile", "%s", err)
		}
		return k, nil
	}
	var roots *x509.CertPool
	if r.CA != "" {
		pem, err := os.ReadFile(r.CA)
		if err != nil {
			return nil, fault("ca", "%s", err)
		}
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(pem) {
			return nil, fault("ca", "%s holds no certificate in PEM", r.CA)
		}
	}
	w := newWeb(roots)
	load := func(ctx context.Context) (jose.KeySet, time.Duration, error) { return w.keySet(ctx, r.JWKSURL, uses) }
	if r.JWKSURL == "" {
		load = func(ctx context.Context) (jose.KeySet, time.Duration, error) { return w.discover(ctx, r.Issuer, uses) }
	}
	return newRemoteKeys(r.issuer(), load, o.Now, o.Log), nil
}
