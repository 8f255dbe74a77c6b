package config

import (
	"context"
	"fmt"
	"log/slog"

	"sallyport/policy"
)

// loadShadow loads the policy that decides beside the first. One that does not load stops nothing:
// the one before it, if it was of the same directory, is asked on, and the operator is told.
func (s *Service) loadShadow(ctx context.Context, cfg *Config) *policy.Generation {
	g, err := cfg.LoadShadow(ctx)
	s.health.setShadow(err)
	if err == nil {
		if g != nil && (s.current == nil || s.current.shadow == nil || s.current.shadow.Revision() != g.Revision()) {
			s.log.Info("shadow policies are asked beside the policies and change nothing", slog.String("revision", g.Revision()), slog.String("directory", cfg.Shadow))
		}
		return g
	}
	s.log.Error("shadow policies not installed", slog.String("problem", err.Error()))
	if s.current != nil && s.current.cfg.Shadow == cfg.Shadow {
		return s.current.shadow
	}
	return nil
}

// LoadShadow loads the policy that decides beside the first, or returns nil where there is none.
func (c *Config) LoadShadow(ctx context.Context) (*policy.Generation, error) {
	if c.Shadow == "" {
		return nil, nil // none is no error
	}
	g, err := policy.Load(ctx, c.Shadow, policy.Options{})
	if err != nil {
		return nil, fmt.Errorf("shadow policies in %s: %w", c.Shadow, err)
	}
	return g, nil
}

func (c *Config) checkShadow(p *problems) {
	if c.Shadow != "" && c.Shadow == c.Policies {
		p.key("shadow", "is the directory of policies; copy it, and change the copy")
	}
}
