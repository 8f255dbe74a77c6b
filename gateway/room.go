package gateway

import (
	"context"
	"errors"
	"math"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// room is what the bodies of requests may take of the memory at one time, over all grants. A body has its
// room before it is read and for as long as its request is under way. Small ones go on without: they take
// little more than their connections do.
type room struct {
	most int64 // bytes; immutable

	mu      sync.Mutex // guards all below
	taken   int64
	by      map[holder]int64 // of taken; without those who hold nothing
	waiting []*guest         // in the order in which they came
}

// holder is whose body it is: a subject, whatever grants it has.
type holder struct{ issuer, subject string }

// guest waits for room.
type guest struct {
	of    holder
	bytes int64
	in    chan struct{} // closed when it has its room
}

const (
	smallBody   = 64 << 10
	defaultRoom = 256 << 20
)

var errNoRoom = errors.New("no room for the body")

// newRoom takes a quarter of the memory that the heap may have, where that is bounded.
func newRoom() *room {
	most := int64(defaultRoom)
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		most = limit / 4
	}
	return &room{most: most, by: map[holder]int64{}}
}

// take waits for room, and gives up with ctx's cause where that ends, and with errNoRoom after most.
func (r *room) take(ctx context.Context, of holder, bytes int64, most time.Duration) error {
	w := &guest{of, bytes, make(chan struct{})}
	r.mu.Lock()
	r.waiting = append(r.waiting, w)
	r.admit()
	r.mu.Unlock()
	select {
	case <-w.in:
		return nil
	default:
	}
	late := time.NewTimer(most)
	defer late.Stop()
	err := errNoRoom
	select {
	case <-w.in:
		return nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-late.C:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at := slices.Index(r.waiting, w)
	if at < 0 {
		return nil // it came in meanwhile
	}
	r.waiting = slices.Delete(r.waiting, at, at+1)
	r.admit() // others may have waited behind it alone
	return err
}

// give gives room back.
func (r *room) give(of holder, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken -= bytes
	if r.by[of] -= bytes; r.by[of] == 0 {
		delete(r.by, of)
	}
	r.admit()
}

// admit lets in who waits, in turn. Nobody has more than half of the room, unless by one body, and who waits
// for more than that is passed by. Whoever else does not fit holds up those behind, or a large body would
// wait for ever; one that is larger than all of the room waits until it is empty. mu is held.
func (r *room) admit() {
	full := false
	r.waiting = slices.DeleteFunc(r.waiting, func(w *guest) bool {
		switch own := r.by[w.of]; {
		case own > 0 && own+w.bytes > r.most/2:
			return false
		case full || r.taken > 0 && r.taken+w.bytes > r.most:
			full = true
			return false
		}
		r.taken += w.bytes
		r.by[w.of] += w.bytes
		close(w.in)
		return true
	})
}

// enter waits for room for the body of this request.
func (x *exchange) enter(bytes int64) error {
	most := x.snap.Limits.BodyTimeout
	err := x.g.room.take(x.bound, x.holder(), bytes, most)
	if errors.Is(err, errNoRoom) {
		return refuse(CodeLimited, "there is no room for a body of more than %d bytes: those of other requests fill it, and none has ended within %v; send less at once, or again later", smallBody, most)
	}
	if err != nil {
		return &Error{Code: CodeMalformed, Public: "the request was cancelled", Err: err}
	}
	x.room = bytes
	x.setBodyDeadline() // from here on: it may have waited
	return nil
}

// vacate gives back all of the room but what is left of the body.
func (x *exchange) vacate(left int64) {
	if back := x.room - left; back > 0 {
		x.room = left
		x.g.room.give(x.holder(), back)
	}
}

func (x *exchange) holder() holder { return holder{x.voucher(), x.who.Subject} }
