package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// summaryEvery is how often counts are written.
const summaryEvery = time.Second

// retryEvery bounds how often a disk that fails is tried again.
const retryEvery = 200 * time.Millisecond

// writer is the one goroutine that writes. It takes all that waits, writes it at once, waits
// for the disk once, and then tells everybody (group commit).
type writer struct {
	log  *Log
	next uint64 // seq of the next record

	reached uint64 // seq after those that were last tried

	seg   file // nil after a failure, until a new segment is there
	path  string
	size  int64 // bytes of the segment that are known to be good
	buf   []byte
	stale bool      // notes were written that no sync has followed
	tried time.Time // of the newest failure
	lost  int64     // decisions refused since the failure
}

func (w *writer) run() {
	l := w.log
	defer close(l.stopped)
	tick := time.NewTicker(summaryEvery)
	defer tick.Stop()
	for {
		summaries := false
		select {
		case <-l.wake:
		case <-tick.C:
			summaries = true
		}
		l.mu.Lock()
		decisions, notes, closed := l.decisions, l.notes, l.closed
		l.decisions, l.notes, l.noteBytes = nil, nil, 0
		if summaries || closed {
			notes = append(notes, w.summaries()...)
		}
		l.mu.Unlock()
		w.batch(decisions, notes, summaries || closed)
		if closed {
			w.close()
			return
		}
	}
}

// summaries must be called with the log's mu held.
func (w *writer) summaries() []*entry {
	l := w.log
	var out []*entry
	for _, r := range l.refusals.take(l.o.Now()) {
		out = append(out, l.encode(r))
	}
	if l.dropped > 0 && w.seg != nil {
		out = append(out, l.encode(&Record{ID: NewID(), Time: l.o.Now(), Phase: PhaseSummary, Code: "dropped", Count: l.dropped,
			Detail: "records of outcomes and refusals for which there was no room"}))
		l.dropped = 0
	}
	return out
}

// batch writes the records and answers for the decisions. sync also waits for the disk where
// no decision does.
func (w *writer) batch(decisions, notes []*entry, sync bool) {
	err := w.write(decisions, notes, sync)
	if err != nil {
		w.lost += int64(len(decisions))
		w.keep(notes)
		err = fmt.Errorf("%w: %w", ErrUnaudited, err)
	}
	for _, e := range decisions {
		e.done <- err
	}
	if err == nil {
		for _, e := range notes {
			w.log.pool.Put(e)
		}
	}
}

// keep queues notes again that could not be written, as far as there is room.
func (w *writer) keep(notes []*entry) {
	l := w.log
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range notes {
		if len(l.notes) >= l.o.Queue || l.noteBytes+len(e.tail) > maxNoteBytes {
			l.dropped++
			continue
		}
		l.notes = append(l.notes, e)
		l.noteBytes += len(e.tail)
	}
}

func (w *writer) write(decisions, notes []*entry, sync bool) error {
	if len(decisions)+len(notes) == 0 && !(sync && w.stale) && w.seg != nil {
		return nil
	}
	if err := w.ready(); err != nil {
		return err
	}
	// Notes first: what they tell of was there before the decisions that wait now.
	w.buf = w.buf[:0]
	seq := w.next
	for _, list := range [2][]*entry{notes, decisions} {
		for _, e := range list {
			w.buf = append(w.buf, `{"seq":`...)
			w.buf = strconv.AppendUint(w.buf, seq, 10)
			w.buf = append(w.buf, e.tail...)
			seq++
		}
	}
	w.reached = seq
	if len(w.buf) > 0 {
		if n, err := w.seg.Write(w.buf); err != nil || n < len(w.buf) {
			return w.failed(errors.Join(err, shortWrite(n, len(w.buf))))
		}
		w.stale = true
	}
	full := w.size+int64(len(w.buf)) >= w.log.o.SegmentBytes
	if len(decisions) > 0 || sync || full {
		if err := w.seg.Sync(); err != nil {
			return w.failed(err)
		}
		w.stale = false
	}
	w.size += int64(len(w.buf))
	w.next = seq
	if full {
		w.rotate()
	}
	const keepBuffer = 1 << 20
	if cap(w.buf) > keepBuffer {
		w.buf = nil
	}
	return nil
}

func shortWrite(n, want int) error {
	if n < want {
		return fmt.Errorf("wrote %d of %d bytes", n, want)
	}
	return nil
}

// ready makes sure that there is a segment to write to.
func (w *writer) ready() error {
	if w.seg != nil {
		return nil
	}
	if since := time.Since(w.tried); since < retryEvery {
		return w.log.Healthy()
	}
	if err := w.newSegment(); err != nil {
		return w.failed(err)
	}
	w.log.unwell.Store(nil)
	w.log.o.Logger.Info("audit log writes again", slog.Int64("refused", w.lost))
	e := w.log.encode(&Record{ID: NewID(), Time: w.log.o.Now(), Phase: PhaseRepair, Count: w.lost,
		Detail: "the record could be written again; the calls counted here were refused"})
	w.lost = 0
	w.keep([]*entry{e})
	w.log.wakeWriter()
	return nil
}

// failed gives the segment up. It is cut back to what is known to be good, and never synced
// again: after a failed sync the kernel may have dropped the data and report success the next
// time. The next segment is another file.
func (w *writer) failed(err error) error {
	w.tried = time.Now()
	if w.log.unwell.Load() == nil {
		w.log.o.Logger.Error("audit log cannot be written: calls are refused", slog.Any("error", err))
	}
	w.log.unwell.Store(&err)
	if w.seg != nil {
		// What follows the good part was acknowledged to nobody. Where it cannot be cut off, its
		// numbers are not given again.
		if w.seg.Truncate(w.size) != nil {
			w.next = w.reached
		}
		_ = w.seg.Close() // nothing more can be done
		if w.size == 0 {
			_ = os.Remove(w.path) // its name is needed for the next
		}
		w.seg = nil
	}
	return err
}

func (w *writer) newSegment() error {
	path := filepath.Join(w.log.dir, segmentName(w.next))
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		_ = os.Remove(path) // left empty by a start or a failure; Create says if it is still there
	}
	seg, err := w.log.o.disk.Create(path)
	if err != nil {
		return err
	}
	w.seg, w.path, w.size, w.stale = seg, path, 0, false
	return nil
}

// rotate begins the next segment. If that fails, the next batch tries again.
func (w *writer) rotate() {
	old := w.seg
	if err := w.newSegment(); err != nil {
		w.log.o.Logger.Warn("audit segment not rotated", slog.Any("error", err))
		return // the full segment goes on growing, which is better than refusing
	}
	if err := old.Close(); err != nil {
		w.log.o.Logger.Warn("audit segment not closed", slog.Any("error", err))
	}
}

func (w *writer) close() {
	if w.seg == nil {
		return
	}
	if err := errors.Join(w.seg.Sync(), w.seg.Close()); err != nil {
		w.log.unwell.Store(&err)
	}
}
