package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"sallyport/identity/grant"
)

// lookAgain is how often a held grant is looked at, to tell the holder that it has ended.
const lookAgain = time.Second

// hold keeps the connection open while a grant lives, and completes the grant when the
// connection breaks: the kernel closes it for a holder who was killed and could not say so.
func (s *server) hold(w http.ResponseWriter, r *http.Request, c caller) (any, error) {
	b, err := decode[holdBody](r, holdScope)
	if err != nil {
		return nil, err
	}
	if err := s.holdable(c, b.Grant); err != nil {
		return nil, err
	}
	if !s.holds.enter(c.UID) {
		return nil, refuse(http.StatusTooManyRequests, fmt.Sprintf("%d grants of yours are held already; end some of what runs", maxHolds))
	}
	defer s.holds.leave(c.UID)
	conn := http.NewResponseController(w)
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	if err := conn.SetWriteDeadline(time.Time{}); err != nil {
		return nil, err
	}
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(http.StatusOK)
	if conn.Flush() != nil {
		s.complete(r.Context(), c, b.Grant)
		return nil, nil
	}
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		select {
		case <-r.Context().Done():
			s.complete(r.Context(), c, b.Grant)
			return nil, nil
		case <-s.closing:
			return nil, nil
		case <-again.C:
			if err := s.holdable(c, b.Grant); err != nil {
				_ = json.NewEncoder(w).Encode(endedLine{Ended: err.Error()}) // who has gone hears nothing
				return nil, nil
			}
		}
	}
}

// maxHolds is how many grants one user may hold. It is less than the connections that a user may
// have, so that there is always one to end a grant by.
const maxHolds = maxConns / 2

// holds counts what is held by user. The zero value is ready.
type holds struct {
	mu   sync.Mutex // guards open
	open map[uint32]int
}

func (h *holds) enter(uid uint32) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open == nil {
		h.open = map[uint32]int{}
	}
	if h.open[uid] >= maxHolds {
		return false
	}
	h.open[uid]++
	return true
}

func (h *holds) leave(uid uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open[uid]--; h.open[uid] == 0 {
		delete(h.open, uid)
	}
}

// holdable returns an error that says why not, unless the grant is the caller's and lives.
func (s *server) holdable(c caller, id string) error {
	found := s.Authority.List(s.asker(c), grant.Filter{ID: id})
	if len(found) == 0 {
		return refuse(http.StatusNotFound, fmt.Sprintf("no grant of yours is called %.40q; `sallyport grant list` shows them", id))
	}
	if g := found[0]; g.State != grant.Active && g.State != grant.Exhausted {
		ref := refuse(http.StatusConflict, Ended(g))
		ref.Code = "invalid_grant"
		return ref
	}
	return nil
}

func (s *server) complete(ctx context.Context, c caller, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	if s.holdable(c, id) != nil {
		return // it has ended already: a holder that ends in order completes it first
	}
	if _, err := s.Authority.Revoke(ctx, s.asker(c), grant.Filter{ID: id}, grant.Completed, "its holder ended"); err != nil {
		s.Log.Warn("admin socket: complete the grant of a holder that ended", slog.String("grant", id), slog.Any("err", err))
	}
}

// Ended says in words that a grant has ended: how, by whom, and what to do.
func Ended(g grant.Status) string {
	text := fmt.Sprintf("the grant %s has ended: %s", g.ID, g.State)
	if g.EndedBy != "" {
		text += " by " + g.EndedBy
	}
	if g.EndedWhy != "" {
		text += " (" + g.EndedWhy + ")"
	}
	return text + "; ask for a new one"
}
