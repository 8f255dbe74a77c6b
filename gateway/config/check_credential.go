package config

import (
	"net/url"
	"slices"
	"strings"
)

func (s *Server) checkCredential(at string, p *problems) {
	if _, given := p.at[at+".credential"]; !given {
		return
	}
	cred := s.Credential
	cred.check(at+".credential", p)
	if err := usable(cred.Header, cred.Prefix+"x"); err != nil {
		p.key(at+".credential.header", "%s", err)
	}
	for header := range s.Headers {
		if strings.EqualFold(header, cred.Header) {
			p.key(at+".headers."+header, "is what credential sends as well; use one of the two")
		}
	}
}

// checkEnvCredential looks at a credential that goes into a command's environment.
func (s *Server) checkEnvCredential(at string, cred *Credential, p *problems) {
	for _, key := range []string{"header", "prefix"} {
		if _, given := p.at[at+"."+key]; given {
			p.key(at+"."+key, "is for credentials that go into a header")
		}
	}
	cred.Header, cred.Prefix = "", "" // their defaults are for headers
	cred.check(at, p)
	if s.Instance == "shared" && cred.ofPrincipals() {
		p.key(at, "is another one for each principal, and instance: shared is one process for everybody; use instance: principal or grant")
	}
}

// ofPrincipals reports whether each principal has a secret of their own.
func (c *Credential) ofPrincipals() bool {
	return c.Type == fromExchange || c.Type == fromExec && c.PerPrincipal
}

func (c *Credential) check(at string, p *problems) {
	if c.Type == "" {
		p.key(at+".type", "is missing; known are file, env, exec, clientCredentials and tokenExchange")
		return
	}
	own, known := keysOfCredential[c.Type]
	if !known {
		p.key(at+".type", "%s", unknownWord(c.Type, fromFile, fromEnv, fromExec, fromClient, fromExchange))
		return
	}
	for _, kind := range []string{fromFile, fromEnv, fromExec, fromClient} {
		for _, key := range keysOfCredential[kind] {
			if _, given := p.at[at+"."+key]; given && !slices.Contains(own, key) {
				p.key(at+"."+key, "is not for type %s", c.Type)
			}
		}
	}
	if c.Type == fromClient || c.Type == fromExchange {
		c.checkOAuth(at, p)
		return
	}
	checkSource(at, c.Type, c.Path, c.Name, c.Command, p)
}

// checkSource looks at what a secret comes from, the credential's own or its client's.
func checkSource(at, kind, path, name string, command []string, p *problems) {
	switch {
	case kind == fromFile && path == "":
		p.key(at+".path", "is missing: the file that holds the secret")
	case kind == fromEnv && !isVariable(name):
		p.key(at+".name", "is missing: the variable of the environment that holds the secret")
	case kind == fromExec && (len(command) == 0 || command[0] == ""):
		p.key(at+".command", "is missing: the command that prints the secret, as a list")
	}
}

func (c *Credential) checkOAuth(at string, p *problems) {
	u, err := url.Parse(c.TokenURL)
	switch {
	case c.TokenURL == "":
		p.key(at+".tokenURL", "is missing: the URL of the token endpoint")
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		p.key(at+".tokenURL", "wants a URL such as https://login.example.com/oauth/token")
	case u.User != nil || u.Fragment != "":
		p.key(at+".tokenURL", "wants neither a user nor a fragment in it")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		p.key(at+".tokenURL", "http to %s would send secrets over the network in the clear; use https", u.Hostname())
	}
	if c.ClientID == "" {
		p.key(at+".clientID", "is missing: the gateway's client at the token endpoint")
	}
	if u, err := url.Parse(c.Resource); c.Resource != "" && (err != nil || !u.IsAbs() || u.Fragment != "") {
		p.key(at+".resource", "wants an absolute URI without a fragment (RFC 8707)")
	}
	_, secret := p.at[at+".clientSecret"]
	switch c.ClientAuth {
	case secretBasic, secretPost:
		if c.Key != "" || c.KeyID != "" {
			p.key(at+".key", "is for clientAuth: privateKeyJWT")
		}
		if !secret {
			p.key(at+".clientSecret", "is missing: where the client's secret is, as in {type: file, path: …}")
			return
		}
		c.ClientSecret.check(at+".clientSecret", p)
	case privateKeyJWT:
		if c.Key == "" {
			p.key(at+".key", "is missing: the file with the client's private key")
		}
		if secret {
			p.key(at+".clientSecret", "is not for clientAuth: privateKeyJWT, whose secret is key")
		}
	default:
		p.key(at+".clientAuth", "%s", unknownWord(c.ClientAuth, secretBasic, secretPost, privateKeyJWT))
	}
}

func (c *ClientSecret) check(at string, p *problems) {
	if c.Type != fromFile && c.Type != fromEnv && c.Type != fromExec {
		p.key(at+".type", "%s", unknownWord(c.Type, fromFile, fromEnv, fromExec))
		return
	}
	checkSource(at, c.Type, c.Path, c.Name, c.Command, p)
}
