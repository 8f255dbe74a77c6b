package config

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"

	"sallyport/gateway"
	"sallyport/gateway/upstream"
	"sallyport/policy"
)

// generation is what one reading of the inputs has made.
type generation struct {
	cfg     *Config
	policy  *policy.Generation
	servers map[string]*behind
}

// behind is a server with what keeps its catalogue fresh.
type behind struct {
	server      *gateway.Server
	upstream    *upstream.HTTP
	fingerprint string // of everything it was made from
	started     bool
	stop        context.CancelFunc
}

// build makes the next generation beside the current one. It changes nothing that serves.
func (s *Service) build(ctx context.Context, cfg *Config) (*generation, error) {
	next := &generation{cfg: cfg, servers: map[string]*behind{}}
	var err error
	if next.policy, err = policy.Load(ctx, cfg.Policies, policy.Options{}); err != nil {
		return nil, fmt.Errorf("policies in %s: %w", cfg.Policies, err)
	}
	for name, c := range cfg.Servers {
		print, err := c.fingerprint(cfg.Limits.CallTimeout)
		if err != nil {
			return nil, fmt.Errorf("server %s: %w", name, err)
		}
		if s.current != nil && s.current.servers[name] != nil && s.current.servers[name].fingerprint == print {
			next.servers[name] = s.current.servers[name]
			continue
		}
		up, err := c.upstream(cfg.Limits.CallTimeout.Std())
		if err != nil {
			return nil, fmt.Errorf("server %s: %w", name, err)
		}
		next.servers[name] = &behind{server: gateway.NewServer(name, up, s.log), upstream: up, fingerprint: print}
	}
	return next, nil
}

// install makes a generation the one that serves.
func (s *Service) install(ctx context.Context, next *generation) error {
	pair, err := next.cfg.certificate()
	if err != nil {
		return err
	}
	if err := s.gateway.Swap(ctx, s.snapshot(next)); err != nil {
		return fmt.Errorf("install configuration: %w", err)
	}
	s.certificate.Store(pair)
	old := s.current
	s.current = next
	if old != nil {
		for name, b := range old.servers {
			if next.servers[name] != b {
				b.close()
			}
		}
	}
	if old == nil || old.policy.Revision() != next.policy.Revision() {
		s.log.Info("policies installed", slog.String("revision", next.policy.Revision()), slog.String("directory", next.cfg.Policies))
		for _, note := range next.policy.Notes() {
			s.log.Info("about the policies", slog.String("note", note))
		}
	}
	for _, note := range next.cfg.Notes() {
		s.log.Warn("about the configuration", slog.String("note", note))
	}
	return nil
}

func (b *behind) close() {
	if b.stop != nil {
		b.stop()
	}
	b.upstream.Close()
}

func (s *Service) snapshot(g *generation) *gateway.Snapshot {
	cfg := g.cfg
	snap := &gateway.Snapshot{Verifier: s.verifier, Policy: g.policy, Servers: map[string]*gateway.Server{}, PublicURL: cfg.PublicURL,
		Limits: gateway.Limits{RequestBytes: int64(cfg.Limits.RequestBytes), ResultBytes: int64(cfg.Limits.ResultBytes),
			Depth: cfg.Limits.Depth, BodyTimeout: cfg.Limits.BodyTimeout.Std()},
		RecordOnly: !cfg.Enforce}
	for name, b := range g.servers {
		snap.Servers[name] = b.server
		if cfg.Upstream != "" { // the sidecar form: one server, names unchanged
			snap.Sole = name
		}
	}
	urls := []string{cfg.PublicURL}
	if host, port, err := splitAddress(cfg.Listen); err == nil && !isEverywhere(host) && port != "0" {
		urls = append(urls, cfg.scheme()+"://"+cfg.Listen)
	}
	snap.Hosts, snap.Origins = gateway.Authorities(urls...)
	return snap
}

// fingerprint is another one whenever a server would be spoken to differently.
func (s *Server) fingerprint(callTimeout Duration) (string, error) {
	headers, err := s.headers()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q %d\n", s.URL, callTimeout)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		fmt.Fprintf(h, "%q %q\n", name, headers[name])
	}
	for _, file := range []string{s.TLS.CA, s.TLS.Cert, s.TLS.Key} {
		if file == "" {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read %s: %w", file, unwrapPath(err))
		}
		fmt.Fprintf(h, "%q %x\n", file, sha256.Sum256(data))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
