package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/bridge"
	"sallyport/gateway/credential"
	"sallyport/gateway/sandbox"
	"sallyport/gateway/upstream"
	"sallyport/gateway/wire"
)

// shared is what the ways to all servers have in common.
type shared struct {
	sandboxes *sandbox.Launcher
	assert    credential.Assert
	log       *slog.Logger
}

// behind makes a server and the way to it. Nothing is connected or started yet.
func (c *Config) behind(name string, with shared) (*behind, error) {
	s, log, o := c.Servers[name], with.log, c.origin(with.assert, with.log)
	if s.Type != typeStdio {
		up, err := s.http(o, c.Limits)
		if err != nil {
			return nil, err
		}
		return c.linked(&behind{server: gateway.NewServer(name, up, log), upstream: up}, log), nil
	}
	env, forget, err := s.variables(o)
	if err != nil {
		return nil, err
	}
	secrets := new(credential.Scrubber)
	for name, value := range s.Env {
		if credential.Sensitive(name) {
			secrets.Learn(value)
		}
	}
	b := &behind{}
	l := &launcher{name: name, server: s, environ: c.source.env, state: c.State, sandboxes: with.sandboxes, log: log}
	up, err := upstream.NewStdio(upstream.StdioConfig{Name: name, Start: l.start, Instance: instances[s.Instance],
		Env: env, Forget: forget, Secrets: secrets,
		Changed:     func() { b.server.RefreshSoon() },
		CallTimeout: s.callTimeout(c.Limits), StartTimeout: s.StartTimeout.Std(), Idle: s.Idle.Std(),
		MaxMessage: int64(c.Limits.ResultBytes), MaxProcesses: s.MaxProcesses, Log: log})
	if err != nil {
		return nil, err
	}
	b.server, b.upstream = gateway.NewServer(name, up, log), up
	return c.linked(b, log), nil
}

// linked adds the way by which the federated endpoint reaches the server.
func (c *Config) linked(b *behind, log *slog.Logger) *behind {
	b.link = bridge.New(b.server.Upstream, bridge.Options{Name: b.server.Name, Speaks: b.server.Speaks, Bindings: b.server.Bindings,
		Changed: b.server.RefreshSoon, Limits: wire.Limits{Bytes: int64(c.Limits.ResultBytes), Depth: c.Limits.Depth}, Log: log})
	b.server.Link = b.link
	return b
}

var instances = map[string]upstream.Instance{"grant": upstream.PerGrant, "principal": upstream.PerPrincipal, "shared": upstream.Shared}

func (s *Server) http(o origin, limits Limits) (*upstream.HTTP, error) {
	cfg := upstream.HTTPConfig{URL: s.URL, Headers: http.Header{}, IdleTimeout: s.callTimeout(limits)}
	for name, value := range s.Headers {
		cfg.Headers.Set(name, value)
	}
	var err error
	if cfg.TLS, err = s.TLS.config(); err != nil {
		return nil, err
	}
	if s.Credential.Type != "" {
		if cfg.Credential, err = s.Credential.source(o); err != nil {
			return nil, fmt.Errorf("credential: %w", err)
		}
		cfg.CredentialHeader, cfg.CredentialPrefix = s.Credential.Header, s.Credential.Prefix
	}
	return upstream.NewHTTP(cfg)
}

// callTimeout is how long the server may be silent.
func (s *Server) callTimeout(limits Limits) time.Duration {
	if s.Timeout > 0 {
		return time.Duration(s.Timeout) * time.Millisecond
	}
	return limits.CallTimeout.Std()
}

// fingerprint is another one whenever a server would be spoken to, or started, differently. A
// credential for a URL counts by where it comes from: a new secret is picked up when it is used,
// and needs no new connections. A program gets its secrets when it starts, so for it the content
// of their files counts.
func (s *Server) fingerprint(limits Limits) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%v %d\n", s.callTimeout(limits), limits.ResultBytes)
	said, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(h, "%s\n", said)
	files := []string{s.TLS.CA, s.TLS.Cert, s.TLS.Key, s.Credential.CA}
	m := s.implied
	fmt.Fprintf(h, "%q %q %q %q %q %q %q %q\n", m.program, m.runtime, m.dir, m.read, m.write, m.egress, m.registries, m.cache)
	for _, name := range slices.Sorted(maps.Keys(m.env)) {
		fmt.Fprintf(h, "%q %q\n", name, m.env[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.EnvFrom)) {
		files = append(files, s.EnvFrom[name].Path, s.EnvFrom[name].CA)
	}
	for _, file := range files {
		if err := hashFile(h, file); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func hashFile(h hash.Hash, file string) error {
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, unwrapPath(err))
	}
	fmt.Fprintf(h, "%q %x\n", file, sha256.Sum256(data))
	return nil
}
