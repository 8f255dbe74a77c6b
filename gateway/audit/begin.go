package audit

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// abandon cuts the segment back to what is on disk, or removes it where nothing is. A cut may
// be undone by a power cut, since the file is not synced again, so its numbers are not given
// again. A segment that was removed cannot come back under a name that is made anew.
func (w *writer) abandon() {
	if w.seg == nil {
		return
	}
	_ = w.seg.Truncate(w.synced) // only tidies: the numbers beyond are named in the next segment
	_ = w.seg.Close()            // nothing more can be done
	if w.synced == 0 && w.log.o.disk.Remove(w.path) == nil {
		w.next = w.first
	}
	w.seg = nil
}

// ready makes sure that there is a segment to write to. After a failure it tries anew, at most
// every retryEvery, and the log is well again only when a record has come to the disk: a full
// disk still makes empty files.
func (w *writer) ready() error {
	if w.seg != nil {
		return nil
	}
	l := w.log
	if time.Since(w.tried) < retryEvery {
		return l.Healthy()
	}
	detail := "the record could be written again; the calls counted here were refused"
	var lost [2]uint64
	if w.next > w.durable {
		lost = [2]uint64{w.durable, w.next - 1}
		detail += fmt.Sprintf("; the numbers %d to %d were acknowledged to nobody", lost[0], lost[1])
	}
	if err := w.begin(detail, lost); err != nil {
		return w.failed(err)
	}
	l.unwell.Store(nil)
	l.o.Logger.Info("audit log writes again", slog.Int64("refused", w.refused))
	w.refused = 0
	return nil
}

// begin makes a segment whose first record is of phase repair, where there is a detail, and
// whose next are the preamble. They are on disk when it returns. That the repair stands first is
// what tells a reader which lines before it are no part of the record.
func (w *writer) begin(detail string, lost [2]uint64) error {
	if err := w.newSegment(); err != nil {
		return err
	}
	w.buf = w.buf[:0]
	if detail != "" {
		w.addRecords(&Record{ID: NewID(), Time: w.log.o.Now(), Phase: PhaseRepair, Count: w.refused, Lost: lost, Detail: detail})
	}
	w.addPreamble()
	if len(w.buf) == 0 {
		return nil
	}
	err := w.write()
	w.head = w.size
	if err == nil {
		err = w.seg.Sync()
	}
	if err != nil {
		w.abandon()
		return err
	}
	w.covered()
	return nil
}

// resume goes on in the newest segment, if it is whole and has room, and reports whether it
// does. The next sync covers the whole file.
func (w *writer) resume() bool {
	list, err := segments(w.log.dir)
	if err != nil || len(list) == 0 {
		return false
	}
	newest := list[len(list)-1]
	if newest.damaged || newest.packed || newest.size == 0 || newest.size >= w.log.o.SegmentBytes {
		return false
	}
	f, err := w.log.o.disk.Append(newest.path)
	if err != nil {
		return false
	}
	w.seg, w.path, w.first, w.head, w.size, w.synced, w.room = f, newest.path, newest.first, 0, newest.size, newest.size, 0
	return true
}

func (w *writer) newSegment() error {
	path := filepath.Join(w.log.dir, segmentName(w.next))
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		_ = w.log.o.disk.Remove(path) // left empty by a start or a failure; Create says if it is still there
	}
	seg, err := w.log.o.disk.Create(path)
	if err != nil {
		return err
	}
	w.seg, w.path, w.first, w.head, w.size, w.synced, w.room = seg, path, w.next, 0, 0, 0, 0
	return nil
}

// addPreamble adds what every segment begins with.
func (w *writer) addPreamble() {
	if w.log.o.Preamble != nil {
		w.addRecords(w.log.o.Preamble()...)
	}
}

func (w *writer) addRecords(list ...*Record) {
	for _, r := range list {
		e := w.log.encode(r)
		w.add([]*entry{e})
		w.log.release(e)
	}
}

// rotate begins the next segment when this one is full. If that fails it goes on growing,
// which is better than refusing, and the next turn tries again. A full segment is synced.
func (w *writer) rotate() {
	if w.seg == nil || !w.full() || w.size > w.synced {
		return
	}
	old := w.seg
	if err := w.newSegment(); err != nil {
		if time.Since(w.tried) >= summaryEvery { // not with every batch
			w.tried = time.Now()
			w.log.o.Logger.Warn("audit segment not rotated", slog.Any("error", err))
		}
		return
	}
	w.buf = w.buf[:0]
	w.addPreamble()
	if err := w.write(); err != nil { // the sync of the next records covers it
		_ = w.failed(err) // which says it
	}
	w.head = w.size
	if err := old.Close(); err != nil {
		w.log.o.Logger.Warn("audit segment not closed", slog.Any("error", err))
	}
}
