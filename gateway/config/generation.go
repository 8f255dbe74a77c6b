package config

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"

	"sallyport/gateway"
	"sallyport/gateway/bridge"
	"sallyport/gateway/guard"
	"sallyport/gateway/guard/secrets"
	"sallyport/gateway/pin"
	"sallyport/gateway/rules"
	"sallyport/identity/federate"
	"sallyport/policy"
)

// generation is what one reading of the inputs has made.
type generation struct {
	cfg     *Config
	policy  *policy.Generation
	shadow  *policy.Generation // nil: there is none, or it has never loaded
	servers map[string]*behind
	outside *federate.Federation
	clients *x509.CertPool
	rules   map[string]*rules.Set
	door    *guard.Door
	secrets *secrets.Scanner // nil: guards.secrets is off
}

// remote is a server of either kind.
type remote interface {
	gateway.Upstream
	// Close ends connections and processes; it may wait for calls under way.
	Close()
}

// behind is a server with what keeps its catalogue fresh.
type behind struct {
	server      *gateway.Server
	upstream    remote
	link        *bridge.Link
	fingerprint string // of everything it was made from
	started     bool
	stop        context.CancelFunc
}

// build makes the next generation beside the current one. It changes nothing that serves.
func (s *Service) build(ctx context.Context, cfg *Config) (*generation, error) {
	next := &generation{cfg: cfg, servers: map[string]*behind{}}
	var err error
	if err = s.firstBundle(ctx, cfg); err != nil {
		return nil, err
	}
	if next.policy, err = cfg.LoadPolicies(ctx); err != nil {
		return nil, err
	}
	next.shadow = s.loadShadow(ctx, cfg)
	if next.clients, err = cfg.clientCA(); err != nil {
		return nil, err
	}
	if next.rules, err = cfg.ruleSets(); err != nil {
		return nil, err
	}
	if next.door, next.secrets, err = cfg.guards(); err != nil {
		return nil, err
	}
	if next.outside, err = federate.New(cfg.rules(), federate.Options{Log: s.log, Previous: s.outside.now()}); err != nil {
		return nil, fmt.Errorf("identity.federation: %w", err)
	}
	for name, c := range cfg.Servers {
		print, err := c.fingerprint(cfg.Limits)
		if err != nil {
			next.outside.Close()
			return nil, fmt.Errorf("server %s: %w", name, err)
		}
		if s.current != nil && s.current.servers[name] != nil && s.current.servers[name].fingerprint == print {
			next.servers[name] = s.current.servers[name]
			continue
		}
		b, err := cfg.behind(name, shared{&s.sandboxes, s.assert, s.log})
		if err != nil {
			next.outside.Close()
			return nil, fmt.Errorf("server %s: %w", name, err)
		}
		b.fingerprint, b.server.Pins = print, s.pins.Server(name)
		next.servers[name] = b
	}
	return next, nil
}

// install makes a generation the one that serves.
func (s *Service) install(ctx context.Context, next *generation) error {
	pair, err := next.cfg.certificate()
	if err != nil {
		return err
	}
	if err := next.cfg.rememberPolicy(next.policy); err != nil {
		return err
	}
	if err := s.gateway.Swap(ctx, s.snapshot(next)); err != nil {
		return fmt.Errorf("install configuration: %w", err)
	}
	s.certificate.Store(pair)
	s.clientCA.Store(next.clients)
	s.approvals.SetTTL(next.cfg.Approvals.TTL.Std())
	s.approvals.EndPolicies(next.policy.Revision())
	s.issuer.SetTTL(next.cfg.Identity.TokenTTL.Std())
	rules := next.cfg.localRules()
	s.local.Store(&rules)
	s.outside.swap(next.outside)
	s.serving.Store(next)
	mode, _ := pin.ParseMode(next.cfg.Pins) // checked when it was read; else nothing unreviewed is served
	s.pins.SetMode(mode)
	old := s.current
	s.current = next
	if old != nil {
		for name, b := range old.servers {
			if next.servers[name] != b {
				s.running.Go(b.close) // it waits for the calls under way, and nobody waits for it
			}
		}
	}
	if old == nil || old.policy.Revision() != next.policy.Revision() {
		s.log.Info("policies installed", installed(next.cfg, next.policy)...)
		for _, note := range next.policy.Notes() {
			s.log.Info("about the policies", slog.String("note", note))
		}
	}
	for name := range next.servers {
		s.remark(next.cfg, name)
	}
	for _, note := range next.cfg.strangeRoles(next.policy.Role) {
		s.log.Warn("about the configuration", slog.String("note", note))
	}
	for _, note := range next.outside.Notes() {
		s.log.Warn("about identity.federation", slog.String("note", note))
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
	if b.link != nil {
		b.link.Close()
	}
	b.upstream.Close()
}

func (s *Service) snapshot(g *generation) *gateway.Snapshot {
	cfg := g.cfg
	snap := &gateway.Snapshot{Verifier: s.verifier, Policy: g.policy, Servers: map[string]*gateway.Server{}, PublicURL: cfg.PublicURL,
		Limits: gateway.Limits{RequestBytes: int64(cfg.Limits.RequestBytes), ResultBytes: int64(cfg.Limits.ResultBytes),
			Depth: cfg.Limits.Depth, BodyTimeout: cfg.Limits.BodyTimeout.Std(), ConcurrentPerGrant: cfg.Limits.ConcurrentPerGrant},
		RecordOnly: !cfg.Enforce, RequireProof: cfg.Identity.RequireProof, RequireProofFor: cfg.Identity.RequireProofFor,
		Approved: s.measures.Approved, Rules: g.rules, Door: g.door, Secrets: g.secrets, Canaries: !cfg.Guards.Secrets}
	if g.shadow != nil { // else a Decider that is not nil and holds nothing
		snap.Shadow = g.shadow
	}
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
