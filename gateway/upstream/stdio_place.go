package upstream

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"sallyport/gateway"
)

// place is where one process runs, or when the next may start.
type place struct {
	proc atomic.Pointer[process] // the one that runs, or has run last; set with turn held

	turn     gate // held while a process starts or leaves; guards all below
	left     bool // it is not in the server's places any more: nothing may start here
	failures int  // in a row
	next     time.Time
	failed   error // why the last one ended
}

// gate is a mutex that one can stop waiting for.
type gate chan struct{}

func newGate() gate { return make(gate, 1) }

func (g gate) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil { // a free gate must not be taken by chance
		return err
	}
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g gate) tryEnter() bool {
	select {
	case g <- struct{}{}:
		return true
	default:
		return false
	}
}

func (g gate) exit() { <-g }

// Back-off between a process that failed and the next.
const (
	firstRestart   = 250 * time.Millisecond
	longestRestart = 30 * time.Second
	settled        = time.Minute // a process that ran this long failed for a reason of its own
)

// process returns the running process for a key, and starts it for p where there is none.
func (s *Stdio) process(ctx context.Context, k key, p gateway.Party) (*process, error) {
	for {
		at, err := s.place(k)
		if err != nil {
			return nil, err
		}
		if proc := at.proc.Load(); proc != nil && proc.use() {
			return proc, nil
		}
		if err := at.turn.enter(ctx); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil { // its grant may have ended while it waited
			at.turn.exit()
			return nil, err
		}
		proc, err := s.startAt(at, k, p)
		at.turn.exit()
		if !errors.Is(err, errLeft) {
			return proc, err
		}
	}
}

// errLeft says that a place has been given up meanwhile.
var errLeft = errors.New("the place is another's")

// startAt must be called with the place's turn held.
func (s *Stdio) startAt(at *place, k key, p gateway.Party) (*process, error) {
	if at.left {
		return nil, errLeft
	}
	if proc := at.proc.Load(); proc != nil {
		if proc.use() {
			return proc, nil
		}
		at.noteEnd(proc)
	}
	if wait := time.Until(at.next); wait > 0 {
		return nil, fmt.Errorf("%w: %w; it is tried again in %v", gateway.ErrNotSent, at.failed, max(wait.Round(10*time.Millisecond), 10*time.Millisecond))
	}
	// A start is everybody's who waits for it, so it does not end with the one who was first.
	ctx, cancel := context.WithTimeout(s.base, s.cfg.StartTimeout)
	defer cancel()
	proc, err := s.start(ctx, at, k.owner, p)
	if err != nil {
		at.back(err, time.Now())
		s.failed(err)
		return nil, fmt.Errorf("%w: %w", gateway.ErrNotSent, err)
	}
	at.proc.Store(proc)
	return proc, nil
}

// place returns the place for a key, made where there is none.
func (s *Stdio) place(k key) (*place, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("%w: the server has been removed", gateway.ErrNotSent)
	}
	at := s.places[k]
	if at == nil {
		if err := s.makeRoom(); err != nil {
			return nil, err
		}
		at = &place{turn: newGate()}
		s.places[k] = at
	}
	return at, nil
}

var errMakeRoom = errors.New("it was unused and another was needed")

// makeRoom gives up the place unused longest when there are as many as there may be. It must be
// called with mu held.
func (s *Stdio) makeRoom() error {
	for len(s.places) >= s.cfg.MaxProcesses {
		var oldest key
		var found *place
		var since time.Time
		for k, at := range s.places {
			if used, idle := at.idleSince(); idle && (found == nil || used.Before(since)) {
				oldest, found, since = k, at, used
			}
		}
		if found == nil {
			return fmt.Errorf("%w: %d processes of it run already and none is idle", gateway.ErrNotSent, len(s.places))
		}
		if found.leaveUnused() { // else somebody was faster
			delete(s.places, oldest)
		}
	}
	return nil
}

// leaveUnused gives the place up if nobody uses it at this moment.
func (at *place) leaveUnused() bool {
	if !at.turn.tryEnter() {
		return false
	}
	defer at.turn.exit()
	if p := at.proc.Load(); p != nil && p.alive() && !p.endIfUnused(0, errMakeRoom) {
		return false
	}
	at.left = true
	return true
}

// idleSince is when what runs at the place was last used, and whether nobody uses it now.
func (at *place) idleSince() (time.Time, bool) {
	if !at.turn.tryEnter() {
		return time.Time{}, false // starting
	}
	defer at.turn.exit()
	if p := at.proc.Load(); p != nil && p.alive() {
		return p.idleSince()
	}
	return at.next, true // dead, and the longer the better
}

// leave gives the place up: what runs there ends within a time, and nothing starts there again.
func (at *place) leave(why error, within time.Duration) {
	_ = at.turn.enter(context.Background())
	defer at.turn.exit()
	at.left = true
	if p := at.proc.Load(); p != nil {
		p.end(why, within)
	}
}

// ended is called when a process has ended. A place where nothing failed is not kept.
func (s *Stdio) ended(at *place, p *process) {
	_ = at.turn.enter(context.Background())
	defer at.turn.exit()
	if !p.wanted() {
		s.failed(p.reason())
	}
	if at.proc.Load() != p {
		return
	}
	at.noteEnd(p)
	if at.failures > 0 {
		return
	}
	at.left = true
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, other := range s.places {
		if other == at {
			delete(s.places, k)
		}
	}
}

// noteEnd counts a process that has ended, once. It must be called with the turn held.
func (at *place) noteEnd(p *process) {
	at.proc.Store(nil)
	if p.wanted() {
		at.failures = 0
		return
	}
	over := p.endedAt()
	if over.Sub(p.began) > settled {
		at.failures = 0
	}
	at.back(p.reason(), over)
}

// back puts the next start off, counted from when the last one failed. It must be called with the
// turn held.
func (at *place) back(err error, failed time.Time) {
	wait := min(firstRestart<<min(at.failures, 10), longestRestart)
	at.failures++
	at.next, at.failed = failed.Add(wait), err
}
