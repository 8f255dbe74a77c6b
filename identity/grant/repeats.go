package grant

import (
	"slices"
	"time"
)

// repeats counts the calls of a tree that are the same. It lives in memory.
type repeats struct {
	made map[string][]time.Time // by digest, oldest first
	size int                    // times in all
	// The longest time that any bound has looked back; ever is for good.
	longest time.Duration
	ever    bool
}

// maxRepeats bounds the times that one tree can make the gateway remember, each of 24 bytes. When
// they are used up further calls under such a bound are refused: were the oldest forgotten, a loop
// could go on by doing other things in between.
const maxRepeats = 16 << 10

// count returns how often the call has been made within a duration, or ever where that is 0.
func (r *repeats) count(digest string, within time.Duration, now time.Time) int64 {
	r.longest, r.ever = max(r.longest, within), r.ever || within == 0
	times := r.made[digest]
	if within > 0 {
		i, _ := slices.BinarySearchFunc(times, now.Add(-within), time.Time.Compare)
		times = times[i:]
	}
	return int64(len(times))
}

// take counts a call.
func (r *repeats) take(digest string, now time.Time) error {
	if r.size >= maxRepeats && !r.ever {
		r.forget(now.Add(-r.longest))
	}
	if r.size >= maxRepeats {
		return &ExhaustedError{Policy: true, Kind: Repeats}
	}
	if r.made == nil {
		r.made = map[string][]time.Time{}
	}
	times := r.made[digest]
	at, _ := slices.BinarySearchFunc(times, now, time.Time.Compare) // a clock may be set back
	r.made[digest] = slices.Insert(times, at, now)
	r.size++
	return nil
}

// forget drops what lies before a time, so before all that any bound looks at.
func (r *repeats) forget(before time.Time) {
	for digest, times := range r.made {
		i, _ := slices.BinarySearchFunc(times, before, time.Time.Compare)
		r.size -= i
		if times = slices.Delete(times, 0, i); len(times) == 0 {
			delete(r.made, digest)
			continue
		}
		r.made[digest] = times
	}
}

// giveBack takes one away that was counted at a time.
func (r *repeats) giveBack(digest string, at time.Time) {
	times := r.made[digest]
	i := slices.IndexFunc(times, at.Equal)
	if i < 0 {
		return
	}
	r.size--
	if times = slices.Delete(times, i, i+1); len(times) == 0 {
		delete(r.made, digest)
		return
	}
	r.made[digest] = times
}
