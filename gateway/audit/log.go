package audit

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// What can go wrong with the record.
var (
	ErrUnaudited = errors.New("the record cannot be written") // the call must not be made
	ErrFull      = errors.New("the record's queue is full")   // a note was dropped, and counted
	ErrLocked    = errors.New("the audit directory is in use by another process")
)

// Options of a Log. The zero value is good.
type Options struct {
	Logger       *slog.Logger     // default: discard
	Now          func() time.Time // default time.Now
	Key          []byte           // of Digest; default: <dir>/digest.key, made at the first start
	SegmentBytes int64            // a segment over this size is followed by the next; default 64 MiB
	Queue        int              // notes that may wait; default 8192

	disk disk // tests only
}

// maxNoteBytes bounds the notes that wait, in bytes.
const maxNoteBytes = 16 << 20

// entry is one encoded record on its way to the writer.
type entry struct {
	tail []byte
	done chan error // one answer for a decision; unused for a note
}

// Log is the record of one state directory. It is safe for concurrent use.
type Log struct {
	dir    string
	o      Options
	lock   *os.File
	report string
	macs   sync.Pool // of hash.Hash
	pool   sync.Pool // of *entry

	mu        sync.Mutex // guards the five below
	decisions []*entry
	notes     []*entry
	noteBytes int
	dropped   int64
	closed    bool

	refusals refusals
	wake     chan struct{} // holds at most one wake-up
	stopped  chan struct{} // closed when the writer has ended
	unwell   atomic.Pointer[error]
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
	if o.Queue <= 0 {
		o.Queue = 8192
	}
	if o.disk == nil {
		o.disk = realDisk{}
	}
	if err := privateDir(dir); err != nil {
		return nil, err
	}
	held, err := lock(dir)
	if err != nil {
		return nil, err
	}
	l := &Log{dir: dir, o: o, lock: held, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	if err := l.start(); err != nil {
		return nil, errors.Join(err, held.Close())
	}
	return l, nil
}

func (l *Log) start() error {
	if l.o.Key == nil {
		key, err := digestKey(filepath.Join(l.dir, "digest.key"))
		if err != nil {
			return err
		}
		l.o.Key = key
	}
	l.macs.New = func() any { return hmac.New(sha256.New, l.o.Key) }
	l.pool.New = func() any { return &entry{done: make(chan error, 1)} }
	found, err := repair(l.dir)
	if err != nil {
		return err
	}
	l.report = found.report
	w := &writer{log: l, next: found.next}
	if err := w.newSegment(); err != nil {
		return fmt.Errorf("begin audit segment: %w", err)
	}
	if found.report != "" {
		l.o.Logger.Warn("audit log mended", slog.String("report", found.report))
		if err := l.Note(&Record{ID: NewID(), Time: l.o.Now(), Phase: PhaseRepair, Detail: found.report}); err != nil {
			return err
		}
	}
	go w.run()
	return nil
}

// digestKey reads the key of the arguments' digests, or makes it. Without a key, digests of
// short arguments could be guessed by trying.
func digestKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		return key, writeKey(path, key)
	}
	if err != nil {
		return nil, fmt.Errorf("open digest key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, so others could read it; run: chmod 0600 %s", path, mode, path)
	}
	key, err := os.ReadFile(path)
	if err == nil && len(key) != 32 {
		err = fmt.Errorf("%s has %d bytes; want 32", path, len(key))
	}
	return key, err
}

// writeKey makes the file whole or not at all.
func writeKey(path string, key []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make digest key: %w", err)
	}
	_, err = f.Write(key)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("make digest key: %w", err)
	}
	return nil
}

// Report says what the start has mended, or "".
func (l *Log) Report() string { return l.report }

// Decide returns nil once the record is on disk. On any error, which wraps ErrUnaudited, the
// call must not be made; the record may be there all the same when ctx ended first.
func (l *Log) Decide(ctx context.Context, r *Record) error {
	e := l.encode(r)
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return fmt.Errorf("%w: the log is closed", ErrUnaudited)
	}
	l.decisions = append(l.decisions, e)
	l.mu.Unlock()
	l.wakeWriter()
	select {
	case err := <-e.done:
		l.pool.Put(e)
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnaudited, context.Cause(ctx))
	}
}

// Note queues a record that nobody waits for: outcomes, and refusals of callers who are known.
// Where the queue is full it drops the record, counts it and returns ErrFull; the count comes
// into the record when there is room.
func (l *Log) Note(r *Record) error {
	e := l.encode(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("%w: the log is closed", ErrUnaudited)
	}
	if len(l.notes) >= l.o.Queue || l.noteBytes+len(e.tail) > maxNoteBytes {
		l.dropped++
		return ErrFull
	}
	l.notes = append(l.notes, e)
	l.noteBytes += len(e.tail)
	l.wakeWriter()
	return nil
}

func (l *Log) encode(r *Record) *entry {
	e, ok := l.pool.Get().(*entry)
	if !ok {
		e = &entry{done: make(chan error, 1)}
	}
	e.tail = appendTail(e.tail[:0], r)
	return e
}

func (l *Log) wakeWriter() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Refused counts a refusal of somebody who is nobody. It neither waits nor writes: one record
// a second says how many there were of each code, and from where some of them came.
func (l *Log) Refused(source, code string) { l.refusals.add(source, code) }

// Digest is the keyed digest of b: equal for equal bytes, and of no use to who has not the key.
func (l *Log) Digest(b []byte) string {
	mac, ok := l.macs.Get().(hash.Hash)
	if !ok {
		mac = hmac.New(sha256.New, l.o.Key)
	}
	defer l.macs.Put(mac)
	mac.Reset()
	mac.Write(b)
	const prefix = "hmac-sha256:"
	var sum [sha256.Size]byte
	var out [len(prefix) + 2*sha256.Size]byte
	copy(out[:], prefix)
	hex.Encode(out[len(prefix):], mac.Sum(sum[:0]))
	return string(out[:])
}

// Healthy says why decisions cannot be recorded now, or nil.
func (l *Log) Healthy() error {
	if err := l.unwell.Load(); err != nil {
		return *err
	}
	return nil
}

// Close writes what waits, and gives the directory free. Records that come later are refused.
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
	return errors.Join(l.Healthy(), l.lock.Close())
}
