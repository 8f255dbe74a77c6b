package config

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/bridge"
	"sallyport/gateway/sandbox"
	"sallyport/gateway/upstream"
	"sallyport/gateway/wire"
)

// behind makes a server and the way to it. Nothing is connected or started yet.
func (c *Config) behind(name string, sandboxes *sandbox.Launcher, log *slog.Logger) (*behind, error) {
	s := c.Servers[name]
	if s.Type != typeStdio {
		up, err := s.http(c.source.env, c.Limits)
		if err != nil {
			return nil, err
		}
		return c.linked(&behind{server: gateway.NewServer(name, up, log), upstream: up}, log), nil
	}
	b := &behind{}
	l := &launcher{name: name, server: s, environ: c.source.env, state: c.State, sandboxes: sandboxes, log: log}
	up, err := upstream.NewStdio(upstream.StdioConfig{Name: name, Start: l.start, Instance: instances[s.Instance],
		Env:         func(context.Context, gateway.Party) (map[string]string, error) { return s.credentials(c.source.env) },
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

func (s *Server) http(environ map[string]string, limits Limits) (*upstream.HTTP, error) {
	headers, err := s.headers(environ)
	if err != nil {
		return nil, err
	}
	secure, err := s.tls()
	if err != nil {
		return nil, err
	}
	return upstream.NewHTTP(upstream.HTTPConfig{URL: s.URL, Headers: headers, TLS: secure, IdleTimeout: s.callTimeout(limits)})
}

// callTimeout is how long the server may be silent.
func (s *Server) callTimeout(limits Limits) time.Duration {
	if s.Timeout > 0 {
		return time.Duration(s.Timeout) * time.Millisecond
	}
	return limits.CallTimeout.Std()
}

// fingerprint is another one whenever a server would be spoken to, or started, differently.
func (s *Server) fingerprint(environ map[string]string, limits Limits) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%v %d\n", s.callTimeout(limits), limits.ResultBytes)
	said, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(h, "%s\n", said)
	if s.Type == typeStdio {
		m := s.implied
		fmt.Fprintf(h, "%q %q %q %q %q %q %q\n", m.program, m.dir, m.read, m.write, m.egress, m.registries, m.cache)
		for _, name := range slices.Sorted(maps.Keys(m.env)) {
			fmt.Fprintf(h, "%q %q\n", name, m.env[name])
		}
		secrets, err := s.credentials(environ)
		if err != nil {
			return "", err
		}
		for _, name := range slices.Sorted(maps.Keys(secrets)) {
			fmt.Fprintf(h, "%q %q\n", name, secrets[name])
		}
		return hex.EncodeToString(h.Sum(nil)), nil
	}
	headers, err := s.headers(environ)
	if err != nil {
		return "", err
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		fmt.Fprintf(h, "%q %q\n", name, headers[name])
	}
	for _, file := range []string{s.TLS.CA, s.TLS.Cert, s.TLS.Key} {
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
