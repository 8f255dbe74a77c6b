package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// CheckFiles opens what the configuration names: certificates, credentials, the policies,
// which it does not compile, and their key. The error is a Problems.
func (c *Config) CheckFiles() error {
	p := newProblems(c.source.file)
	p.at = maps.Clone(c.source.at)
	if _, err := c.certificate(); err != nil {
		p.key("tls", "%s", err)
	}
	if _, err := c.clientCA(); err != nil {
		p.key("tls.clientCA", "%s", err)
	}
	c.checkPolicyFiles(p)
	if _, err := c.canaries(); err != nil {
		p.key("guards.canaryFile", "%s", err)
	}
	c.checkFederation(p)
	o := c.origin(nil, nil)
	for _, name := range slices.Sorted(maps.Keys(c.Servers)) {
		if c.Servers[name].Type == typeStdio {
			c.Servers[name].checkFiles("mcpServers."+name, c.State, c.guarded(), o, p)
			continue
		}
		if cred := c.Servers[name].Credential; cred.Type != "" {
			if err := cred.try(o); err != nil {
				p.key("mcpServers."+name+".credential", "%s", err)
			}
		}
		if _, err := c.Servers[name].TLS.config(); err != nil {
			p.key("mcpServers."+name+".tls", "%s", err)
		}
	}
	return p.err()
}

// starter is the command that writes a policy where there is none.
func (c *Config) starter(err error) string {
	if !errors.Is(err, fs.ErrNotExist) || c.source.file == "" {
		return ""
	}
	return "; without policies nothing could be allowed. A starter policy is written by: sallyport init --config " + c.source.file
}

// Own are the gateway's own files, for a box that stands beside it: secrets, which nobody else may
// read, and what decides what is allowed or run, which nobody else may change. Paths are absolute.
func (c *Config) Own() (secret, deciding []string) {
	secret = []string{c.State, c.TLS.Key, c.Guards.CanaryFile}
	deciding = []string{c.source.file, c.PolicyPlace(), c.PolicyKey, c.PolicyCA, c.Shadow, c.TLS.Cert, c.TLS.ClientCA}
	for _, f := range c.Identity.Federation {
		deciding = append(deciding, f.JWKSFile, f.CA)
	}
	for _, s := range c.Servers {
		secret = append(secret, s.TLS.Key)
		deciding = append(deciding, s.TLS.CA, s.TLS.Cert, s.implied.program)
		deciding = append(deciding, s.implied.arguments...)
		for _, cred := range append([]*Credential{&s.Credential}, slices.Collect(maps.Values(s.EnvFrom))...) {
			secret = append(secret, cred.Path, cred.Key, cred.ClientSecret.Path)
			deciding = append(deciding, cred.CA)
		}
	}
	return absolute(secret), absolute(deciding)
}

// absolute leaves out what is not there to be named.
func absolute(paths []string) []string {
	var out []string
	for _, path := range paths {
		if path != "" {
			out = append(out, below(".", path))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// guarded are the files that decide what is allowed, with what they are. Whoever writes them is the
// operator: they are followed while the gateway runs.
func (c *Config) guarded() map[string]string {
	out := map[string]string{resolve(c.State): "the state", resolve(c.PolicyPlace()): "the policies"}
	for _, f := range c.Identity.Federation {
		for _, path := range []string{f.JWKSFile, f.CA} {
			if path != "" {
				out[resolve(path)] = "the keys of outside identities"
			}
		}
	}
	for path, what := range map[string]string{c.source.file: "the configuration", c.PolicyKey: "the key of the policies", c.PolicyCA: "the certificates of their server", c.TLS.Cert: "the certificate", c.TLS.Key: "its key",
		c.Guards.CanaryFile: "the canaries", c.TLS.ClientCA: "the certificates of clients"} {
		if path != "" {
			out[resolve(path)] = what
		}
	}
	for name, s := range c.Servers {
		for _, path := range []string{s.TLS.CA, s.TLS.Cert, s.TLS.Key, s.Credential.Path} {
			if path != "" {
				out[resolve(path)] = "a certificate, key or credential of " + name
			}
		}
		for _, from := range s.EnvFrom {
			if from.Path != "" {
				out[resolve(from.Path)] = "a credential of " + name
			}
		}
	}
	return out
}

// checkFiles looks for the program, its credentials, and what it may read and write; what is in
// the state directory, but for caches of packages, none may.
func (s *Server) checkFiles(at, state string, guarded map[string]string, o origin, p *problems) {
	state = resolve(state)
	for _, name := range slices.Sorted(maps.Keys(s.EnvFrom)) {
		if err := s.EnvFrom[name].try(o); err != nil {
			p.key(at+".envFrom."+name, "%s", err)
		}
	}
	if s.implied.missing != nil {
		p.key(at+".command", "%s", s.implied.missing)
	}
	if s.Cwd != "" {
		if info, err := os.Stat(s.Cwd); err != nil {
			p.key(at+".cwd", "%s: %s", s.Cwd, unwrapPath(err))
		} else if !info.IsDir() {
			p.key(at+".cwd", "%s is not a directory", s.Cwd)
		}
	}
	for key, paths := range map[string][]string{"read": s.Sandbox.Read, "write": s.Sandbox.Write} {
		for i, path := range paths {
			if _, err := os.Stat(path); err != nil {
				p.key(fmt.Sprintf("%s.sandbox.%s.%d", at, key, i), "%s: %s; make it, or take it out", path, unwrapPath(err))
			}
			if real := resolve(path); holds(state, real) && filepath.Dir(real) != filepath.Join(state, cacheDir) {
				p.key(fmt.Sprintf("%s.sandbox.%s.%d", at, key, i), "%s is the gateway's own (keys, secrets, its record) and stays out of every sandbox", path)
			}
		}
	}
	for i, path := range s.Sandbox.Write {
		real := resolve(path)
		for _, file := range slices.Sorted(maps.Keys(guarded)) {
			if holds(real, file) || holds(file, real) && file != state {
				p.key(fmt.Sprintf("%s.sandbox.write.%d", at, i), "%s holds %s (%s): a server that can change that decides what it may do; name a directory beside it", path, guarded[file], file)
				break
			}
		}
	}
}

// certificate returns the gateway's own, or nil where there is none.
func (c *Config) certificate() (*tls.Certificate, error) {
	if c.TLS.Cert == "" {
		return nil, nil // no certificate is configured, which is no error
	}
	pair, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s: %w", c.TLS.Cert, err)
	}
	return &pair, nil
}

// config returns what keys and certificates make, or nil for the defaults.
func (t ServerTLS) config() (*tls.Config, error) {
	if t == (ServerTLS{}) {
		return nil, nil // the defaults are no error
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("read ca %s: %w", t.CA, unwrapPath(err))
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca %s: %w", t.CA, errors.New("no certificate in it"))
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("read certificate %s: %w", t.Cert, err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}
