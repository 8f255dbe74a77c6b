package config

import (
	"cmp"
	"errors"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// kindsOfFederation are the keys of each kind, beside those that all have.
var kindsOfFederation = map[string][]string{
	"oidc":            {"issuer", "jwksURL", "jwksFile", "ca", "require", "requireClaim"},
	"spiffe":          {"trustDomain", "jwksURL", "jwksFile", "ca", "require"},
	"private_key_jwt": {"clientID", "jwksFile"},
}

func (c *Config) checkIdentity(p *problems) {
	if ttl := c.Identity.TokenTTL; int64(ttl)%1e9 != 0 {
		p.key("identity.tokenTTL", "wants whole seconds")
	}
	for i, rule := range c.Identity.Local {
		at := "identity.local." + strconv.Itoa(i)
		var err error
		switch rule.uid, err = lookUpUser(rule.User); {
		case err != nil:
			p.key(at+".user", "%s", err)
		case slices.ContainsFunc(c.Identity.Local[:i], func(other *Local) bool { return other.uid == rule.uid }):
			p.key(at+".user", "%s has a rule above; give it all roles there", rule.User)
		case len(rule.Roles) == 0 && !rule.Operator:
			p.key(at, "gives %s nothing; name its roles, or say operator: true", rule.User)
		}
	}
	for i, rule := range c.Identity.Federation {
		rule.complete(c.PublicURL)
		rule.check("identity.federation."+strconv.Itoa(i), p)
		if j := slices.IndexFunc(c.Identity.Federation[:i], func(other *Federation) bool { return other.Name == rule.Name }); j >= 0 && rule.Name != "" {
			p.key("identity.federation."+strconv.Itoa(i)+".name", "%q is the name of a rule above; names tell rules apart in the record", rule.Name)
		}
	}
}

// lookUpUser returns the number of a user of this machine.
func lookUpUser(name string) (uint32, error) {
	if name == "" {
		return 0, errors.New("wants the name or number of a user")
	}
	number := name
	if u, err := user.Lookup(name); err == nil {
		number = u.Uid
	}
	uid, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0, errors.New("there is no user " + strconv.Quote(name) + " on this machine; a number is taken as it is")
	}
	return uint32(uid), nil
}

// complete gives a rule what follows from its other keys.
func (f *Federation) complete(publicURL string) {
	if f.Audience == "" {
		f.Audience = publicURL
	}
	if f.Subject == "" {
		f.Subject = f.Name + ":{sub}"
	}
	if f.Client == "" {
		f.Client = cmp.Or(f.ClientID, f.Name)
	}
}

func (f *Federation) check(at string, p *problems) {
	keys, known := kindsOfFederation[f.Kind]
	switch {
	case f.Name == "":
		p.key(at+".name", "a rule needs a name, which the record and messages give")
	case !known:
		p.key(at+".kind", "unknown kind; known are oidc, private_key_jwt and spiffe")
	case len(f.Roles) == 0:
		p.key(at+".roles", "a rule that gives no role lets nobody do anything; name the roles that such a token may ask for")
	}
	if !known {
		return
	}
	for _, key := range []struct {
		name string
		set  bool
	}{
		{"issuer", f.Issuer != ""}, {"jwksURL", f.JWKSURL != ""}, {"jwksFile", f.JWKSFile != ""}, {"ca", f.CA != ""},
		{"trustDomain", f.TrustDomain != ""}, {"clientID", f.ClientID != ""}, {"require", len(f.Require) > 0}, {"requireClaim", len(f.RequireClaim) > 0},
	} {
		if key.set && !slices.Contains(keys, key.name) {
			p.key(at+"."+key.name, "means nothing to a rule of kind %s, whose keys are %s", f.Kind, strings.Join(keys, ", "))
		}
	}
	if key, missing := f.missing(); missing != "" {
		p.key(at+"."+key, "%s", missing)
	}
}

// missing says which key a rule of its kind cannot be without.
func (f *Federation) missing() (key, what string) {
	switch {
	case f.Kind == "oidc" && f.Issuer == "":
		return "issuer", "wants the issuer's URL, exactly as its tokens have it in iss"
	case f.Kind == "spiffe" && f.TrustDomain == "":
		return "trustDomain", "wants the trust domain, such as example.org"
	case f.Kind == "spiffe" && f.JWKSURL == "" && f.JWKSFile == "":
		return "jwksFile", "wants the trust domain's JWT bundle, as jwksFile or jwksURL"
	case f.Kind == "private_key_jwt" && f.ClientID == "":
		return "clientID", "wants the client's id"
	case f.Kind == "private_key_jwt" && f.JWKSFile == "":
		return "jwksFile", "wants the client's public key, as a JWK Set"
	case f.JWKSURL != "" && f.JWKSFile != "":
		return "jwksURL", "stands beside jwksFile; use one of the two"
	}
	return "", ""
}

// strangeRoles says which roles of the configuration no policy knows; known returns an error for
// one of those.
func (c *Config) strangeRoles(known func(role string) error) []string {
	var notes []string
	look := func(where string, roles []string) {
		for _, role := range roles {
			if err := known(role); err != nil {
				notes = append(notes, where+": "+err.Error())
			}
		}
	}
	for _, l := range c.Identity.Local {
		look("identity.local, user "+l.User, l.Roles)
	}
	for _, f := range c.Identity.Federation {
		look("identity.federation, rule "+f.Name, f.Roles)
	}
	look("identity.requireProofFor", c.Identity.RequireProofFor)
	return notes
}

// local returns who may ask at the socket: what the configuration says or, where it says nothing,
// the user of this process as the operator.
func (c *Config) local() []*Local {
	if len(c.Identity.Local) > 0 {
		return c.Identity.Local
	}
	uid := os.Getuid()
	if uid < 0 { // no Unix, no socket
		return nil
	}
	return []*Local{{User: strconv.Itoa(uid), Operator: true, uid: uint32(uid)}}
}
