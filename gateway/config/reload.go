package config

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"
)

// newServerWait is how long a reload waits for the catalogue of a server that is new.
const newServerWait = 5 * time.Second

// Reload reads the inputs again and installs what they say. On an error the generation before
// serves on.
func (s *Service) Reload(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trying(s.watched)
	cfg, err := s.current.cfg.Reload()
	if err != nil {
		return err
	}
	if cfg.PublicURL == "" { // it was made from the port that listen took
		cfg.PublicURL = s.current.cfg.PublicURL
	}
	if inputs := cfg.inputs(); !slices.Equal(inputs, s.watched) {
		s.trying(inputs)
	}
	if err := cfg.CheckFiles(); err != nil {
		return err
	}
	fixed := fixedChanges(s.current.cfg, cfg)
	s.health.setRestart(fixed)
	if len(fixed) > 0 {
		s.log.Warn("changes that need a restart are not taken", slog.Any("keys", fixed))
		keepFixed(s.current.cfg, cfg)
	}
	next, err := s.build(ctx, cfg)
	if err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, newServerWait)
	defer cancel()
	s.first(wait, next.servers)
	old := s.current
	if err := s.install(ctx, next); err != nil {
		next.outside.Close()
		for name, b := range next.servers {
			if old.servers[name] != b {
				b.close()
			}
		}
		return err
	}
	s.warm(next)
	return nil
}

// reloadLogged is Reload for the watcher, which has nobody to answer to.
func (s *Service) reloadLogged(ctx context.Context) {
	err := s.Reload(ctx)
	s.health.setStale(err)
	s.reloads.Add(1)
	if err != nil {
		s.reloadsFailed.Add(1)
	}
	if err == nil {
		s.log.Info("configuration installed", slog.String("revision", s.revision()))
		return
	}
	if problems, ok := errors.AsType[Problems](err); ok {
		for _, p := range problems {
			s.log.Error("not installed, the configuration before serves on", slog.String("problem", p.String()))
		}
		return
	}
	s.log.Error("not installed, the configuration before serves on", slog.String("problem", err.Error()))
}

// revision names the policy that serves.
func (s *Service) revision() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current.policy.Revision()
}

// fixedChanges names what cannot change in a process that runs: addresses that are taken and
// directories that are held.
func fixedChanges(old, now *Config) []string {
	var out []string
	for _, f := range []struct{ key, old, now string }{
		{"listen", old.Listen, now.Listen}, {"publicURL", old.PublicURL, now.PublicURL}, {"state", old.State, now.State},
		{"admin.listen", old.Admin.Listen, now.Admin.Listen}, {"admin.socket", old.Admin.Socket, now.Admin.Socket},
		{"policyKey", old.PolicyKey, now.PolicyKey},
		{"tls", old.scheme(), now.scheme()}, {"tls.clientCA", old.TLS.ClientCA, now.TLS.ClientCA},
		{"audit", old.Audit.text(), now.Audit.text()},
	} {
		if f.old != f.now {
			out = append(out, f.key)
		}
	}
	return out
}

func keepFixed(old, now *Config) {
	now.Listen, now.PublicURL, now.State, now.Admin, now.TLS.ClientCA, now.PolicyKey = old.Listen, old.PublicURL, old.State, old.Admin, old.TLS.ClientCA, old.PolicyKey
	now.Audit = old.Audit
	if old.scheme() != now.scheme() {
		now.TLS = old.TLS
	}
}
