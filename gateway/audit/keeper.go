package audit

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// checkpointEvery is the most time between a record and a checkpoint that covers it, while the
// disk is well; historyEvery is that between two which are kept.
const (
	checkpointEvery = time.Second
	historyEvery    = time.Hour
)

// maxPending bounds the hashes that wait to be written, in bytes.
const maxPending = 4 << 20

// keeper keeps the tree. It reads the segments behind the writer, only what a sync has covered,
// so that no decision waits for it and a line that nobody was told of is never a leaf. What it
// writes can be made again from the segments; a failure costs it work and the record nothing.
type keeper struct {
	dir    string
	o      *Options
	signer note.Signer
	origin string
	packer *packer // nil until begin

	mu    sync.Mutex // guards spans
	spans []span     // from the one that is read, at least one while there are segments

	wake    chan struct{} // holds at most one wake-up
	stop    chan struct{}
	stopped chan struct{}

	// The rest is run's, and that of the start before it.
	at      position // what is hashed
	pending []byte   // of it, hashes that are not in the file
	starts  []byte   // of it, lines of the index that are not in the file
	good    position // what is on disk and under a checkpoint; a failure goes back to it
	hashes  file     // nil until it is opened, and after a failure
	index   file
	signed  Checkpoint
	history []byte    // the checkpoints that are kept
	kept    time.Time // when the newest of them was
	expect  []Checkpoint
	failing bool
	hasher  *leafHasher
}

// span is a segment and how far a sync has covered it.
type span struct {
	segment
	end int64 // of the lines, uncompressed
}

// position is a state of the tree and of its files.
type position struct {
	edge   edge
	span   int   // index in spans
	offset int64 // in it, uncompressed
	index  int64 // bytes of the index file
	begun  bool  // the index has the segment
}

// publish tells how far a sync has covered a segment. It waits for nothing.
func (k *keeper) publish(s segment, end int64) {
	k.mu.Lock()
	if n := len(k.spans); n > 0 && k.spans[n-1].path == s.path {
		k.spans[n-1].end = end
	} else {
		k.spans = append(k.spans, span{s, end})
	}
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// begin signs what the start has found, and lets the keeper run. It comes before the first record
// of this start, so that there is never a record without a checkpoint before it.
func (k *keeper) begin() error {
	k.packer = startPacker(k.dir, k.o)
	if err := k.checkpoint(true); err != nil {
		k.closeFiles()
		k.packer.close()
		return fmt.Errorf("begin checkpoints: %w", err)
	}
	go k.run()
	return nil
}

func (k *keeper) run() {
	defer close(k.stopped)
	for {
		select {
		case <-k.wake:
		case <-k.stop:
			_ = k.turn(true) // the next start does what this cannot
			k.closeFiles()
			return
		}
		if err := k.turn(false); err != nil {
			select {
			case k.wake <- struct{}{}:
			default:
			}
		}
		select {
		case <-time.After(checkpointEvery):
		case <-k.stop:
		}
	}
}

// close takes in what the writer has left, and ends.
func (k *keeper) close() {
	close(k.stop)
	<-k.stopped
	k.packer.close()
}

// turn takes in what is published and signs it.
func (k *keeper) turn(last bool) error {
	err := k.absorb()
	full := last || k.at.span > 0 || k.o.Now().Sub(k.kept) >= historyEvery
	if err == nil && (full || k.at.edge.size > k.signed.Size) {
		err = k.checkpoint(full)
	}
	if err != nil {
		k.back()
		if !k.failing {
			k.o.Logger.Error("the tree of the audit log cannot be written: records are not under a checkpoint", slog.Any("error", err))
		}
		k.failing = true
		return err
	}
	if k.failing {
		k.failing = false
		k.o.Logger.Info("the tree of the audit log is written again", slog.Int64("size", k.signed.Size))
	}
	return nil
}

// back goes to the newest state that is known to be on disk. After a failed sync the kernel may
// have dropped what it could not write, so all that came later is hashed and written again.
func (k *keeper) back() {
	k.closeFiles()
	k.at = k.good
	k.at.edge = k.good.edge.clone()
	k.pending, k.starts = k.pending[:0], k.starts[:0]
}

func (k *keeper) closeFiles() {
	for _, f := range []file{k.hashes, k.index} {
		if f != nil {
			_ = f.Close() // what matters of it was synced
		}
	}
	k.hashes, k.index = nil, nil
}

// absorb hashes what is published and was not.
func (k *keeper) absorb() error {
	for {
		k.mu.Lock()
		n := len(k.spans)
		if n == 0 {
			k.mu.Unlock()
			return nil
		}
		s := k.spans[k.at.span]
		k.mu.Unlock()
		if k.at.offset < s.end {
			if err := k.hash(s); err != nil {
				return err
			}
			continue
		}
		if k.at.span == n-1 {
			return nil
		}
		k.at.span, k.at.offset, k.at.begun = k.at.span+1, 0, false
	}
}

// hash takes in the lines of a segment up to its end.
func (k *keeper) hash(s span) error {
	r, err := s.open()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // only read
	if err := skip(r, k.at.offset); err != nil {
		return fmt.Errorf("read audit segment %s: %w", s.name, err)
	}
	if !k.at.begun {
		k.starts = append(k.starts, TreeStart{s.first, k.at.edge.size}.line()+"\n"...)
		k.at.begun = true
	}
	lines := newLineReader(io.LimitReader(r, s.end-k.at.offset), s.end-k.at.offset)
	for k.at.offset < s.end {
		line, err := lines.next()
		if err != nil {
			return fmt.Errorf("read audit segment %s: it ends before what was written to it: %w", s.name, err)
		}
		k.pending = k.at.edge.add(k.hasher.leaf(line), k.pending)
		k.at.offset += int64(len(line)) + 1
		for len(k.expect) > 0 && k.expect[0].Size == k.at.edge.size {
			if root := k.at.edge.root(); root != k.expect[0].Root {
				return disagree(k.dir, k.expect[0])
			}
			k.expect = k.expect[1:]
		}
		if len(k.pending) >= maxPending {
			if err := k.write(); err != nil {
				return err
			}
		}
	}
	return nil
}

func disagree(dir string, c Checkpoint) error {
	return fmt.Errorf("the record in %s is not the one whose first %d lines a checkpoint signed, and the tree that could tell is damaged: "+
		"run sallyport audit verify, keep the directory, and begin a new record by moving it aside", dir, c.Size)
}

func skip(r io.Reader, n int64) error {
	if s, ok := r.(io.Seeker); ok {
		_, err := s.Seek(n, io.SeekStart)
		return err
	}
	_, err := io.CopyN(io.Discard, r, n)
	return err
}

// write adds the pending hashes to their file. Where the file was closed by a failure, it is
// first cut to what is known to be good.
func (k *keeper) write() error {
	var err error
	if k.hashes == nil {
		if k.hashes, err = k.reopen(hashesName, storedBytes(k.good.edge.size)); err != nil {
			return err
		}
	}
	if k.index == nil {
		if k.index, err = k.reopen(indexName, k.good.index); err != nil {
			return err
		}
	}
	if err := writeAll(k.hashes, k.pending); err != nil {
		return fmt.Errorf("write tree: %w", err)
	}
	k.pending = k.pending[:0]
	if err := writeAll(k.index, k.starts); err != nil {
		return fmt.Errorf("write tree: %w", err)
	}
	k.at.index += int64(len(k.starts))
	k.starts = k.starts[:0]
	return nil
}

func (k *keeper) reopen(name string, size int64) (file, error) {
	f, err := k.o.disk.Append(filepath.Join(k.dir, treeName, name))
	if err != nil {
		return nil, fmt.Errorf("open tree: %w", err)
	}
	if err := f.Truncate(size); err != nil {
		return nil, errors.Join(fmt.Errorf("open tree: %w", err), f.Close())
	}
	return f, nil
}

func writeAll(f file, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	n, err := f.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}
