package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"sallyport/gateway/admin"
	"sallyport/gateway/shim"
	"sallyport/identity/grant"
	"sallyport/identity/mint"
)

// Variables with which GitHub Actions lets a job ask for tokens of its own, for any audience.
const (
	githubURL   = "ACTIONS_ID_TOKEN_REQUEST_URL"
	githubToken = "ACTIONS_ID_TOKEN_REQUEST_TOKEN" //nolint:gosec // a name, not a secret
)

// closingSource is a source that ends the grant that it has made.
type closingSource interface {
	shim.Source
	close(ctx context.Context)
}

// source makes what --from names.
func (a *app) source(f *connectFlags, conf *tls.Config, log *slog.Logger) (closingSource, error) {
	kind, rest, _ := strings.Cut(f.from, ":")
	var credential shim.Credential
	switch {
	case kind == "socket":
		return a.socketSource(f, rest, log)
	case kind == "file" && rest != "":
		credential = shim.FileCredential(rest)
	case kind == "exec" && rest != "":
		credential = shim.CommandCredential(rest)
	case kind == "key" && rest != "":
		if f.client == "" {
			return nil, errUsage{"--from key:FILE: whose key is it? Name the client (--client)"}
		}
		credential = shim.KeyCredential(rest, f.client, nil)
	case f.from == "github":
		url, token := a.env[githubURL], a.env[githubToken]
		if url == "" || token == "" {
			return nil, fmt.Errorf("--from github: %s and %s are not set; the job needs `permissions: id-token: write`, and this must run in one of its steps", githubURL, githubToken)
		}
		for _, name := range []string{githubURL, githubToken} {
			delete(a.env, name)
			if err := os.Unsetenv(name); err != nil {
				return nil, err
			}
		}
		credential = shim.GitHubCredential(url, token)
	default:
		return nil, errUsage{fmt.Sprintf("--from %s: want socket, socket:PATH, file:PATH, github, exec:COMMAND or key:FILE", f.from)}
	}
	x, err := shim.NewExchange(shim.ExchangeConfig{URL: f.url, Credential: credential, TLS: conf, PlainHTTP: f.plainHTTP,
		Grant: f.grant, Roles: f.roles, Tools: f.tools, Task: f.task, MaxCalls: f.maxCalls, TTL: f.ttl})
	if err != nil {
		return nil, errUsage{err.Error()}
	}
	return exchangeSource{x, log}, nil
}

// exchangeSource is an outside identity's.
type exchangeSource struct {
	*shim.Exchange
	log *slog.Logger
}

func (x exchangeSource) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), partingTime)
	defer cancel()
	if err := x.Close(ctx); err != nil {
		x.log.Warn("the grant lasts until it expires", slog.Any("error", err))
	}
}

// socketSource asks the gateway on this machine.
type socketSource struct {
	client *admin.Client
	ask    mint.Ask
	log    *slog.Logger

	mu    sync.Mutex  // held while a token is fetched; guards what follows
	grant string      // "" before there is one
	made  bool        // by us, and so to be ended by us
	held  *admin.Held // the gateway ends the grant when this process ends; nil while nobody watches
}

func (a *app) socketSource(f *connectFlags, path string, log *slog.Logger) (closingSource, error) {
	if path == "" {
		var err error
		if path, err = a.socketPath("socket"); err != nil {
			return nil, err
		}
	}
	return &socketSource{client: admin.Dial(path), log: log, grant: f.grant,
		ask: mint.Ask{Roles: f.roles, Tools: f.tools, Task: f.task, MaxCalls: f.maxCalls, TTL: f.ttl, ClientID: f.as}}, nil
}

// Token makes the grant the first time, unless one was given, and never again.
func (s *socketSource) Token(ctx context.Context, ask shim.SourceAsk) (shim.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.grant == "" {
		want := s.ask
		want.JKT, want.Measured = ask.JKT, ask.Measured
		g, err := s.client.Grant(ctx, want)
		if err != nil {
			return shim.Token{}, s.advice(err)
		}
		s.grant, s.made = g.ID, true
		s.log.Info("granted", slog.String("grant", g.ID), slog.Any("roles", g.Roles), slog.String("until", g.Expires.Local().Format(time.DateTime)))
	}
	answer, err := s.client.Token(ctx, mint.TokenAsk{Grant: s.grant, JKT: ask.JKT, Measured: ask.Measured})
	if err != nil {
		return shim.Token{}, s.whyNone(ctx, err)
	}
	s.hold(ctx)
	return shim.Token{Value: answer.Token, Expires: answer.Expires, Grant: s.grant}, nil
}

// hold has the gateway end the grant when this process ends, however it ends. A gateway that has
// restarted must be asked again; the next renewal does.
func (s *socketSource) hold(ctx context.Context) {
	if !s.made || s.held != nil {
		return
	}
	held, err := s.client.Hold(context.WithoutCancel(ctx), s.grant)
	if err != nil {
		s.log.Warn("the grant will last until it expires, should this program be killed", slog.Any("error", err))
		return
	}
	s.held = held
	go func() {
		_, _ = held.Wait() // that it has ended is seen at the next renewal
		s.mu.Lock()
		defer s.mu.Unlock()
		s.held = nil
	}()
}

// whyNone tells a grant that has ended from a refusal of another kind.
func (s *socketSource) whyNone(ctx context.Context, err error) error {
	if refusal, ok := errors.AsType[*mint.Refusal](err); !ok || refusal.Code != "invalid_grant" {
		return s.advice(err)
	}
	found, listErr := s.client.List(ctx, grant.Filter{ID: s.grant})
	if listErr != nil || len(found) != 1 {
		return err
	}
	g := found[0]
	if g.State != grant.Revoked && g.State != grant.Expired && g.State != grant.Completed {
		return err
	}
	why := string(g.State)
	if g.EndedBy != "" {
		why += " by " + g.EndedBy
	}
	if g.EndedWhy != "" {
		why += " (" + g.EndedWhy + ")"
	}
	return &shim.EndedError{Grant: g.ID, Why: why}
}

// advice says what to do where nobody listens.
func (s *socketSource) advice(err error) error {
	if errors.Is(err, admin.ErrNoServer) {
		return fmt.Errorf("%w: is `sallyport serve` running, with the state that --config names? For a gateway on another machine say where its tokens come from (--from)", err)
	}
	return err
}

// close ends the grant that was made for this process.
func (s *socketSource) close(ctx context.Context) {
	s.mu.Lock()
	id, made := s.grant, s.made
	s.mu.Unlock()
	if made {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), partingTime)
		defer cancel()
		_, err := s.client.Revoke(ctx, grant.Filter{ID: id}, grant.Completed, s.ask.ClientID+" ended")
		if _, refused := errors.AsType[*mint.Refusal](err); err != nil && !refused { // what is refused has ended already
			s.log.Warn("the grant could not be ended and lasts until it expires; end it with `sallyport grant revoke "+id+"`", slog.Any("error", err))
		}
	}
	_ = s.client.Close() // nothing is left to be said
}

// partingTime is how long the end of a grant may take.
const partingTime = 2 * time.Second
