package config

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/admin"
	"sallyport/gateway/agent"
	"sallyport/gateway/audit"
	"sallyport/identity/federate"
	"sallyport/identity/grant"
	"sallyport/identity/mint"
	"sallyport/policy"
)

// openRecord opens the grants and the record, which is the grants' journal.
func (s *Service) openRecord(ctx context.Context, cfg *Config) error {
	g, err := cfg.openGrants(ctx, s.log)
	if err != nil {
		return err
	}
	keep, preamble, err := cfg.keeper()
	if err != nil {
		return errors.Join(err, g.close())
	}
	s.inputs = keep
	log, err := audit.Open(filepath.Join(cfg.State, logDir), audit.Options{Logger: s.log, Journal: g.journal, Preamble: preamble})
	if err != nil {
		return errors.Join(fmt.Errorf("open audit log: %w", err), g.close())
	}
	// What was counted again is on disk now that the record is open. Without this a gateway that is
	// killed soon after each start would count more at each, and start ever later.
	if err := g.Checkpoint(ctx); err != nil {
		s.log.Warn("counters of grants not written; they are in the record", slog.Any("error", err))
	}
	s.grants, s.recorder = g, log
	return nil
}

// openAuthority makes what gives out grants and tokens. Its acts are in the record like any
// decision: on disk before they count.
func (s *Service) openAuthority(cfg *Config, issuer *mint.Issuer) error {
	key, err := agent.OpenKey(filepath.Join(cfg.State, keysDir, "measured.key"))
	if err != nil {
		return err
	}
	s.measures, err = agent.OpenManifests(agent.ManifestsConfig{Dir: filepath.Join(cfg.State, measuredDir), Key: key,
		Record: func(ctx context.Context, by string, m *agent.Manifest) error {
			return s.act(ctx, mint.Act{Method: "measure/approve", Source: by, Detail: m.Digest})
		}})
	if err != nil {
		return err
	}
	parts := mint.AuthorityConfig{Issuer: issuer, Grants: s.grants.Registry, Record: s.act,
		Role: func(role string) error { return s.policies().Role(role) },
		Constraint: func(c grant.Constraint) error {
			if c.Rego != "" {
				return s.policies().HasRule(c.Rego)
			}
			return gateway.CheckConstraint(c)
		},
		RequireProof: func(roles []string) bool { return s.config().requireProof(roles) }}
	if s.authority, err = mint.NewAuthority(parts); err != nil {
		return err
	}
	parts.Role = nil
	s.own, err = mint.NewAuthority(parts)
	return err
}

// Token makes a grant that ends with the token, for roles that the policies need not know, and
// returns the token. It is for a program that holds the service itself.
func (s *Service) Token(ctx context.Context, subject, client string, roles ...string) (string, error) {
	by := mint.Asker{Name: "this process", Subject: subject, ClientID: client, Roles: roles, Operator: true, Via: "operator"}
	g, err := s.own.Grant(ctx, by, mint.Ask{TTL: s.config().Identity.TokenTTL.Std(), Implicit: true})
	if err != nil {
		return "", err
	}
	token, _, err := s.own.Token(ctx, by, mint.TokenAsk{Grant: g.ID})
	return token, err
}

// policies and config are those that serve now; a reload under way does not keep anybody waiting.
func (s *Service) policies() *policy.Generation { return s.serving.Load().policy }
func (s *Service) config() *Config              { return s.serving.Load().cfg }

func (s *Service) act(ctx context.Context, a mint.Act) error {
	return s.write(ctx, record(a))
}

// ended ends what the gateway keeps for grants that are over. Whoever revokes does not wait for it:
// their contexts have ended, and processes may take a moment.
func (s *Service) ended(ids []string) {
	parties := make([]gateway.Party, 0, len(ids))
	for _, id := range ids {
		known, _ := s.grants.Get(id) // what is not known any more has nobody's credentials
		parties = append(parties, gateway.Party{Grant: id, Subject: known.Subject, Issuer: cmp.Or(known.Issuer, s.verifier.Issuer())})
	}
	s.approvals.EndGrants(ids)
	began := time.Now()
	go func() {
		s.gateway.EndGrants(parties)
		s.revocationTime.Add(int64(time.Since(began)) * int64(len(parties)))
		s.revocations.Add(int64(len(parties)))
	}()
}

// outside is the federation that serves now.
type outside struct {
	current atomic.Pointer[federate.Federation]
}

func (o *outside) now() *federate.Federation { return o.current.Load() }

// Verify is that of the federation that serves now.
func (o *outside) Verify(ctx context.Context, token string, use federate.Use) (*federate.Identity, error) {
	return o.now().Verify(ctx, token, use)
}

func (o *outside) swap(next *federate.Federation) {
	if old := o.current.Swap(next); old != nil {
		old.Close()
	}
}

func (o *outside) close() { o.swap(nil) }

// rules are the configuration's as the federation has them.
func (c *Config) rules() []federate.Rule {
	rules := make([]federate.Rule, 0, len(c.Identity.Federation))
	for _, f := range c.Identity.Federation {
		rules = append(rules, federate.Rule{Name: f.Name, Kind: f.Kind, Issuer: f.Issuer, Audience: f.Audience, JWKSURL: f.JWKSURL, JWKSFile: f.JWKSFile,
			CA: f.CA, TrustDomain: f.TrustDomain, ClientID: f.ClientID, MaxLifetime: f.MaxLifetime.Std(), Require: f.Require,
			RequireClaim: f.RequireClaim, Subject: f.Subject, Client: f.Client, Roles: f.Roles, BearerAllowed: f.BearerAllowed})
	}
	return rules
}

// checkFederation has the federation look at its rules and the files that they name.
func (c *Config) checkFederation(p *problems) {
	f, err := federate.New(c.rules(), federate.Options{})
	f.Close()
	var all interface{ Unwrap() []error }
	list := []error{err}
	if errors.As(err, &all) {
		list = all.Unwrap()
	}
	for _, one := range list {
		if rule, ok := errors.AsType[*federate.RuleError](one); ok {
			p.key(strings.TrimSuffix(fmt.Sprintf("identity.federation.%d.%s", rule.Index, rule.Key), "."), "%s", rule.What)
		} else if one != nil {
			p.key("identity.federation", "%s", one)
		}
	}
}

func (c *Config) localRules() []admin.LocalRule {
	var rules []admin.LocalRule
	for _, l := range c.local() {
		rules = append(rules, admin.LocalRule{UID: l.uid, User: l.User, Roles: l.Roles, Operator: l.Operator})
	}
	return rules
}

// clientCA returns the certificates that may sign those of clients, or nil where there are none.
func (c *Config) clientCA() (*x509.CertPool, error) {
	if c.TLS.ClientCA == "" {
		return nil, nil // clients show no certificates, which is no error
	}
	pem, err := os.ReadFile(c.TLS.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("read certificates of clients %s: %w", c.TLS.ClientCA, unwrapPath(err))
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("certificates of clients %s: there is none in it", c.TLS.ClientCA)
	}
	return pool, nil
}

// Sockets opens the places where commands reach the gateway: in the state directory for its own
// user, and where the configuration says for the others of this machine. They are closed by Close.
func (s *Service) Sockets() error {
	cfg := s.config()
	places := map[string]os.FileMode{cfg.Socket(): 0o600}
	if cfg.Admin.Socket != "" {
		places[cfg.Admin.Socket] = 0o666
	}
	var open []*net.UnixListener
	for path, mode := range places {
		ln, err := admin.Listen(path, mode)
		if err != nil {
			for _, ln := range open {
				_ = ln.Close() // nobody was served
			}
			return err
		}
		open = append(open, ln)
	}
	o := admin.Options{Authority: s.authority, Approvals: s.approvalActs(), Local: func() []admin.LocalRule { return *s.local.Load() },
		PublicURL: cfg.PublicURL, Measures: s.measures, Pins: s.pins, Log: s.log}
	for _, ln := range open {
		s.running.Go(func() {
			if err := admin.Serve(s.lifetime, ln, o); err != nil {
				s.log.Error("commands cannot reach the gateway any more", "error", err)
			}
		})
	}
	return nil
}
