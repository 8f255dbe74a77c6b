package reader

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"time"
)

// poll is how long a follower waits before it looks again.
const poll = 250 * time.Millisecond

// FollowOptions say from where on to follow.
type FollowOptions struct {
	From  Place  // the first line; the zero Place is the oldest there is
	After uint64 // nothing with a number up to this
	Once  bool   // end at the end instead of waiting for more
}

// Follow yields the lines of the log in dir and then each that is written, without loss or
// repetition, over the rotation and the compression of segments, until ctx ends. Where the log has a
// tree, a line is yielded once a checkpoint covers it: what a failing disk takes back was in none.
// With Once there is nothing to wait for, and all whole lines are yielded. Errors are those of [All];
// after one that is not [Told] it ends.
func Follow(ctx context.Context, dir string, o FollowOptions) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		f := follower{dir: dir, o: o, first: o.From.First, line: 1, skip: o.From.Line - 1, yield: yield}
		wait := time.NewTicker(poll)
		defer wait.Stop()
		for f.turn() && !o.Once {
			select {
			case <-ctx.Done():
				return
			case <-wait.C:
			}
		}
	}
}

// follower knows a place by what never changes: the bytes in front of it have been synced, so they
// stand in the segment whatever becomes of that.
type follower struct {
	dir   string
	o     FollowOptions
	yield func(Entry, error) bool

	first uint64 // of the segment
	line  int    // the next one's number
	off   int64  // bytes of the segment in front of it, uncompressed
	skip  int    // lines of the first segment that are not wanted

	waited int // turns since a line was last yielded, while there are some that no checkpoint covers
}

// turn reads what is there, and returns false when no more is wanted or can be had.
func (f *follower) turn() bool {
	final, err := readFinal(f.dir, f.o.Once) // before the segments: what is signed then is in them
	if err != nil {
		f.yield(Entry{}, err)
		return false
	}
	list, err := segments(f.dir)
	if err != nil {
		f.yield(Entry{}, err)
		return false
	}
	for i, s := range list {
		if s.first < f.first || i+1 < len(list) && list[i+1].first <= f.o.After+1 {
			continue
		}
		if s.first > f.first {
			if f.line > 1 && !f.yield(Entry{}, fmt.Errorf("segment %020d: %w after line %d of it was read", f.first, ErrGone, f.line-1)) {
				return false
			}
			f.first, f.line, f.off, f.skip = s.first, 1, 0, 0
		}
		// What follows a segment was begun after it was closed. So what is unfinished in it stays so.
		closed := i+1 < len(list)
		done, more := f.read(s, final.of(s.first), closed)
		if !more {
			return false
		}
		if !done {
			return true
		}
		if closed || s.damaged {
			f.first, f.line, f.off, f.skip = s.first+1, 1, 0, 0
		}
	}
	return true
}

// wait tells who looks on why nothing comes.
func (f *follower) wait(at Entry) bool {
	const told = 20 // turns, some seconds; a gateway that runs signs once a second
	if f.waited++; f.waited != told {
		return true
	}
	return f.yield(at, fmt.Errorf("%s and what follows: %w; it is shown when a gateway that runs, or its next start, has signed one", at.At(), ErrUncovered))
}

// read yields the lines of the segment from the place on, as far as they are final. It is done when
// there are no more; more is false when none are wanted or can be had.
func (f *follower) read(s segment, final bound, closed bool) (done, more bool) {
	if s.damaged {
		return true, f.yield(Entry{File: s.name}, fmt.Errorf("%s: %w as damaged and is not read", s.name, ErrAside))
	}
	file, err := s.open()
	if errors.Is(err, fs.ErrNotExist) {
		return false, true // a failure has removed it, or an operator meanwhile: the next look tells
	}
	if err == nil {
		defer func() { _ = file.Close() }() // only read
		err = pass(file, f.off)
	}
	if err != nil {
		f.yield(Entry{File: s.name, Line: f.line}, fmt.Errorf("read %s:%d: %w", s.name, f.line, err))
		return false, false
	}
	for r := bufio.NewReaderSize(file, 1<<20); ; {
		e := Entry{File: s.name, Line: f.line}
		line, err := readLine(r)
		switch {
		case errors.Is(err, io.EOF):
			if len(line) == 0 || !closed {
				return true, true
			}
			return true, f.yield(e, fmt.Errorf("%s: %w: it has %d bytes and no newline", e.At(), ErrUnfinished, len(line)))
		case err != nil:
			f.yield(e, fmt.Errorf("read %s: %w", e.At(), err))
			return false, false
		case f.line > final.lines && final.all:
			return true, true // what follows was acknowledged to nobody
		case f.line > final.lines:
			return false, f.wait(e)
		}
		f.line++
		f.off += int64(len(line)) + 1
		f.waited = 0
		if f.skip > 0 {
			f.skip--
			continue
		}
		e.Raw = bytes.Clone(line)
		if err = e.decode(); err == nil && e.Record.Seq <= f.o.After {
			continue
		}
		if !f.yield(e, err) {
			return false, false
		}
	}
}

// pass leaves n bytes behind.
func pass(file io.Reader, n int64) error {
	if seeker, ok := file.(io.Seeker); ok {
		_, err := seeker.Seek(n, io.SeekStart)
		return err
	}
	_, err := io.CopyN(io.Discard, file, n)
	return err
}
