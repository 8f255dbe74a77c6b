package audit

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// What can go wrong with the record.
var (
	ErrUnaudited = errors.New("the record cannot be written")                              // the call must not be made
	ErrFull      = errors.New("the record's queue is full")                                // a note was dropped, and counted
	ErrLate      = fmt.Errorf("%w: the disk has not answered for %s", ErrUnaudited, hangs) // the record may yet come to it
	ErrLocked    = errors.New("the audit directory is in use by another process")
)

// Options of a Log. The zero value is good.
type Options struct {
	Logger       *slog.Logger     // default: discard
	Now          func() time.Time // default time.Now
	Key          []byte           // of Digest, 32 bytes; default: <dir>/../keys/audit-digest.key, made at the first start
	SegmentBytes int64            // a segment over this size is followed by the next; default 64 MiB
	Queue        int              // notes that may wait; default 8192
	Continue     bool             // go on in the newest segment, for logs that are opened for each record

	// Preamble returns the records that every new segment begins with, after that of a repair. A
	// segment can then be read without those before it. The writer calls it and waits.
	Preamble func() []*Record

	// Journal is told of each charge once it is on disk, in the order of the numbers and before
	// Decide returns. The writer waits for it, so it must not wait for anything itself.
	Journal func(Charge)

	// Tests only: a disk that fails, and bounds that are soon reached.
	disk                     disk
	noteBytes, decisionBytes int
	packOver                 int64
}

// packOver is the size from which a closed segment is compressed: what is smaller gains less than
// it costs whoever looks into it.
const packOver = 1 << 20

// Bounds of what waits for the disk. Notes and decisions have room of their own, so that no
// flood of the one refuses the other.
const (
	maxNoteBytes     = 16 << 20
	maxDecisions     = 64 << 10
	maxDecisionBytes = 64 << 20
)

// hangs is how long the disk may take for one batch before the log says that it is not well, and
// how long a decision waits for it.
const hangs = 10 * time.Second

// entry is one encoded record on its way to the writer.
type entry struct {
	tail   []byte
	done   chan error  // one answer for a decision; unused for a note
	late   *time.Timer // of a decision that waits; nil before its first use
	charge Charge      // without its number, which is the writer's to give
}

// newEntry makes room for a common record at once.
func newEntry() *entry { return &entry{tail: make([]byte, 0, 1024), done: make(chan error, 1)} }

// Log is the record of one state directory. It is safe for concurrent use.
type Log struct {
	dir    string
	o      Options
	lock   *os.File
	report string
	keeper *keeper
	macs   sync.Pool // of hash.Hash
	pool   sync.Pool // of *entry

	mu            sync.Mutex // guards the six below; never held while the disk is waited for
	decisions     []*entry
	decisionBytes int
	notes         []*entry
	noteBytes     int
	dropped       int64
	closed        bool

	refusals        refusals
	wake            chan struct{} // holds at most one wake-up
	lazy            *time.Timer   // wakes the writer for notes that nothing else wakes it for
	stopped         chan struct{} // closed when the writer has ended
	unwell          atomic.Pointer[error]
	busy            atomic.Int64 // when the batch began that the disk has not answered, in nanoseconds since opened; 0 for none
	opened          time.Time    // with the monotonic clock: setting the other one makes no disk hang, and none look well
	syncs, syncTime atomic.Int64 // batches that the disk has taken, and the nanoseconds that it took for them
	closeErr        error        // set before stopped is closed
}

// Open takes the directory, mends what a crash has left, and begins a new segment. It fails
// where the record could not be written: a gateway without a record serves nobody.
func Open(dir string, o Options) (*Log, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 64 << 20
	}
	if o.packOver <= 0 {
		o.packOver = packOver
	}
	if o.Queue <= 0 {
		o.Queue = 8192
	}
	if o.disk == nil {
		o.disk = realDisk{}
	}
	if o.noteBytes == 0 {
		o.noteBytes, o.decisionBytes = maxNoteBytes, maxDecisionBytes
	}
	if o.Key != nil && len(o.Key) != keyBytes {
		return nil, fmt.Errorf("the key of digests has %d bytes; want %d", len(o.Key), keyBytes)
	}
	if err := privateDir(dir); err != nil {
		return nil, err
	}
	held, err := lock(dir)
	if err != nil {
		return nil, err
	}
	l := &Log{dir: dir, o: o, lock: held, wake: make(chan struct{}, 1), stopped: make(chan struct{}), opened: time.Now()}
	l.lazy = time.AfterFunc(noteDelay, l.wakeWriter)
	if err := l.start(); err != nil {
		return nil, errors.Join(err, held.Close())
	}
	return l, nil
}

func (l *Log) start() error {
	if l.o.Key == nil {
		key, err := digestKey(keyPath(l.dir))
		if err != nil {
			return err
		}
		l.o.Key = key
	}
	l.macs.New = func() any { return hmac.New(sha256.New, l.o.Key) }
	l.pool.New = func() any { return newEntry() }
	found, err := repair(l.dir)
	if err != nil {
		return err
	}
	tree, lacks, err := openKeeper(l.dir, &l.o)
	if err != nil {
		return err
	}
	l.keeper = tree
	l.report = found.report
	if lacks != "" && l.report != "" {
		l.report += "; "
	}
	l.report += lacks
	if err := tree.begin(); err != nil {
		return err
	}
	w := &writer{log: l, next: found.next, durable: found.next}
	if !l.o.Continue || l.report != "" || !w.resume() {
		if err := w.begin(l.report, [2]uint64{}); err != nil {
			tree.close()
			return fmt.Errorf("begin audit segment: %w", err)
		}
	}
	if l.report != "" {
		l.o.Logger.Warn("audit log mended", slog.String("report", l.report))
	}
	go w.run()
	return nil
}

// Report says what the start has mended or found, or "".
func (l *Log) Report() string { return l.report }

// Decide returns nil once the record is on disk. On any error, which wraps ErrUnaudited, the
// call must not be made. The record may come to the disk all the same when ctx ended first, and
// when the disk has let it wait for ten seconds (ErrLate). The record is not kept, and may be used
// again.
func (l *Log) Decide(ctx context.Context, r *Record) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrUnaudited, context.Cause(ctx))
	}
	e := l.encode(r)
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return fmt.Errorf("%w: the log is closed", ErrUnaudited)
	}
	if len(l.decisions) > 0 && l.hanging() > hangs {
		l.mu.Unlock()
		l.release(e)
		return fmt.Errorf("%w: the disk does not answer", ErrUnaudited)
	}
	if n := len(l.decisions); n >= maxDecisions || n > 0 && l.decisionBytes+len(e.tail) > l.o.decisionBytes {
		l.mu.Unlock()
		l.release(e)
		return fmt.Errorf("%w: %d decisions wait for the disk", ErrUnaudited, n)
	}
	l.decisions = append(l.decisions, e)
	l.decisionBytes += len(e.tail)
	l.mu.Unlock()
	l.wakeWriter()
	if e.late == nil {
		e.late = time.NewTimer(hangs)
	} else {
		e.late.Reset(hangs)
	}
	select {
	case err := <-e.done:
		e.late.Stop() // before somebody else has e
		l.release(e)
		return err
	case <-ctx.Done(): // the writer still has e
		e.late.Stop()
		return fmt.Errorf("%w: %w", ErrUnaudited, context.Cause(ctx))
	case <-e.late.C: // likewise
		return ErrLate
	}
}

// hanging is how long the disk has not answered for.
func (l *Log) hanging() time.Duration {
	began := l.busy.Load()
	if began == 0 {
		return 0
	}
	return time.Since(l.opened) - time.Duration(began)
}

// noteDelay is how long a note waits for a decision to be written with. Where there are many
// calls, the writer then turns once for both.
const noteDelay = 10 * time.Millisecond

// Note queues a record that nobody waits for: outcomes, and refusals of callers who are known.
// Where the queue is full it drops the record, counts it and returns ErrFull; the count comes
// into the record when there is room. The record is not kept, and may be used again.
func (l *Log) Note(r *Record) error {
	e := l.encode(r)
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return fmt.Errorf("%w: the log is closed", ErrUnaudited)
	}
	if n := len(l.notes); n >= l.o.Queue || n > 0 && l.noteBytes+len(e.tail) > l.o.noteBytes {
		l.dropped++
		l.mu.Unlock()
		l.release(e)
		return ErrFull
	}
	l.notes = append(l.notes, e)
	l.noteBytes += len(e.tail)
	n, half := len(l.notes), l.noteBytes > l.o.noteBytes/2
	l.mu.Unlock()
	if half = half || n > l.o.Queue/2; half {
		l.wakeWriter()
	} else if n == 1 {
		l.lazy.Reset(noteDelay)
	}
	return nil
}

// Refused counts a refusal of somebody who is nobody. It neither waits nor writes: one record
// a second says how many there were of each code, and from where some of them came.
func (l *Log) Refused(source, code string) { l.refusals.add(source, code, l.o.Now) }

func (l *Log) encode(r *Record) *entry {
	e, ok := l.pool.Get().(*entry)
	if !ok {
		e = newEntry()
	}
	e.tail = appendTail(e.tail[:0], r)
	e.charge = r.charge()
	return e
}

// release gives an entry back that the writer has not.
func (l *Log) release(e *entry) {
	const keep = 64 << 10 // one record with large arguments must not hold its memory for ever
	if cap(e.tail) <= keep {
		l.pool.Put(e)
	}
}

func (l *Log) wakeWriter() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Healthy says why decisions cannot be recorded now, or nil.
func (l *Log) Healthy() error {
	if err := l.unwell.Load(); err != nil {
		return *err
	}
	if d := l.hanging(); d > hangs {
		return fmt.Errorf("the disk of %s has not answered for %s", l.dir, d.Truncate(time.Second))
	}
	return nil
}

// Use is what the log has done since the start, and what it has before it.
type Use struct {
	Waiting  int           // records that are not on disk yet
	Dropped  int64         // notes that found no room, and are not in the record yet as a number
	Syncs    int64         // batches that the disk has taken
	SyncTime time.Duration // that it took for them
}

// Use says how the log fares.
func (l *Log) Use() Use {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Use{Waiting: len(l.decisions) + len(l.notes), Dropped: l.dropped, Syncs: l.syncs.Load(), SyncTime: time.Duration(l.syncTime.Load())}
}

// Close writes what waits, and gives the directory free. Records that come later are refused.
// Its error says how many records could not be written.
func (l *Log) Close() error {
	l.mu.Lock()
	already := l.closed
	l.closed = true
	l.mu.Unlock()
	l.wakeWriter()
	<-l.stopped
	if already {
		return nil
	}
	l.keeper.close()
	return errors.Join(l.closeErr, l.lock.Close())
}
