package config

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/audit"
	"sallyport/gateway/credential"
	"sallyport/gateway/sandbox"
	"sallyport/identity"
	"sallyport/identity/mint"
)

// keysEvery is how often the key directory is read again: well within the time that a new key
// is published before it signs.
const keysEvery = 30 * time.Second

// Service is one installation, wired. Made by [Open]; Start makes it ready, Run keeps it
// current, Close ends it.
type Service struct {
	log      *slog.Logger
	recorder *audit.Log
	keys     *mint.Keyring
	verifier *identity.Verifier
	gateway  *gateway.Gateway
	handler  http.Handler
	health   health

	sandboxes sandbox.Launcher
	patience  time.Duration     // firstPatience
	assert    credential.Assert // signs for principals at the token endpoints of others

	lifetime context.Context // of the servers' catalogues; ends at Close
	end      context.CancelFunc
	running  sync.WaitGroup

	mu      sync.Mutex // one reload at a time; guards the three below
	current *generation
	watched []string // what the newest attempt was made from
	tried   string   // digest of watched, from before it was read

	certificate atomic.Pointer[tls.Certificate]
	watch       watchOptions
}

// Open makes the parts that cfg names and installs them as a snapshot. The error says why the
// gateway could not decide; then nothing stays open.
func Open(ctx context.Context, cfg *Config, log *slog.Logger) (_ *Service, err error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := cfg.CheckFiles(); err != nil {
		return nil, err
	}
	keys, err := cfg.OpenKeys()
	if err != nil {
		return nil, err
	}
	issuer, err := cfg.Issuer(keys)
	if err != nil {
		return nil, err
	}
	s := &Service{log: log, keys: keys, watch: watchDefaults, patience: firstPatience,
		assert: func(_ context.Context, who credential.Who, audience string) (string, error) {
			return issuer.Assert(who.Subject, audience)
		}}
	s.lifetime, s.end = context.WithCancel(context.WithoutCancel(ctx))
	s.verifier, err = identity.NewVerifier(identity.VerifierConfig{Issuer: cfg.PublicURL, Audience: cfg.Audience(), Keys: keys})
	if err != nil {
		return nil, err
	}
	stateKey, err := cfg.requestStateKey()
	if err != nil {
		return nil, err
	}
	s.recorder, err = audit.Open(filepath.Join(cfg.State, logDir), audit.Options{Logger: log})
	if err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	s.gateway, err = gateway.New(gateway.Options{Recorder: s.recorder, StateKey: stateKey, Logger: log})
	if err != nil {
		return nil, err
	}
	s.handler = route(s.gateway, mint.Handler(issuer, cfg.PublicURL))
	s.trying(cfg.inputs())
	next, err := s.build(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s.health.set("waiting for the first catalogue of each server")
	return s, s.install(ctx, next)
}

// route sends MCP to the gateway and the rest to the issuer's documents. http.ServeMux would
// answer some paths with redirects of its own making.
func route(mcp, rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/mcp" || strings.HasPrefix(r.URL.Path, "/mcp/") {
			mcp.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

// Handler is what clients talk to.
func (s *Service) Handler() http.Handler { return s.handler }

// TLS returns the configuration of the clients' listener, or nil where there is no TLS.
func (s *Service) TLS() *tls.Config {
	if s.certificate.Load() == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate.Load(), nil }}
}

// Start asks each server for its catalogue and returns when each has answered, failed once, or
// taken longer than a few seconds, as a program that is still being downloaded does. From then on
// the service is ready.
func (s *Service) Start(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first(ctx, s.current.servers)
	s.health.set("")
}

// first fetches the catalogues of servers that are new, and keeps them fresh from then on.
func (s *Service) first(ctx context.Context, servers map[string]*behind) {
	var fetched sync.WaitGroup
	for name, b := range servers {
		if b.started {
			continue
		}
		b.started = true
		fetched.Add(1)
		s.running.Go(func() {
			defer fetched.Done()
			if err := b.server.Refresh(s.lifetime); err != nil {
				s.log.Warn("server unavailable", slog.String("server", name), slog.Any("error", err))
			}
		})
	}
	s.awaitFirst(ctx, &fetched)
	for _, b := range servers {
		if b.stop == nil {
			var life context.Context
			life, b.stop = context.WithCancel(s.lifetime)
			s.running.Go(func() { b.server.Run(life) })
		}
	}
}

// firstPatience is how long a start waits for catalogues. Who is slower is served when it is there,
// and delays nobody else.
const firstPatience = 5 * time.Second

func (s *Service) awaitFirst(ctx context.Context, fetched *sync.WaitGroup) {
	all := make(chan struct{})
	s.running.Go(func() {
		fetched.Wait()
		close(all)
	})
	select {
	case <-all:
	case <-ctx.Done():
	case <-time.After(s.patience):
		s.log.Info("not all servers have answered; they are served when they do")
	}
}

// Run installs what changes, until ctx ends.
func (s *Service) Run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() {
		s.keys.Watch(ctx, keysEvery, func(err error) { s.log.Error("signing keys not read", slog.Any("error", err)) })
	})
	both.Go(func() { s.watchInputs(ctx) })
	both.Wait()
}

// Drain says that no more requests are taken, and ends the open streams.
func (s *Service) Drain() {
	s.health.set("draining")
	s.gateway.CloseStreams()
}

// Close ends the catalogues and writes what waits for the record.
func (s *Service) Close() error {
	s.health.set("stopped")
	s.end()
	s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		var closed sync.WaitGroup
		for _, b := range s.current.servers {
			closed.Go(b.close)
		}
		closed.Wait()
	}
	s.sandboxes.Close()
	return s.recorder.Close()
}
