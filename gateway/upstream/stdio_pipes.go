package upstream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"sallyport/gateway"
)

// pipes are the ends of a program's three: [0] is read, [1] is written.
type pipes struct{ stdin, stdout, stderr [2]*os.File }

func newPipes() (*pipes, error) {
	var all pipes
	for _, pair := range []*[2]*os.File{&all.stdin, &all.stdout, &all.stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			all.closeTheirs()
			all.closeOurs()
			return nil, fmt.Errorf("start server: %w", err)
		}
		pair[0], pair[1] = r, w
	}
	return &all, nil
}

func (p *pipes) closeTheirs() { closeAll(p.stdin[0], p.stdout[1], p.stderr[1]) }
func (p *pipes) closeOurs()   { closeAll(p.stdin[1], p.stdout[0], p.stderr[0]) }

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

var (
	// errHung is why a program is ended that does not read what is written to it.
	errHung = fmt.Errorf("%w: the server does not read its input", gateway.ErrTimeout)
	// errInputClosed is returned when a program has closed its input.
	errInputClosed = errors.New("the server has closed its input")
	// errFull is returned when more waits to be written than there is room for.
	errFull = errors.New("the server is behind with reading its input")
)

// outbox writes lines to a program. Whoever finds nobody writing writes all that waits; the
// others only leave theirs. Nobody waits for the program longer than a moment: what it does not
// read at once is written behind the scenes.
type outbox struct {
	file    *os.File
	timeout time.Duration // for the program to read what has been written
	most    int           // bytes that may wait
	failed  func(error)   // called once, when nothing more can be written

	until time.Time // the deadline of file; as file, whoever has set writing has it

	mu      sync.Mutex // guards all below
	waiting []byte
	spare   []byte
	writing bool
	err     error
	room    chan struct{} // closed when there is room again; nil while nobody waits for that
}

// A caller writes for others as well, but not for ever, and not at the program's pace.
const (
	atOnce     = 2 * time.Millisecond
	mostRounds = 8
	keptBuffer = 1 << 20
)

// add appends a line with f and sees to it that it is written. It waits for room, at most until
// ctx ends; once f has been called there is no error.
func (o *outbox) add(ctx context.Context, f func(dst []byte) []byte) error {
	o.mu.Lock()
	for o.err == nil && len(o.waiting) > o.most {
		if o.room == nil {
			o.room = make(chan struct{})
		}
		room := o.room
		o.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
		o.mu.Lock()
	}
	return o.addLocked(f)
}

// addNow is add for what no caller waits for; it fails where there is no room.
func (o *outbox) addNow(f func(dst []byte) []byte) error {
	o.mu.Lock()
	if o.err == nil && len(o.waiting) > 2*o.most {
		o.mu.Unlock()
		return errFull
	}
	return o.addLocked(f)
}

// addLocked must be called with mu held, and releases it.
func (o *outbox) addLocked(f func(dst []byte) []byte) error {
	if o.err != nil {
		defer o.mu.Unlock()
		return o.err
	}
	o.waiting = f(o.waiting)
	if o.writing {
		o.mu.Unlock()
		return nil
	}
	o.writing = true
	o.mu.Unlock()
	runtime.Gosched() // others that are about to add theirs save a write each
	o.mu.Lock()
	for round := range mostRounds {
		batch := o.next()
		o.mu.Unlock()
		o.soon()
		n, err := o.file.Write(batch)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) || err == nil && round == mostRounds-1:
			go o.drain(batch[n:])
			return nil
		case err != nil:
			o.fail(errInputClosed)
			return nil
		}
		o.mu.Lock()
		if o.done(batch) {
			break
		}
	}
	o.mu.Unlock()
	return nil
}

// soon sets a deadline that is near, unless there is one: to set it costs as much as half a write.
func (o *outbox) soon() {
	now := time.Now()
	if left := o.until.Sub(now); left < atOnce/2 || left > atOnce {
		o.until = now.Add(atOnce)
		_ = o.file.SetWriteDeadline(o.until)
	}
}

// drain writes what is left of a batch and all that has come meanwhile.
func (o *outbox) drain(batch []byte) {
	for {
		o.until = time.Now().Add(o.timeout)
		_ = o.file.SetWriteDeadline(o.until)
		switch _, err := o.file.Write(batch); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			o.fail(errHung)
			return
		case err != nil:
			o.fail(errInputClosed)
			return
		}
		o.mu.Lock()
		if o.done(batch) {
			o.mu.Unlock()
			return
		}
		batch = o.next()
		o.mu.Unlock()
	}
}

// next takes what waits. It must be called with mu held.
func (o *outbox) next() []byte {
	batch := o.waiting
	o.waiting, o.spare = o.spare[:0], nil
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
	return batch
}

// done keeps the buffer of a batch for another, and reports whether nothing waits. It must be
// called with mu held.
func (o *outbox) done(batch []byte) bool {
	if cap(batch) <= keptBuffer {
		o.spare = batch[:0]
	}
	if len(o.waiting) > 0 {
		return false
	}
	o.writing = false
	return true
}

func (o *outbox) fail(err error) {
	o.mu.Lock()
	o.err, o.waiting, o.spare = err, nil, nil
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
	o.mu.Unlock()
	o.failed(err)
}
