package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"sallyport/gateway"
	"sallyport/gateway/credential"
)

// origin is what credentials are made with, beside their configuration.
type origin struct {
	environ map[string]string
	base    string // where relative commands begin
	assert  credential.Assert
	log     *slog.Logger
}

func (c *Config) origin(assert credential.Assert, log *slog.Logger) origin {
	return origin{environ: c.source.env, base: c.dir(), assert: assert, log: log}
}

// source returns where the credential comes from. The error says what keeps it from being used.
func (c *Credential) source(o origin) (credential.Source, error) {
	switch c.Type {
	case fromClient, fromExchange:
		cfg, err := c.oauth(o)
		if err != nil {
			return nil, err
		}
		if c.Type == fromExchange {
			return credential.Exchange(cfg, o.assert)
		}
		return credential.ClientCredentials(cfg)
	case fromExec:
		return o.exec(c.Command, c.Env, credential.ExecConfig{Timeout: c.Timeout.Std(), MaxAge: c.MaxAge.Std(), PerPrincipal: c.PerPrincipal})
	}
	return o.plain(c.Type, c.Path, c.Name, c.AllowReadable)
}

func (o origin) plain(kind, path, name string, readable bool) (credential.Source, error) {
	if kind == fromEnv {
		return credential.Env(credential.EnvConfig{Name: name, Lookup: func(name string) string { return o.environ[name] }})
	}
	return credential.File(credential.FileConfig{Path: path, AllowReadable: readable, Log: o.log})
}

// exec completes the configuration of a credential that a command prints.
func (o origin) exec(command []string, env map[string]string, cfg credential.ExecConfig) (credential.Source, error) {
	program, err := findProgram(command[0], o.base, o.environ["PATH"])
	if err != nil {
		return nil, err
	}
	cfg.Command, cfg.Log = append([]string{program}, command[1:]...), o.log
	all := map[string]string{}
	for _, name := range []string{"PATH", "HOME", "USER", "LANG", "TMPDIR"} {
		if value, ok := o.environ[name]; ok {
			all[name] = value
		}
	}
	maps.Copy(all, env)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		cfg.Env = append(cfg.Env, name+"="+all[name])
	}
	return credential.Exec(cfg)
}

func (c *Credential) oauth(o origin) (credential.OAuthConfig, error) {
	cfg := credential.OAuthConfig{TokenURL: c.TokenURL, ClientID: c.ClientID, Scope: c.Scope, Resource: c.Resource, Audience: c.Audience, SignedFor: c.SignedFor, Log: o.log,
		Auth: map[string]credential.ClientAuth{secretBasic: credential.SecretBasic, secretPost: credential.SecretPost, privateKeyJWT: credential.PrivateKeyJWT}[c.ClientAuth]}
	secure, err := ServerTLS{CA: c.CA}.config()
	if err != nil {
		return cfg, err
	}
	cfg.TLS = secure
	if c.ClientAuth == privateKeyJWT {
		cfg.KeyFile, cfg.KeyID = c.Key, c.KeyID
		return cfg, nil
	}
	s := c.ClientSecret
	if s.Type == fromExec {
		cfg.Secret, err = o.exec(s.Command, nil, credential.ExecConfig{})
	} else {
		cfg.Secret, err = o.plain(s.Type, s.Path, s.Name, s.AllowReadable)
	}
	if err != nil {
		return cfg, fmt.Errorf("clientSecret: %w", err)
	}
	return cfg, nil
}

// variables returns what makes those variables of a command that are credentials, when a process
// starts.
func (s *Server) variables(o origin) (get func(context.Context, gateway.Party) (map[string]string, error), forget func(gateway.Party), err error) {
	sources := map[string]credential.Source{}
	for _, name := range slices.Sorted(maps.Keys(s.EnvFrom)) {
		source, err := s.EnvFrom[name].source(o)
		if err != nil {
			return nil, nil, fmt.Errorf("envFrom.%s: %w", name, err)
		}
		sources[name] = source
	}
	all := credential.EnvOf(sources)
	get = func(ctx context.Context, p gateway.Party) (map[string]string, error) {
		return all(ctx, credential.Who{Subject: p.Subject, Issuer: p.Issuer})
	}
	forget = func(p gateway.Party) {
		for _, source := range sources {
			if lease, ok := source.(credential.Leaser); ok {
				lease.Forget(credential.Who{Subject: p.Subject, Issuer: p.Issuer})
			}
		}
	}
	return get, forget, nil
}

// try says what keeps a credential from being used, or nil. Those that run a command or ask an
// endpoint are not asked: looking at a configuration must do nothing.
func (c *Credential) try(o origin) error {
	o.assert = nobody
	source, err := c.source(o)
	if err != nil {
		return err
	}
	if c.Type == fromFile || c.Type == fromEnv {
		_, err = source.Get(context.Background(), credential.Who{})
	}
	return err
}

// nobody signs where no gateway runs.
func nobody(context.Context, credential.Who, string) (string, error) {
	return "", errors.New("only a running gateway signs for principals")
}
