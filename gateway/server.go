package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/gateway/catalog"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// Server is one MCP server behind the gateway, with what is known of its tools.
type Server struct {
	Name     string
	Upstream Upstream

	log       *slog.Logger
	catalogue atomic.Pointer[catalogue]
	wake      chan struct{} // holds at most one request for a refresh

	refreshing sync.Mutex // one refresh at a time; guards the two below
	fresh      time.Time  // when the newest refresh that succeeded began
	started    bool       // Run has been here
	lastError  atomic.Pointer[error]
}

// catalogue is what one round of asking has found. It is immutable.
type catalogue struct {
	byEra [2]*catalog.Listing // nil where the server does not speak the era, or has not answered
	ttl   time.Duration
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

// Err says why the newest refresh failed, or nil.
func (s *Server) Err() error {
	if e := s.lastError.Load(); e != nil {
		return *e
	}
	return nil
}

func (s *Server) refreshSoon() {
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
	watching.Go(func() { s.watch(ctx) })
	defer watching.Wait()
	for ctx.Err() == nil {
		wait := refreshEvery
		if err := s.refreshIfOlder(ctx, refreshAtLeast); err != nil {
			s.log.Warn("catalogue not refreshed", slog.Any("error", err))
			wait, backoff = backoff, min(backoff*2, longestBackoff)
		} else {
			backoff = firstBackoff
			if c := s.catalogue.Load(); c != nil && c.ttl > 0 {
				wait = min(max(c.ttl, refreshAtLeast), refreshEvery)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		case <-s.wake:
		}
	}
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
		s.refreshSoon()
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
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	next := &catalogue{}
	speaks := [2]bool{}
	var failed [2]error
	speaks[wire.Modern], failed[wire.Modern] = s.fetchModern(ctx, next)
	speaks[wire.Legacy], failed[wire.Legacy] = s.fetchLegacy(ctx, next)
	var errs []error
	for era, err := range failed {
		// An era that the server does not have is no failure, and one whose list could not be
		// fetched now keeps the last good one.
		if temporary := speaks[era] || errors.Is(err, ErrTimeout) || errors.Is(err, ErrUnreachable); err == nil || !temporary {
			continue
		}
		next.byEra[era] = s.listing(wire.Era(era))
		errs = append(errs, err)
	}
	if next.byEra == [2]*catalog.Listing{} {
		err := fmt.Errorf("list the tools of %q: %w", s.Name, errors.Join(failed[:]...))
		s.lastError.Store(&err)
		return err
	}
	s.report(next)
	s.catalogue.Store(next)
	err := errors.Join(errs...)
	if err != nil {
		err = fmt.Errorf("list the tools of %q: %w", s.Name, err)
	}
	s.lastError.Store(&err)
	if err == nil {
		s.fresh = began
	}
	return err
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

// fetchModern reports whether the server speaks the era, and why there is no list.
func (s *Server) fetchModern(ctx context.Context, next *catalogue) (speaks bool, err error) {
	if _, err := s.askResult(ctx, askDiscover()); err != nil {
		return false, err
	}
	next.byEra[wire.Modern], next.ttl, err = s.fetchTools(ctx, wire.Modern, "")
	return true, err
}

func (s *Server) fetchLegacy(ctx context.Context, next *catalogue) (speaks bool, err error) {
	reply, err := s.askResult(ctx, AskInitialize(Capabilities{}))
	if err != nil {
		return false, err
	}
	if told, err := s.Upstream.Ask(ctx, TellInitialized(reply.session)); err == nil {
		_ = told.Body.Close()
	}
	next.byEra[wire.Legacy], _, err = s.fetchTools(ctx, wire.Legacy, reply.session)
	if reply.session != "" {
		if ended, err := s.Upstream.Ask(ctx, EndSession(reply.session)); err == nil {
			_ = ended.Body.Close()
		}
	}
	return true, err
}

// fetchTools walks the pages. A server without tools has an empty listing.
func (s *Server) fetchTools(ctx context.Context, era wire.Era, session string) (*catalog.Listing, time.Duration, error) {
	var pages []catalog.PageResult
	var ttl time.Duration
	var cursor []byte
	size := 0
	for len(pages) < maxPages {
		reply, err := s.askResult(ctx, askTools(era, session, cursor))
		var rpc *rpcError
		if errors.As(err, &rpc) && rpc.Code == wire.RPCUnknownMethod && len(pages) == 0 {
			reply, err = &answer{result: []byte(`{"tools":[]}`)}, nil
		}
		if err != nil {
			return nil, 0, err
		}
		page := catalog.PageResult{Result: reply.result}
		if cursor != nil {
			page.Cursor, _ = strictjson.String(cursor)
			page.HasCursor = true
		}
		pages = append(pages, page)
		if size += len(reply.result); size > maxCatalogBytes {
			return nil, 0, fmt.Errorf("%w: the tool list has over %d bytes", ErrTooLarge, maxCatalogBytes)
		}
		if span, ok := strictjson.Find(reply.result, "ttlMs"); ok {
			var ms int64
			if json.Unmarshal(span.Of(reply.result), &ms) == nil && ms > 0 && ms < int64(24*time.Hour/time.Millisecond) {
				ttl = time.Duration(ms) * time.Millisecond
			}
		}
		span, more := strictjson.Find(reply.result, "nextCursor")
		if !more || string(span.Of(reply.result)) == "null" {
			listing, err := s.build(era, pages)
			return listing, ttl, err
		}
		cursor = span.Of(reply.result)
		if cursor[0] != '"' {
			return nil, 0, fmt.Errorf("%w: nextCursor is not a string", ErrGarbage)
		}
	}
	return nil, 0, fmt.Errorf("%w: the tool list has over %d pages", ErrTooLarge, maxPages)
}

// build keeps the compiled schemas of tools that have not changed.
func (s *Server) build(era wire.Era, pages []catalog.PageResult) (*catalog.Listing, error) {
	if old := s.listing(era); old != nil {
		return old.Refresh(pages)
	}
	return catalog.BuildListing(era, pages)
}

type answer struct {
	result  []byte
	session string
}

type rpcError struct {
	Code    int
	Message string
}

func (e *rpcError) Error() string { return fmt.Sprintf("the server answered error %d", e.Code) }

// askResult sends an errand and returns the result of its answer.
func (s *Server) askResult(ctx context.Context, e Errand) (*answer, error) {
	reply, err := s.Upstream.Ask(ctx, e)
	if err != nil {
		return nil, err
	}
	defer func() { _ = reply.Body.Close() }()
	raw, err := readAnswer(reply)
	if err != nil {
		return nil, err
	}
	switch status := reply.Status; {
	case status >= http.StatusInternalServerError:
		return nil, fmt.Errorf("%w: status %d", ErrUnreachable, status)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return nil, fmt.Errorf("the server wants a credential (status %d): set headers or credential of this server", status)
	}
	msg, err := wire.DecodeReply(raw, wire.Limits{})
	if err != nil {
		if reply.Status != http.StatusOK {
			return nil, fmt.Errorf("the server answered %d to %s: is its url that of its MCP endpoint (often …/mcp)?", reply.Status, e.out.Method)
		}
		return nil, fmt.Errorf("%w: %w", ErrGarbage, err)
	}
	if msg.Error != nil {
		failed := &rpcError{}
		_ = json.Unmarshal(msg.Error, failed) // where it is no object the code stays 0
		return nil, failed
	}
	if reply.Status != http.StatusOK || msg.Kind != wire.Response {
		return nil, fmt.Errorf("%w: status %d", ErrGarbage, reply.Status)
	}
	return &answer{result: msg.Result, session: reply.Header.SessionID}, nil
}

// readAnswer reads a body, or the first response of a stream.
func readAnswer(reply *Reply) ([]byte, error) {
	if reply.Header.ContentType != "text/event-stream" {
		return readWhole(reply.Body, maxCatalogBytes)
	}
	events := wire.NewEventReader(reply.Body, maxCatalogBytes)
	for {
		ev, err := events.Next()
		if err != nil {
			return nil, fmt.Errorf("%w: the stream ended without an answer", ErrGarbage)
		}
		if !ev.HasData || len(ev.Data) == 0 {
			continue
		}
		if msg, err := wire.DecodeReply(ev.Data, wire.Limits{}); err != nil || msg.Kind == wire.Response {
			return ev.Data, err
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
	s.refreshSoon() // what happened before the stream was there
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
			s.refreshSoon()
		}
	}
}
