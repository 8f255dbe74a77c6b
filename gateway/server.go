package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/gateway/catalog"
	"sallyport/gateway/pin"
	"sallyport/gateway/wire"
)

// Server is one MCP server behind the gateway, with what is known of its tools.
type Server struct {
	Name     string
	Upstream Upstream

	// Link carries what comes by way of the federated endpoint, in whatever era the client
	// speaks. Upstream where there is none.
	Link Link

	// Pins are the server's pinned definitions (pin.Store.Server). With them clients see nothing
	// else; without them they see what the server says now. Set before the first refresh.
	Pins *pin.Pins

	log       *slog.Logger
	catalogue atomic.Pointer[catalogue]
	wake      chan struct{} // holds at most one request for a refresh

	refreshing sync.Mutex // one refresh at a time; guards the two below
	fresh      time.Time  // when the newest refresh that succeeded began
	started    bool       // Run has been here
	lastError  atomic.Pointer[error]
	down       atomic.Bool                  // the newest refresh found it in no era
	newest     atomic.Int64                 // when news asked for a refresh
	changed    atomic.Pointer[func(change)] // told of every change that a client could see
}

// Link is a server as the federated endpoint speaks to it: it keeps the sessions that the server
// wants and the client knows nothing of, and turns one era into the other.
type Link interface {
	// Send is as Upstream's.
	Send(ctx context.Context, p *Permit) (*Reply, error)
	// Refuse answers a question of the server, which came with the request of out, that the
	// client may not be asked; id is raw.
	Refuse(ctx context.Context, session string, p Party, id []byte) error
	// SetLevel sets the level of log messages in what is open for a session of the endpoint; what
	// opens later has it from the Outbound.
	SetLevel(session, level string)
	// EndClient ends what is kept for a session of the federated endpoint.
	EndClient(session string)
}

// change says what of a server's lists is another.
type change struct{ tools, prompts, resources bool }

func (c change) any() bool { return c.tools || c.prompts || c.resources }

// catalogue is what one round of asking has found. It is immutable.
type catalogue struct {
	byEra  [2]*catalog.Listing // nil where the server does not speak the era, or has not answered
	offers [2]*offer           // nil where byEra is
	ttl    time.Duration
}

// offer is what a server has beside tools.
type offer struct {
	prompts, resources, templates []*catalog.Page
	completions, logging          bool
}

// NewServer returns a server whose catalogue is empty until Run or Refresh has asked for it.
func NewServer(name string, up Upstream, log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{Name: name, Upstream: up, log: log.With(slog.String("server", name)), wake: make(chan struct{}, 1)}
}

// listing returns the tools in an era, or nil.
func (s *Server) listing(era wire.Era) *catalog.Listing {
	if c := s.catalogue.Load(); c != nil {
		return c.byEra[era]
	}
	return nil
}

// unavailable is what is said of a server that has never answered.
func (s *Server) unavailable() *Error {
	return upstreamError(s.Name, errors.Join(ErrUnreachable, s.Err()))
}

// offered returns what the server has for clients of the federated endpoint: in their own era
// where it speaks that, in the other else. Both are nil while nothing is known.
func (s *Server) offered(era wire.Era) (*catalog.Listing, *offer) {
	c := s.catalogue.Load()
	if c == nil {
		return nil, nil
	}
	era = c.nearest(era)
	return c.byEra[era], c.offers[era]
}

// Speaks reports the eras in which the server has answered.
func (s *Server) Speaks() (modern, legacy bool) {
	return s.listing(wire.Modern) != nil, s.listing(wire.Legacy) != nil
}

// Bindings are the arguments of a tool that travel in headers as well, in the newer protocol.
func (s *Server) Bindings(tool string) []wire.HeaderBinding {
	if l := s.listing(wire.Modern); l != nil && l.Tools[tool] != nil {
		return l.Tools[tool].Bindings
	}
	return nil
}

// errNotYet is why nothing is known of a server that is asked for the first time.
var errNotYet = errors.New("it has not answered yet")

// Err says why the newest refresh failed, or that there has been none, or nil.
func (s *Server) Err() error {
	if e := s.lastError.Load(); e != nil {
		return *e
	}
	if s.catalogue.Load() == nil {
		return errNotYet
	}
	return nil
}

// RefreshSoon asks Run for a refresh.
func (s *Server) RefreshSoon() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// How often a catalogue is fetched again where nothing says that it has changed.
const (
	refreshEvery    = time.Minute
	refreshAtLeast  = 15 * time.Second
	refreshTimeout  = 30 * time.Second
	changedTimeout  = 5 * time.Second // how long a notice of change waits for the new list
	maxPages        = 1000
	firstBackoff    = 250 * time.Millisecond
	longestBackoff  = 30 * time.Second
	maxCatalogBytes = 64 << 20
)

// Run keeps the catalogue fresh until ctx ends: on list_changed, after its ttl, and with
// back-off while the server does not answer.
func (s *Server) Run(ctx context.Context) {
	backoff := firstBackoff
	var watching sync.WaitGroup
	if _, program := s.Upstream.(refresher); !program { // it tells by itself, and a stream would keep it running
		watching.Go(func() { s.watch(ctx) })
	}
	defer watching.Wait()
	for ctx.Err() == nil {
		wait := s.refreshEvery()
		if err := s.refreshIfOlder(ctx, refreshAtLeast); err != nil {
			s.log.Warn("catalogue not refreshed", slog.Any("error", err))
			wait, backoff = backoff, min(backoff*2, longestBackoff)
		} else {
			backoff = firstBackoff
			if c := s.catalogue.Load(); c != nil && c.ttl > 0 {
				wait = min(max(c.ttl, refreshAtLeast), s.refreshEvery())
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		case <-s.wake:
		}
	}
}

// refresher is an Upstream that says itself when its lists are others, and that asking keeps awake.
type refresher interface{ RefreshEvery() time.Duration }

// refreshEvery is the upstream's own wish where it has one: asking a program keeps it running.
func (s *Server) refreshEvery() time.Duration {
	if own, ok := s.Upstream.(refresher); ok {
		return own.RefreshEvery()
	}
	return refreshEvery
}

// refreshTimeout leaves a program the time to start, which it may spend on downloading itself.
func (s *Server) refreshTimeout() time.Duration {
	if own, ok := s.Upstream.(interface{ StartTimeout() time.Duration }); ok {
		return own.StartTimeout() + refreshTimeout
	}
	return refreshTimeout
}

// refreshSince returns when the catalogue is newer than since, or could not be made so in
// time. Many streams that hear of one change cost one refresh. It does not end with the
// request that brought the news: the catalogue is everybody's.
func (s *Server) refreshSince(ctx context.Context, since time.Time) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changedTimeout)
	defer cancel()
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	if s.fresh.After(since) {
		return
	}
	if err := s.refresh(ctx); err != nil {
		s.log.Warn("catalogue not refreshed", slog.Any("error", err))
		s.RefreshSoon()
	}
}

// refreshIfOlder spares a start the second fetch of a list that it has just waited for.
func (s *Server) refreshIfOlder(ctx context.Context, age time.Duration) error {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	if !s.started && time.Since(s.fresh) < age {
		s.started = true
		return nil
	}
	s.started = true
	return s.refresh(ctx)
}

// Refresh asks for the tools once, in every era that the server speaks. When it fails the old
// catalogue stays.
func (s *Server) Refresh(ctx context.Context) error {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	return s.refresh(ctx)
}

// refresh must be called with refreshing held.
func (s *Server) refresh(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.refreshTimeout())
	defer cancel()
	next := &catalogue{}
	speaks := [2]bool{}
	var failed [2]error
	var all [2]*heard
	all[wire.Modern], speaks[wire.Modern], failed[wire.Modern] = s.fetchModern(ctx, next)
	all[wire.Legacy], speaks[wire.Legacy], failed[wire.Legacy] = s.fetchLegacy(ctx)
	s.settle(next, all, &failed)
	var errs []error
	for era, err := range failed {
		// An era that the server does not have is no failure, and one whose list could not be
		// fetched now keeps the last good one.
		if temporary := speaks[era] || errors.Is(err, ErrTimeout) || errors.Is(err, ErrUnreachable); err == nil || !temporary {
			continue
		}
		if old := s.catalogue.Load(); old != nil {
			next.byEra[era], next.offers[era] = old.byEra[era], old.offers[era]
		}
		errs = append(errs, err)
	}
	if failed[wire.Modern] != nil && failed[wire.Legacy] != nil { // the old catalogue stays
		why := errors.Join(failed[:]...)
		if rpc := (*rpcError)(nil); errors.As(failed[wire.Modern], &rpc) { // no more than that the era is another
			why = failed[wire.Legacy]
		}
		err := fmt.Errorf("list the tools of %q: %w", s.Name, why)
		s.lastError.Store(&err)
		if !s.down.Swap(true) {
			s.tell(change{true, true, true}) // all is marked as unavailable from now on
		}
		return err
	}
	s.report(next)
	old := s.catalogue.Swap(next)
	err := errors.Join(errs...)
	if err != nil {
		err = fmt.Errorf("list the tools of %q: %w", s.Name, err)
	}
	s.lastError.Store(&err)
	news := old.changes(next)
	if s.down.Swap(false) {
		news = change{true, true, true}
	}
	s.tell(news)
	if err == nil {
		s.fresh = began
	}
	return err
}

// tell passes a change on to whoever asked for it.
func (s *Server) tell(news change) {
	if f := s.changed.Load(); f != nil && news.any() {
		(*f)(news)
	}
}

// changes compares two catalogues; the first may be nil.
func (c *catalogue) changes(next *catalogue) (news change) {
	if c == nil {
		return change{true, true, true}
	}
	for era := range next.byEra {
		a, b := c.byEra[era], next.byEra[era]
		news.tools = news.tools || (a == nil) != (b == nil) || a != nil && a.Digest != b.Digest
		x, y := c.offers[era], next.offers[era]
		if x == nil || y == nil {
			both := x != y
			news.prompts, news.resources = news.prompts || both, news.resources || both
			continue
		}
		news.prompts = news.prompts || !samePages(x.prompts, y.prompts)
		news.resources = news.resources || !samePages(x.resources, y.resources) || !samePages(x.templates, y.templates)
	}
	return news
}

func samePages(a, b []*catalog.Page) bool {
	return slices.EqualFunc(a, b, func(p, q *catalog.Page) bool { return bytes.Equal(p.Result, q.Result) })
}

// report tells the operator which tools are hidden because of their definitions.
func (s *Server) report(next *catalogue) {
	for era, l := range next.byEra {
		if l == nil {
			continue
		}
		if old := s.listing(wire.Era(era)); old != nil && old.Digest == l.Digest { // two eras
			continue
		}
		for _, t := range l.Tools {
			if t.Problem != "" {
				s.log.Warn("tool hidden", slog.String("tool", t.Name), slog.String("problem", t.Problem))
			}
		}
	}
}

// watch listens for list_changed where the server offers it.
func (s *Server) watch(ctx context.Context) {
	backoff := time.Second
	for ctx.Err() == nil {
		if s.listenOnce(ctx) {
			backoff = time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(backoff*2, 5*time.Minute)
	}
}

// listenOnce follows one stream to its end and reports whether there was one.
func (s *Server) listenOnce(ctx context.Context) bool {
	if s.listing(wire.Modern) == nil {
		return false // the older era's stream belongs to a session; those catalogues are polled
	}
	reply, err := s.Upstream.Ask(ctx, askListen())
	if err != nil {
		return false
	}
	defer func() { _ = reply.Body.Close() }()
	if reply.Status != http.StatusOK || reply.Header.ContentType != "text/event-stream" {
		return false
	}
	s.RefreshSoon() // what happened before the stream was there
	events := wire.NewEventReader(reply.Body, 1<<20)
	for {
		ev, err := events.Next()
		if err != nil {
			return true
		}
		if !ev.HasData || len(ev.Data) == 0 {
			continue
		}
		if msg, err := wire.DecodeReply(ev.Data, wire.Limits{}); err == nil && msg.Method == wire.NotifyToolsChanged {
			s.RefreshSoon()
		}
	}
}
