package federate

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"time"
)

// maxReplayed bounds the assertions of one client that are remembered at a time.
const maxReplayed = 10_000

// replays remembers the assertions of one client until they end.
type replays struct {
	since time.Time // when it began; what was used before is not known

	mu   sync.Mutex // guards what follows
	seen map[[sha256.Size]byte]time.Time
}

func newReplays(now time.Time) *replays {
	return &replays{since: now, seen: map[[sha256.Size]byte]time.Time{}}
}

// take notes that the assertion is used. The error is ErrReplay or ErrFull.
func (r *replays) take(jti string, issued int64, until, now time.Time) error {
	// After a restart nobody remembers what was used, so only what was made since then is good.
	if issued < r.since.Unix() {
		return fmt.Errorf("%w, perhaps: it was made before this gateway began; make another", ErrReplay)
	}
	sum := sha256.Sum256([]byte(jti))
	r.mu.Lock()
	defer r.mu.Unlock()
	if end, ok := r.seen[sum]; ok && now.Before(end) {
		return ErrReplay
	}
	if len(r.seen) >= maxReplayed {
		for other, end := range r.seen {
			if !now.Before(end) {
				delete(r.seen, other)
			}
		}
		if len(r.seen) >= maxReplayed {
			return fmt.Errorf("%w: %d are remembered until they end, at most %s", ErrFull, maxReplayed, MaxAssertionLifetime)
		}
	}
	r.seen[sum] = until
	return nil
}
