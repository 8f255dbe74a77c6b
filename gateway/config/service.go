package config

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/admin"
	"sallyport/gateway/agent"
	"sallyport/gateway/approval"
	"sallyport/gateway/audit"
	"sallyport/gateway/credential"
	"sallyport/gateway/guard/secrets"
	"sallyport/gateway/observe"
	"sallyport/gateway/pin"
	"sallyport/gateway/sandbox"
	"sallyport/identity"
	"sallyport/identity/mint"
	"sallyport/identity/pop"
)

// keysEvery is how often the key directory is read again: well within the time that a new key
// is published before it signs.
const keysEvery = 30 * time.Second

// Service is one installation, wired. Made by [Open]; Start makes it ready, Run keeps it
// current, Close ends it.
type Service struct {
	log       *slog.Logger
	recorder  *audit.Log
	keys      *mint.Keyring
	verifier  *identity.Verifier
	gateway   *gateway.Gateway
	inputs    gateway.Inputs // nil: inputs are not recorded
	telemetry *observe.Telemetry
	handler   http.Handler
	health    health
	adminHost string // that of admin.listen

	issuer    *mint.Issuer
	grants    *grants
	authority *mint.Authority
	own       *mint.Authority // as authority, for roles that no policy mentions
	proofs    *pop.Checker
	measures  *agent.Manifests
	pins      *pin.Store
	approvals *approval.Desk
	outside   outside // identities of others

	sandboxes sandbox.Launcher
	patience  time.Duration     // firstPatience
	assert    credential.Assert // signs for principals at the token endpoints of others
	compile   func(*secrets.Scanner)

	// Grants that have ended, and the nanoseconds until all under each was closed.
	revocations, revocationTime atomic.Int64
	reloads, reloadsFailed      atomic.Int64

	lifetime context.Context // of the servers' catalogues; ends at Close
	end      context.CancelFunc
	running  sync.WaitGroup

	mu      sync.Mutex // one reload at a time; guards the three below
	current *generation
	watched []string // what the newest attempt was made from
	tried   string   // digest of watched, from before it was read

	serving     atomic.Pointer[generation] // current, for who cannot wait for a reload
	certificate atomic.Pointer[tls.Certificate]
	clientCA    atomic.Pointer[x509.CertPool] // nil: clients show no certificate
	local       atomic.Pointer[[]admin.LocalRule]
	watch       watchOptions

	fetching    sync.Mutex    // one update of the bundle at a time
	bundleEvery time.Duration // replaces policyPoll; 0: it holds
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
	s := &Service{log: log, compile: (*secrets.Scanner).Warm, approvals: approval.New(approval.Options{}), keys: keys, issuer: issuer, watch: watchDefaults, patience: firstPatience,
		assert: func(_ context.Context, who credential.Who, audience string) (string, error) {
			return issuer.Assert(who.Subject, audience)
		}}
	s.adminHost, _, _ = splitAddress(cfg.Admin.Listen) // "" for "off", which serves nobody
	s.lifetime, s.end = context.WithCancel(context.WithoutCancel(ctx))
	s.proofs = pop.NewChecker(pop.CheckerOptions{})
	s.verifier, err = identity.NewVerifier(identity.VerifierConfig{Issuer: cfg.PublicURL, Audience: cfg.Audience(), Keys: keys,
		PublicURL: cfg.PublicURL, Proofs: s.proofs})
	if err != nil {
		return nil, err
	}
	stateKey, err := cfg.requestStateKey()
	if err != nil {
		return nil, err
	}
	if err := s.openRecord(ctx, cfg); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.telemetry, err = observe.Start(ctx, version(), cfg.source.env, s.unsent); err != nil {
		return nil, err
	}
	s.gateway, err = gateway.New(gateway.Options{Observer: s.telemetry.Observer(), Recorder: s.recorder, Grants: s.grants, StateKey: stateKey, Logger: log, Approvals: s.approvals,
		Inputs: s.inputs, MostInput: int(cfg.Audit.InputBytes)})
	if err != nil {
		return nil, err
	}
	s.grants.OnEnd(s.ended)
	if err := s.openAuthority(cfg, issuer); err != nil {
		return nil, err
	}
	if err := s.openPins(cfg); err != nil {
		return nil, err
	}
	if err := s.telemetry.Show(s.facts()...); err != nil {
		return nil, err
	}
	s.handler = s.route(cfg, issuer)
	s.trying(cfg.inputs())
	next, err := s.build(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s.health.set("waiting for the first catalogue of each server")
	return s, s.install(ctx, next)
}

// route sends MCP to the gateway, and the rest to the issuer. http.ServeMux would answer some paths
// with redirects of its own making.
func (s *Service) route(cfg *Config, issuer *mint.Issuer) http.Handler {
	documents := mint.Handler(issuer, cfg.PublicURL)
	endpoints := mint.Endpoints(mint.EndpointsConfig{Authority: s.authority, Verifier: s.verifier, Federation: &s.outside,
		Proofs: s.proofs, PublicURL: cfg.PublicURL, Log: s.log})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 {
			// net/http takes chunks for the body where a length is given as well, and hides the length. A
			// proxy in front that went by the length would pass what follows the chunks as a part of this
			// request, and it would be the next one here (RFC 9112 §6.3). So there is no next one.
			w.Header().Set("Connection", "close")
		}
		switch {
		case r.URL.Path == "/mcp" || strings.HasPrefix(r.URL.Path, "/mcp/"):
			s.gateway.ServeHTTP(w, r) // which bounds its bodies itself
		case strings.HasPrefix(r.URL.Path, "/oauth/"):
			s.setBodyDeadline(w, r)
			endpoints.ServeHTTP(w, r) // which may bound them closer
		default:
			s.setBodyDeadline(w, r)
			documents.ServeHTTP(w, r)
		}
	})
}

// setBodyDeadline sets the time by which the body must be here, whether or not somebody reads it.
func (s *Service) setBodyDeadline(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.config().Limits.BodyTimeout.Std())) // else the server's own timeouts hold
	}
}

// Handler is what clients talk to.
func (s *Service) Handler() http.Handler { return s.handler }

// TLS returns the configuration of the clients' listener, or nil where there is no TLS.
func (s *Service) TLS() *tls.Config {
	if s.certificate.Load() == nil {
		return nil
	}
	base := tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate.Load(), nil }}
	out := base.Clone()
	out.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := base.Clone()
		if now.ClientCAs = s.clientCA.Load(); now.ClientCAs != nil {
			now.ClientAuth = tls.VerifyClientCertIfGiven
		}
		return now, nil
	}
	return out
}

// Start asks each server for its catalogue and returns when each has answered, failed once, or
// taken longer than a few seconds, as a program that is still being downloaded does. From then on
// the service is ready.
func (s *Service) Start(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first(ctx, s.current.servers)
	s.health.set("")
	s.warm(s.current)
}

// warm compiles the rules for secrets beside what is served. At a start it comes after all else: it
// is more work than the rest together, and a call that is searched sooner waits for it.
func (s *Service) warm(g *generation) {
	if g.secrets != nil {
		s.running.Go(func() { s.compile(g.secrets) })
	}
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
			} else if g := s.serving.Load(); g.servers[name] == b { // else install does it
				s.remark(g.cfg, name)
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
	both.Go(func() { s.followBundle(ctx) })
	both.Go(func() { s.grants.keep(ctx, s.log) })
	both.Wait()
}

// Drain says that no more requests are taken, and ends the open streams. It returns how many of them
// have not come to their end yet; a server's Shutdown does not wait for all of these.
func (s *Service) Drain() (left int) {
	s.health.set("draining")
	return s.gateway.CloseStreams()
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
	s.outside.close()
	s.endTelemetry()
	err := s.recorder.Close() // its last charges go to the grants
	if s.pins != nil {
		err = errors.Join(err, s.pins.Close())
	}
	return errors.Join(err, s.grants.close())
}
