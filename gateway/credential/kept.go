package credential

import (
	"container/list"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Bounds of what is kept.
const (
	maxKept      = 1024 // principals with a secret of their own, the least recently used goes first
	firstRetry   = time.Second
	longestRetry = time.Minute
	// A secret is not used this close to its end: a request takes a moment to arrive.
	closeToEnd = 5 * time.Second
	// One that is refused so soon is not refused for its age.
	tooYoung = 10 * time.Second
)

// kept holds secrets that cost something to fetch. It fetches each once however many ask, before
// it expires where it can, and not again at once where that failed.
type kept struct {
	fetch   func(ctx context.Context, who Who) (Secret, error)
	timeout time.Duration // of one fetch, whoever waits for it
	log     *slog.Logger

	mu    sync.Mutex // guards all below
	of    map[Who]*list.Element
	order list.List // of *keeping; the most recently used first
}

// keeping is one secret and what is known of the next.
type keeping struct {
	who     Who
	secret  Secret // its Value is "" where there is none
	fetched time.Time
	refresh time.Time
	flight  *flight // under way, or nil
	err     error   // of the last fetch
	failed  int     // in a row
	retry   time.Time
}

type flight struct {
	done   chan struct{} // closed when the two below are set
	secret Secret
	err    error
}

func newKept(fetch func(context.Context, Who) (Secret, error), timeout time.Duration, log *slog.Logger) *kept {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &kept{fetch: fetch, timeout: timeout, log: log, of: map[Who]*list.Element{}}
}

// get returns the secret for who. One that is valid is returned at once, also while its
// successor is fetched or cannot be.
func (k *kept) get(ctx context.Context, who Who) (Secret, error) {
	k.mu.Lock()
	e, now := k.entry(who), time.Now()
	waiting := now.Before(e.retry)
	if e.usable(now) {
		secret := e.secret
		if !now.Before(e.refresh) && !waiting {
			k.begin(e)
		}
		k.mu.Unlock()
		return secret, nil
	}
	if waiting && e.flight == nil {
		defer k.mu.Unlock()
		return Secret{}, fmt.Errorf("%w; it is tried again in %v", e.err, e.retry.Sub(now).Round(100*time.Millisecond))
	}
	f := k.begin(e)
	k.mu.Unlock()
	select {
	case <-f.done:
		return f.secret, f.err
	case <-ctx.Done():
		return Secret{}, ctx.Err()
	}
}

// refused drops the secret if it is still the one that was refused. A young one stays: a server
// that refuses every secret must not have each call ask for another.
func (k *kept) refused(who Who, secret Secret) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if at := k.of[who]; at != nil {
		if e := at.Value.(*keeping); e.secret.Value == secret.Value && time.Since(e.fetched) >= tooYoung {
			e.secret = Secret{}
		}
	}
}

// forget drops what is kept for a principal. Who waits for a fetch under way is still answered.
func (k *kept) forget(who Who) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if at := k.of[who]; at != nil && who != (Who{}) {
		k.order.Remove(at)
		delete(k.of, who)
	}
}

// entry must be called with mu held.
func (k *kept) entry(who Who) *keeping {
	if at := k.of[who]; at != nil {
		k.order.MoveToFront(at)
		return at.Value.(*keeping)
	}
	if len(k.of) >= maxKept {
		last := k.order.Back()
		delete(k.of, k.order.Remove(last).(*keeping).who)
	}
	e := &keeping{who: who}
	k.of[who] = k.order.PushFront(e)
	return e
}

// begin starts a fetch, or joins the one under way. It must be called with mu held.
func (k *kept) begin(e *keeping) *flight {
	if e.flight != nil {
		return e.flight
	}
	f := &flight{done: make(chan struct{})}
	e.flight = f
	go func() {
		// The secret is everybody's who waits, so the fetch does not end with who was first.
		ctx, cancel := context.WithTimeout(context.Background(), k.timeout)
		defer cancel()
		began := time.Now()
		f.secret, f.err = k.fetch(ctx, e.who)
		k.mu.Lock()
		defer k.mu.Unlock()
		e.end(f, began)
		if f.err != nil {
			k.log.Warn("credential not fetched", slog.Any("error", f.err), slog.Bool("valid", e.usable(time.Now())))
		}
		close(f.done)
	}()
	return f
}

// end takes over what a fetch has brought.
func (e *keeping) end(f *flight, began time.Time) {
	e.flight, e.err = nil, f.err
	if f.err != nil {
		e.retry = time.Now().Add(min(firstRetry<<min(e.failed, 10), longestRetry))
		e.failed++
		return
	}
	e.secret, e.fetched, e.failed, e.retry = f.secret, began, 0, time.Time{}
	e.refresh = refreshAt(began, f.secret.Expires)
}

func (e *keeping) usable(now time.Time) bool {
	if e.secret.Value == "" {
		return false
	}
	return e.secret.Expires.IsZero() || now.Before(e.secret.Expires.Add(-closeToEnd)) ||
		// One that lives no longer than that is used to its end.
		now.Before(e.secret.Expires) && e.refresh.After(e.secret.Expires.Add(-closeToEnd))
}

// refreshAt is after four fifths of the life or 30 s before its end, whichever is earlier, but
// not in its first half.
func refreshAt(began, expires time.Time) time.Time {
	if expires.IsZero() {
		return began.Add(100 * 365 * 24 * time.Hour)
	}
	life := expires.Sub(began)
	return began.Add(max(life/2, min(life*4/5, life-30*time.Second)))
}
