package federate

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sallyport/identity/jose"
)

// Bounds of the keys of an issuer that are fetched from it.
const (
	fetchTimeout = 5 * time.Second
	fetchPause   = 10 * time.Second // between the beginnings of two fetches, whatever asks for them
	minFresh     = 5 * time.Minute
	maxFresh     = time.Hour
	maxStale     = 24 * time.Hour // keys serve so long after they were last read
	absentFor    = 30 * time.Second
	maxWaiting   = 256 // callers that wait for a fetch; more are refused at once
)

// remoteKeys keeps the keys that an issuer publishes. One fetch is under way at a time, in a
// goroutine of its own; who asks for a key that is there never waits for it.
type remoteKeys struct {
	issuer string
	load   func(context.Context) (set jose.KeySet, fresh time.Duration, err error)
	now    func() time.Time
	log    *slog.Logger
	ctx    context.Context // ends with close
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	set     jose.KeySet
	read    time.Time            // when set was read; zero: never
	fresh   time.Time            // until then nobody asks for a newer set
	tried   time.Time            // when the latest fetch began
	err     error                // of the latest fetch
	flight  chan struct{}        // closed when the fetch under way ends; nil: none is
	waiting int                  // callers that wait for it
	absent  map[string]time.Time // names that were in no set, until when that is believed
}

func newRemoteKeys(issuer string, load func(context.Context) (jose.KeySet, time.Duration, error), now func() time.Time, log *slog.Logger) *remoteKeys {
	k := &remoteKeys{issuer: issuer, load: load, now: now, log: log, absent: map[string]time.Time{}}
	k.ctx, k.stop = context.WithCancel(context.Background())
	return k
}

func (k *remoteKeys) key(ctx context.Context, kid string) (jose.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.clock()
	if k.usable(now) {
		if key, ok := k.set.ByID[kid]; ok {
			if !now.Before(k.fresh) {
				k.begin(now) // for those who come later
			}
			return key, nil
		}
		if now.Before(k.absent[kid]) {
			return jose.Key{}, k.unknown(kid)
		}
	}
	flight := k.begin(now)
	if flight == nil || k.waiting >= maxWaiting {
		return jose.Key{}, k.refusal(kid, now)
	}
	if err := k.wait(ctx, flight); err != nil {
		return jose.Key{}, err
	}
	now = k.clock()
	if !k.usable(now) {
		return jose.Key{}, k.refusal(kid, now)
	}
	if key, ok := k.set.ByID[kid]; ok {
		return key, nil
	}
	if k.err == nil {
		k.remember(kid, now)
	}
	return jose.Key{}, k.unknown(kid)
}

// clock is the time on the wall: keys age while the machine sleeps, too.
func (k *remoteKeys) clock() time.Time { return k.now().Round(0) }

// wait gives up the lock until the fetch ends.
func (k *remoteKeys) wait(ctx context.Context, flight <-chan struct{}) error {
	k.waiting++
	k.mu.Unlock()
	defer func() { k.mu.Lock(); k.waiting-- }()
	select {
	case <-flight:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrKeys, context.Cause(ctx))
	}
}

func (k *remoteKeys) usable(now time.Time) bool {
	return !k.read.IsZero() && now.Sub(k.read) < maxStale
}

// begin returns the fetch under way, which it begins unless it is too early for another: then,
// and after close, it returns nil.
func (k *remoteKeys) begin(now time.Time) <-chan struct{} {
	if k.flight != nil {
		return k.flight
	}
	if k.ctx.Err() != nil || k.pause(now) > 0 {
		return nil
	}
	flight := make(chan struct{})
	k.tried, k.flight = now, flight
	k.done.Go(func() { k.fetch(flight) })
	return flight
}

// pause is how long nobody is asked yet. A clock that was put back holds nothing up.
func (k *remoteKeys) pause(now time.Time) time.Duration {
	if k.tried.IsZero() || now.Before(k.tried) {
		return 0
	}
	return fetchPause - now.Sub(k.tried)
}

func (k *remoteKeys) fetch(flight chan struct{}) {
	ctx, cancel := context.WithTimeoutCause(k.ctx, fetchTimeout, fmt.Errorf("no answer within %s", fetchTimeout))
	defer cancel()
	set, fresh, err := k.load(ctx)
	tell := k.land(set, fresh, err)
	close(flight)
	tell() // without the lock: whoever reads the log may be slow
}

// land takes in what a fetch has brought, and returns what is to be logged.
func (k *remoteKeys) land(set jose.KeySet, fresh time.Duration, err error) (tell func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, failed := k.clock(), k.err != nil
	k.flight, k.err = nil, err
	switch {
	case err != nil && k.ctx.Err() != nil: // closed
		return func() {}
	case err != nil:
		meanwhile := k.meanwhile(now)
		return func() {
			k.log.Warn("the keys of an issuer cannot be read", "issuer", k.issuer, "err", err, "until_then", meanwhile)
		}
	}
	k.set, k.read, k.fresh = set, now, now.Add(min(max(fresh, minFresh), maxFresh))
	if !failed {
		return func() {}
	}
	return func() {
		k.log.Info("the keys of an issuer can be read again", "issuer", k.issuer, "keys", len(set.ByID))
	}
}

// meanwhile says what a failed fetch means for tokens of the issuer.
func (k *remoteKeys) meanwhile(now time.Time) string {
	if !k.usable(now) {
		return "its tokens are refused"
	}
	return fmt.Sprintf("the keys read %s ago serve, for %s more", now.Sub(k.read).Round(time.Second), (maxStale - now.Sub(k.read)).Round(time.Second))
}

// refusal says why there is nothing to look in, or why nobody looks now.
func (k *remoteKeys) refusal(kid string, now time.Time) error {
	if k.usable(now) {
		return k.unknown(kid)
	}
	again := ""
	if wait := k.pause(now); wait > 0 {
		again = fmt.Sprintf("; the next try is in %s", wait.Round(time.Second))
	}
	if k.err == nil {
		return fmt.Errorf("%w: too many callers wait for them%s", ErrKeys, again)
	}
	return fmt.Errorf("%w: %w%s", ErrKeys, k.err, again)
}

// unknown says of a key that is not in the set whether it was left out.
func (k *remoteKeys) unknown(kid string) error {
	err := unknown(k.set, kid)
	if k.err != nil {
		err = fmt.Errorf("%w; newer ones cannot be read: %w", err, k.err)
	}
	return err
}

func unknown(set jose.KeySet, kid string) error {
	if why, ok := set.LeftOut[kid]; ok {
		return fmt.Errorf("%w: its set has it, but %s", ErrUnknownKey, why)
	}
	return fmt.Errorf("%w: none of the %d keys of its issuer has the token's kid", ErrUnknownKey, len(set.ByID))
}

// remember notes that no set has the key. There are never more names than callers that waited.
func (k *remoteKeys) remember(kid string, now time.Time) {
	for other, until := range k.absent {
		if !now.Before(until) {
			delete(k.absent, other)
		}
	}
	k.absent[kid] = now.Add(absentFor)
}

func (k *remoteKeys) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, fetchTimeout, fmt.Errorf("no answer within %s", fetchTimeout))
	defer cancel()
	_, _, err := k.load(ctx)
	return err
}

func (k *remoteKeys) close() {
	k.mu.Lock() // so that no fetch begins any more
	k.stop()
	k.mu.Unlock()
	k.done.Wait()
}
