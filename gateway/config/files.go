package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"slices"
)

// CheckFiles opens what the configuration names: certificates, credentials and the policy
// directory, which it does not compile. The error is a Problems.
func (c *Config) CheckFiles() error {
	p := newProblems(c.source.file)
	p.at = maps.Clone(c.source.at)
	if _, err := c.certificate(); err != nil {
		p.key("tls", "%s", err)
	}
	if info, err := os.Stat(c.Policies); err != nil {
		p.key("policies", "%s: %s%s", c.Policies, unwrapPath(err), c.starter(err))
	} else if !info.IsDir() {
		p.key("policies", "%s is not a directory", c.Policies)
	}
	own := hidden(c.State)
	for _, name := range slices.Sorted(maps.Keys(c.Servers)) {
		if c.Servers[name].Type == typeStdio {
			c.Servers[name].checkFiles("mcpServers."+name, c.source.env, own, p)
			continue
		}
		if _, err := c.Servers[name].headers(c.source.env); err != nil {
			p.key("mcpServers."+name+".credential.path", "%s", err)
		}
		if _, err := c.Servers[name].tls(); err != nil {
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

// checkFiles looks for the program and for what it may read and write; own is what none may.
func (s *Server) checkFiles(at string, environ map[string]string, own []string, p *problems) {
	for _, name := range slices.Sorted(maps.Keys(s.EnvFrom)) {
		if _, err := s.EnvFrom[name].secret(environ); err != nil {
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
			if slices.ContainsFunc(own, func(dir string) bool { return holds(resolve(dir), resolve(path)) }) {
				p.key(fmt.Sprintf("%s.sandbox.%s.%d", at, key, i), "%s is the gateway's own (keys, secrets, its record) and stays out of every sandbox", path)
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

// maxCredential bounds a credential's file, in bytes.
const maxCredential = 16 << 10

// headers are what every request to the server carries, credential included.
func (s *Server) headers(environ map[string]string) (http.Header, error) {
	h := http.Header{}
	for name, value := range s.Headers {
		h.Set(name, value)
	}
	if s.Credential.Type == "" {
		return h, nil
	}
	secret, err := s.Credential.secret(environ)
	if err != nil {
		return nil, err
	}
	value := s.Credential.Prefix + secret
	if usable(s.Credential.Header, value) != nil {
		return nil, fmt.Errorf("the credential for %s holds a control character", s.Credential.Header)
	}
	h.Set(s.Credential.Header, value)
	return h, nil
}

// secret reads a credential.
func (c *Credential) secret(environ map[string]string) (string, error) {
	if c.Type == fromEnv {
		if environ[c.Name] == "" {
			return "", fmt.Errorf("the environment has no %s, which is a credential", c.Name)
		}
		return environ[c.Name], nil
	}
	if c.Type != fromFile {
		return "", fmt.Errorf("credentials of type %s are not in this version", c.Type)
	}
	secret, err := os.ReadFile(c.Path)
	if err != nil {
		return "", fmt.Errorf("read credential %s: %w", c.Path, unwrapPath(err))
	}
	secret = bytes.TrimSpace(secret)
	if len(secret) == 0 {
		return "", fmt.Errorf("credential %s is empty", c.Path)
	}
	if len(secret) > maxCredential {
		return "", fmt.Errorf("credential %s has over %d bytes; that is no credential", c.Path, maxCredential)
	}
	return string(secret), nil
}

// credentials are the variables of a command that are secrets.
func (s *Server) credentials(environ map[string]string) (map[string]string, error) {
	out := make(map[string]string, len(s.EnvFrom))
	for _, name := range slices.Sorted(maps.Keys(s.EnvFrom)) {
		secret, err := s.EnvFrom[name].secret(environ)
		if err != nil {
			return nil, err
		}
		out[name] = secret
	}
	return out, nil
}

// tls returns what the server's keys and certificates make, or nil for the defaults.
func (s *Server) tls() (*tls.Config, error) {
	if s.TLS == (ServerTLS{}) {
		return nil, nil // the defaults are no error
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.TLS.CA != "" {
		pem, err := os.ReadFile(s.TLS.CA)
		if err != nil {
			return nil, fmt.Errorf("read ca %s: %w", s.TLS.CA, unwrapPath(err))
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca %s: %w", s.TLS.CA, errors.New("no certificate in it"))
		}
	}
	if s.TLS.Cert != "" {
		pair, err := tls.LoadX509KeyPair(s.TLS.Cert, s.TLS.Key)
		if err != nil {
			return nil, fmt.Errorf("read certificate %s: %w", s.TLS.Cert, err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}
