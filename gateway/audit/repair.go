package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// tail is what a start finds at the end of the record.
type tail struct {
	next   uint64 // seq of the next record: above all that were given
	report string // what was mended or found; "" for nothing
}

// repair reads the newest segment that holds anything. A crash can leave a last line that is
// not whole; no call was made on it, since its decision was not acknowledged. It is moved
// beside the segment, so that the segment holds whole lines only and nothing is lost.
func repair(dir string) (tail, error) {
	list, err := segments(dir)
	if err != nil {
		return tail{}, err
	}
	t := tail{next: 1}
	read := false
	for _, s := range slices.Backward(list) {
		t.next = max(t.next, s.first)
		if s.damaged {
			// Nobody knows which numbers were in it, only that there were no more than lines fit.
			t.next = max(t.next, s.first+uint64(s.size)/minLine+1) // a size is not negative
			continue
		}
		// An empty segment tells nothing: a failure may have left it, with records of higher
		// numbers in the one before.
		if read || s.size == 0 {
			continue
		}
		found, err := s.scan()
		if err != nil {
			return tail{}, err
		}
		report, err := s.mend(found)
		if err != nil {
			return tail{}, fmt.Errorf("mend audit segment: %w", err)
		}
		t.next = max(t.next, found.last+1)
		if t.report == "" {
			t.report = report
		}
		read = found.whole > 0
	}
	return t, nil
}

// found is what a segment holds.
type found struct {
	last    uint64 // highest seq, also among what is moved aside
	whole   int64  // bytes up to the torn end
	garbage int    // lines in the whole part that are no records
	moved   int    // whole records behind a hole, which are moved aside with it
}

// scan reads the segment. The torn end begins with the last line where that has no newline, or
// with the first that has a NUL: a power cut can leave a hole where one part of a write came to
// the disk and another did not. A sync covers all that stands before it, so what follows a hole
// was acknowledged to nobody.
//
// Garbage in the middle does not stop the gateway: the numbers behind it are known, and the
// line stays as it is for who looks into it. A last whole line that is no record does: how many
// numbers it held is unknown, and a number must not be given twice.
func (s segment) scan() (found, error) {
	f, err := s.open()
	if err != nil {
		return found{}, err
	}
	defer func() { _ = f.Close() }() // only read
	var out found
	torn, badEnd := false, false
	for r := bufio.NewReaderSize(f, 1<<20); ; {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) { // without newline, or empty
			break
		}
		if err != nil {
			return found{}, fmt.Errorf("read audit segment: %w", err)
		}
		torn = torn || bytes.IndexByte(line, 0) >= 0
		seq, ok := lineSeq(line)
		switch {
		case torn && ok:
			out.moved++
		case torn:
		case ok && seq > out.last && seq >= s.first:
			out.whole += int64(len(line))
			badEnd = false
		default:
			out.whole += int64(len(line))
			out.garbage++
			badEnd = !ok
		}
		if ok {
			out.last = max(out.last, seq)
		}
	}
	if badEnd {
		return found{}, fmt.Errorf("the last whole line of %s is not a record, so the next number is unknown, and one could be given twice: "+
			"somebody or the disk has changed the file; run: mv %[1]s %[1]s%s, keep that file, and start again", s.path, damagedSuffix)
	}
	return out, nil
}

// startSeq reads the seq that a line begins with, as the writer writes it.
func startSeq(line []byte) (seq uint64, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte(`{"seq":`))
	if !ok {
		return 0, false
	}
	digits, _, ok := bytes.Cut(rest, []byte{','})
	if !ok || len(digits) > 20 {
		return 0, false
	}
	seq, err := strconv.ParseUint(string(digits), 10, 64)
	return seq, err == nil
}

// lineSeq is startSeq of a line that is a record.
func lineSeq(line []byte) (seq uint64, ok bool) {
	seq, ok = startSeq(line)
	return seq, ok && json.Valid(line)
}

// mend moves the torn end aside and says what was found.
func (s segment) mend(f found) (report string, err error) {
	if n := s.size - f.whole; n > 0 && !s.packed {
		if err := s.moveTorn(f.whole); err != nil {
			return "", err
		}
		report = fmt.Sprintf("the last line of %s was torn; its %d bytes are in %s%s", s.name, n, s.name, tornSuffix)
		if f.moved > 0 {
			report = fmt.Sprintf("the end of %s had a hole; its %d bytes, with %d whole records that nobody was told of, are in %s%s",
				s.name, n, f.moved, s.name, tornSuffix)
		}
	}
	if f.garbage > 0 {
		if report != "" {
			report += "; "
		}
		report += fmt.Sprintf("%d lines of %s are no records or not in order: somebody or the disk has changed them; they are left as they are",
			f.garbage, s.name)
	}
	return report, nil
}

// moveTorn copies what follows the whole part, and cuts it off once the copy is on disk.
func (s segment) moveTorn(whole int64) error {
	f, err := os.OpenFile(s.path, os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	err = copyAside(io.NewSectionReader(f, whole, s.size-whole), s.path+tornSuffix)
	if err == nil {
		err = f.Truncate(whole)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

func copyAside(torn io.Reader, path string) error {
	aside, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(aside, io.MultiReader(torn, bytes.NewReader([]byte{'\n'})))
	return errors.Join(err, aside.Sync(), aside.Close(), syncDir(filepath.Dir(path)))
}
