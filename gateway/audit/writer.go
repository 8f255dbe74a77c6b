package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

// summaryEvery is how often counts are written, and how long a note may be written and not
// synced.
const summaryEvery = time.Second

// retryEvery bounds how often a disk that fails is tried again.
const retryEvery = 200 * time.Millisecond

// gather is how long the writer waits for company where there was some just now. A sync costs
// more than the wait, and one who is alone never waits.
const gather = 200 * time.Microsecond

// maxUnsynced bounds the notes that are kept in memory until a sync covers them, in bytes.
const maxUnsynced = 4 << 20

// writer is the one goroutine that writes. It takes all that waits, writes it at once, waits
// for the disk once, and then tells everybody (group commit).
type writer struct {
	log *Log

	next    uint64 // seq of the next record
	durable uint64 // seq after the newest record that a sync has covered

	seg    file // nil after a failure, until a new segment is there
	path   string
	first  uint64 // seq of its first record
	head   int64  // bytes of its preamble
	size   int64  // bytes written to the segment
	synced int64  // of these, bytes that a sync has covered
	room   int64  // size up to which the disk has room for it

	buf       []byte
	loose     []*entry // notes that are written and not synced; the kernel may yet lose them
	looseSize int
	charges   []Charge // written and not synced

	tried   time.Time // of the newest failure
	refused int64     // decisions since the first failure
	crowd   int       // decisions of the newest batch

	spareDecisions, spareNotes []*entry // backing arrays, to be used again
}

func (w *writer) run() {
	l := w.log
	defer close(l.stopped)
	tick := time.NewTicker(summaryEvery)
	defer tick.Stop()
	for {
		flush := false
		select {
		case <-l.wake:
			if w.crowd > 1 {
				time.Sleep(gather)
			}
		case <-tick.C:
			flush = true
		}
		if closed := w.turn(flush); closed {
			l.closeErr = w.close()
			return
		}
	}
}

// turn writes what waits. While the disk fails it leaves the notes where they are, and refuses
// the decisions at once.
func (w *writer) turn(flush bool) (closed bool) {
	l := w.log
	l.busy.Store(max(1, int64(time.Since(l.opened))))
	defer l.busy.Store(0)
	l.mu.Lock()
	closed = l.closed // nothing is queued after that
	l.mu.Unlock()
	if closed {
		w.tried = time.Time{} // the last chance
	}
	err := w.ready()
	l.mu.Lock()
	decisions := l.decisions
	l.decisions, l.decisionBytes = w.spareDecisions[:0], 0
	var notes []*entry
	if err == nil {
		notes = l.notes
		l.notes, l.noteBytes = w.spareNotes[:0], 0
	}
	l.mu.Unlock()
	if err == nil {
		flush = flush || closed
		if flush {
			notes = w.addCounts(notes)
		}
		err = w.commit(decisions, notes, flush)
		w.spareNotes = spare(notes)
	}
	if err != nil {
		w.refused += int64(len(decisions))
		err = fmt.Errorf("%w: %w", ErrUnaudited, err)
	}
	for _, e := range decisions {
		e.done <- err
	}
	w.crowd = len(decisions)
	w.spareDecisions = spare(decisions)
	if !closed {
		w.rotate()
	}
	if len(decisions) > 1 {
		// Those who were woken may have more to decide. Without this the first of them would get a
		// sync for itself, and the others wait for the next.
		runtime.Gosched()
	}
	return closed
}

// spare makes a backing array free for use again, unless a flood has made it large.
func spare(list []*entry) []*entry {
	if cap(list) > 4096 {
		return nil
	}
	clear(list)
	return list[:0]
}

// addCounts adds what was only counted since the last time.
func (w *writer) addCounts(notes []*entry) []*entry {
	l := w.log
	for _, r := range l.refusals.take(l.o.Now()) {
		notes = append(notes, l.encode(r))
	}
	l.mu.Lock()
	dropped := l.dropped
	l.dropped = 0
	l.mu.Unlock()
	if dropped > 0 {
		notes = append(notes, l.encode(&Record{ID: NewID(), Time: l.o.Now(), Phase: PhaseSummary, Code: "dropped", Count: dropped,
			Detail: "records of outcomes and refusals for which there was no room"}))
	}
	return notes
}

// commit writes the records, and waits for the disk where a decision does. On failure the
// notes are back in the queue.
func (w *writer) commit(decisions, notes []*entry, flush bool) error {
	w.buf = w.buf[:0]
	// Notes first: what they tell of was there before the decisions that wait now.
	w.add(notes)
	w.add(decisions)
	for _, e := range notes {
		w.loose = append(w.loose, e)
		w.looseSize += len(e.tail)
	}
	if err := w.write(); err != nil {
		return w.failed(err)
	}
	if len(decisions) > 0 || w.size > w.synced && (flush || w.full() || w.looseSize > maxUnsynced) {
		return w.sync()
	}
	return nil
}

func (w *writer) add(list []*entry) {
	for _, e := range list {
		w.buf = append(w.buf, `{"seq":`...)
		w.buf = strconv.AppendUint(w.buf, w.next, 10)
		w.buf = append(w.buf, e.tail...)
		if w.log.o.Journal != nil && !e.charge.empty() {
			e.charge.Seq = w.next
			w.charges = append(w.charges, e.charge)
		}
		w.next++
	}
}

func (w *writer) write() error {
	if len(w.buf) == 0 {
		return nil
	}
	n, err := w.seg.Write(w.buf)
	if err != nil {
		return err
	}
	if n < len(w.buf) {
		return fmt.Errorf("write %s: wrote %d of %d bytes", w.path, n, len(w.buf))
	}
	w.size += int64(n)
	w.reserve()
	const keep = 1 << 20
	if cap(w.buf) > keep {
		w.buf = nil
	}
	return nil
}

// reserve keeps room on the disk for what comes next, a sixteenth of a segment at a time, so that a sync
// need not wait for blocks to be found. A segment that stays small, as that of one command, takes none.
// A disk that cannot do it is written to all the same.
func (w *writer) reserve() {
	ahead := w.log.o.SegmentBytes / 16
	if w.size < ahead/16 || w.room-w.size > ahead/2 || w.full() {
		return
	}
	w.room = w.size + ahead
	_ = w.seg.Reserve(w.size, ahead)
}

func (w *writer) sync() error {
	began := time.Now()
	if err := w.seg.Sync(); err != nil {
		return w.failed(err)
	}
	w.log.syncs.Add(1)
	w.log.syncTime.Add(int64(time.Since(began)))
	w.covered()
	for i, e := range w.loose {
		w.log.release(e)
		w.loose[i] = nil
	}
	w.loose, w.looseSize = w.loose[:0], 0
	for _, c := range w.charges {
		w.log.o.Journal(c)
	}
	w.charges = w.charges[:0]
	return nil
}

// covered notes that all that is written is on disk.
func (w *writer) covered() {
	w.synced, w.durable = w.size, w.next
	w.log.keeper.publish(segment{path: w.path, name: filepath.Base(w.path), first: w.first}, w.synced)
}

// full says that the segment has reached its size with more than what each segment begins with.
func (w *writer) full() bool { return w.size >= w.log.o.SegmentBytes && w.size > w.head }

// failed gives the segment up, and puts back in the queue what may be lost with it. The
// segment is never synced again: after a failed sync the kernel marks the pages clean and may
// drop them, so that the next sync of the file reports a success which says nothing about
// them. Hence the next segment is another file, and what the failed one holds beyond its last
// good sync counts as not written.
func (w *writer) failed(err error) error {
	l := w.log
	w.tried = time.Now()
	if l.unwell.Load() == nil {
		l.o.Logger.Error("audit log cannot be written: calls are refused", slog.Any("error", err))
	}
	l.unwell.Store(&err)
	w.abandon()
	w.charges = w.charges[:0] // of decisions that nobody is told of, and of notes that are written again
	if len(w.loose) > 0 {
		l.mu.Lock()
		l.notes = append(w.loose, l.notes...)
		l.noteBytes += w.looseSize
		l.mu.Unlock()
		w.loose, w.looseSize = nil, 0
	}
	return err
}

// close says what could not be written. The log is closed, so nothing more comes.
func (w *writer) close() error {
	l := w.log
	lost := int64(len(l.notes)) + l.dropped
	for _, r := range l.refusals.take(l.o.Now()) {
		lost += r.Count
	}
	var err error
	if w.seg != nil {
		err = w.seg.Close() // all of it is synced
	}
	if err == nil {
		err = l.Healthy()
	}
	if err != nil || lost > 0 {
		return errors.Join(err, fmt.Errorf("close audit log: %d records are lost", lost))
	}
	return nil
}
