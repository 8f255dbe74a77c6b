package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"sallyport/gateway/catalog"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

// fetchModern reports whether the server speaks the era, and why there is no list.
func (s *Server) fetchModern(ctx context.Context, next *catalogue) (h *heard, speaks bool, err error) {
	reply, err := s.askResult(ctx, AskDiscover())
	if err != nil {
		return nil, false, err
	}
	h, next.ttl, err = s.fetchOffer(ctx, asking{era: wire.Modern}, reply.result)
	return h, true, err
}

func (s *Server) fetchLegacy(ctx context.Context) (h *heard, speaks bool, err error) {
	reply, err := s.askResult(ctx, AskInitialize(Capabilities{}))
	if err != nil {
		return nil, false, err
	}
	version := textAt(reply.result, "protocolVersion")
	if told, err := s.Upstream.Ask(ctx, TellInitialized(reply.session).In(version)); err == nil {
		_ = told.Body.Close()
	}
	h, _, err = s.fetchOffer(ctx, asking{wire.Legacy, reply.session, version}, reply.result)
	if reply.session != "" {
		if ended, err := s.Upstream.Ask(ctx, EndSession(reply.session).In(version)); err == nil {
			_ = ended.Body.Close()
		}
	}
	return h, true, err
}

// asking is how a list is asked for.
type asking struct {
	era              wire.Era
	session, version string // of the older era, as the server has chosen them
}

// list asks for one page; cursor is a raw JSON string or nil.
func (a asking) list(method string, cursor []byte) Errand {
	e := askList(method, a.era, a.session, cursor)
	if a.era == wire.Legacy {
		return e.In(a.version)
	}
	return e
}

// textAt is a member of obj that is a string, or "".
func textAt(obj []byte, name string) string {
	span, ok := strictjson.Find(obj, name)
	if !ok {
		return ""
	}
	text, _ := strictjson.String(span.Of(obj)) // else it is as good as absent
	return text
}

// valueOf is the raw value of a member of obj, or nil.
func valueOf(obj []byte, name string) []byte {
	if len(obj) == 0 || obj[0] != '{' {
		return nil
	}
	span, ok := strictjson.Find(obj, name)
	if !ok {
		return nil
	}
	return span.Of(obj)
}

// fetchOffer asks for all that the server has; hello is its answer to the first question. What
// cannot be listed beside the tools is missing, and fails nothing.
func (s *Server) fetchOffer(ctx context.Context, how asking, hello []byte) (*heard, time.Duration, error) {
	pages, ttl, err := s.fetchList(ctx, wire.MethodToolsList, how)
	if err != nil {
		return nil, 0, err
	}
	h := &heard{offers: offer{completions: offers(hello, "completions"), logging: offers(hello, "logging")}}
	h.Tools = pages
	if span, ok := strictjson.Find(hello, "instructions"); ok && span.Of(hello)[0] == '"' {
		h.Instructions = span.Of(hello)
	}
	if offers(hello, "prompts") {
		h.Prompts = s.fetchPages(ctx, wire.MethodPromptsList, how)
	}
	if offers(hello, "resources") {
		h.resources = s.fetchPages(ctx, wire.MethodResList, how)
		h.Templates = s.fetchPages(ctx, wire.MethodResTemplates, how)
	}
	return h, ttl, nil
}

// offers reports whether the capabilities in a handshake's result name one.
func offers(hello []byte, name string) bool {
	span, ok := strictjson.Find(hello, "capabilities")
	if !ok {
		return false
	}
	_, ok = strictjson.Find(span.Of(hello), name)
	return ok
}

// fetchPages fetches a list other than that of the tools; nil where that fails.
func (s *Server) fetchPages(ctx context.Context, method string, how asking) []catalog.PageResult {
	results, _, err := s.fetchList(ctx, method, how)
	if err != nil {
		s.log.Warn("list not fetched", slog.String("method", method), slog.Any("error", err))
	}
	return results
}

// parse reads the pages of a list other than that of the tools.
func (s *Server) parse(method string, results []catalog.PageResult) []*catalog.Page {
	var pages []*catalog.Page
	for _, r := range results {
		page, err := catalog.ParsePage(r.Result, listMember(method))
		if err != nil {
			s.log.Warn("list not read", slog.String("method", method), slog.Any("error", err))
			continue
		}
		pages = append(pages, page)
	}
	return pages
}

// fetchList walks the pages of a list. A server that does not know the method has none.
func (s *Server) fetchList(ctx context.Context, method string, how asking) (pages []catalog.PageResult, ttl time.Duration, _ error) {
	var cursor []byte
	size := 0
	for len(pages) < maxPages {
		reply, err := s.askResult(ctx, how.list(method, cursor))
		var rpc *rpcError
		if errors.As(err, &rpc) && rpc.Code == wire.RPCUnknownMethod && len(pages) == 0 {
			reply, err = &answer{result: []byte(`{"` + listMember(method) + `":[]}`)}, nil
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
			return nil, 0, fmt.Errorf("%w: the answers to %s have over %d bytes", ErrTooLarge, method, maxCatalogBytes)
		}
		ttl = ttlOf(reply.result, ttl)
		span, more := strictjson.Find(reply.result, "nextCursor")
		if !more || string(span.Of(reply.result)) == "null" {
			return pages, ttl, nil
		}
		cursor = span.Of(reply.result)
		if cursor[0] != '"' {
			return nil, 0, fmt.Errorf("%w: nextCursor is not a string", ErrGarbage)
		}
	}
	return nil, 0, fmt.Errorf("%w: the answers to %s have over %d pages", ErrTooLarge, method, maxPages)
}

// ttlOf is how long a list may be kept; otherwise where it does not say.
func ttlOf(result []byte, otherwise time.Duration) time.Duration {
	span, ok := strictjson.Find(result, "ttlMs")
	if !ok {
		return otherwise
	}
	var ms int64
	if json.Unmarshal(span.Of(result), &ms) != nil || ms <= 0 || ms >= int64(24*time.Hour/time.Millisecond) {
		return otherwise
	}
	return time.Duration(ms) * time.Millisecond
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
	raw, _ = s.scrub(raw)
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
