package reader

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"sallyport/gateway/audit"
)

// What a line, or a place where lines should be, can be instead of a record. None of them ends
// the reading; any other error does.
var (
	ErrUnfinished = errors.New("the last line is not finished") // being written, or torn by a crash; nobody acted on it
	ErrNotRecord  = errors.New("the line is not a record")      // somebody or the disk has changed it
	ErrAside      = errors.New("the segment was moved aside")   // as damaged, by an operator
	ErrGone       = errors.New("the segment was removed")       // pruned, or by somebody
)

// Told reports whether err is about one place, so that the reading goes on behind it.
func Told(err error) bool {
	return errors.Is(err, ErrGone) || errors.Is(err, ErrUncovered) || errors.Is(err, ErrUnfinished) || errors.Is(err, ErrNotRecord) || errors.Is(err, ErrAside)
}

// Entry is one line of a log.
type Entry struct {
	Raw    []byte       // the line without its newline
	Record audit.Record // what this version understands of it
	Newer  []string     // what a newer version has written and this one does not know; Raw has it
	File   string       // name of the segment
	Line   int          // in the segment, from 1
}

// At is the place of an entry, for a person.
func (e Entry) At() string { return fmt.Sprintf("%s:%d", e.File, e.Line) }

// Options narrow what is read. The zero value reads all.
type Options struct {
	Since time.Time // segments that were finished before are not opened; single lines are not judged
	Has   [][]byte  // lines that lack one of these are not decoded; of strings as [audit.Quote] writes them
	Raw   bool      // entries come with Raw and their place alone; [Entry.Decode] does the rest, perhaps elsewhere
}

// All yields the lines of the log in dir, oldest first. An error stands beside an entry that has
// only a place, and with Raw where there is a line; see [Told] for whether more comes.
func All(dir string, o Options) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		list, err := segments(dir)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		for _, s := range list[skipped(list, o.Since):] {
			if s.damaged {
				if !yield(Entry{File: s.name}, fmt.Errorf("%s: %w as damaged and is not read", s.name, ErrAside)) {
					return
				}
				continue
			}
			if !s.lines(o, yield) {
				return
			}
		}
	}
}

// lines yields the lines of one segment, and returns false when no more is wanted or can be had.
func (s segment) lines(o Options, yield func(Entry, error) bool) bool {
	f, err := s.open()
	if err != nil {
		yield(Entry{File: s.name}, err)
		return false
	}
	defer func() { _ = f.Close() }() // only read
	r := bufio.NewReaderSize(f, 1<<20)
	for n := 1; ; n++ {
		e := Entry{File: s.name, Line: n}
		line, err := readLine(r)
		if errors.Is(err, io.EOF) {
			if len(line) == 0 {
				return true
			}
			e.Raw = bytes.Clone(line)
			return yield(e, fmt.Errorf("%s: %w: it has %d bytes and no newline", e.At(), ErrUnfinished, len(line)))
		}
		if err != nil {
			yield(e, fmt.Errorf("read %s: %w", e.At(), err))
			return false
		}
		if !hasAll(line, o.Has) {
			continue
		}
		e.Raw = bytes.Clone(line)
		if o.Raw {
			if !yield(e, nil) {
				return false
			}
			continue
		}
		if err := e.decode(); !yield(e, err) {
			return false
		}
	}
}

// maxLine bounds a line, in bytes, as it is bounded where the record is verified.
const maxLine = 512 << 20

// readLine returns the next line without its newline; it is good until the next call. The error is
// io.EOF where there was no newline.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	for long := []byte(nil); errors.Is(err, bufio.ErrBufferFull) || long != nil; {
		if long = append(long, line...); len(long) > maxLine {
			return nil, fmt.Errorf("a line of more than %d bytes, which is no record", maxLine)
		}
		if line = long; !errors.Is(err, bufio.ErrBufferFull) {
			break
		}
		line, err = r.ReadSlice('\n')
	}
	if err != nil {
		return line, err
	}
	return line[:len(line)-1], nil
}

func hasAll(line []byte, has [][]byte) bool {
	for _, h := range has {
		if !bytes.Contains(line, h) {
			return false
		}
	}
	return true
}

// Decode fills an entry that was read with [Options.Raw]. The error is one that [All] would have
// yielded beside it.
func (e *Entry) Decode() error { return e.decode() }

// decode fills the entry from its line. A member of another form than this version writes is one
// of a newer version, and stays empty.
func (e *Entry) decode() error {
	err := json.Unmarshal(e.Raw, &e.Record)
	form, other := errors.AsType[*json.UnmarshalTypeError](err)
	if err != nil && (!other || form.Field == "") {
		return fmt.Errorf("%s: %w: somebody or the disk has changed it", e.At(), ErrNotRecord)
	}
	e.Newer = newer(e.Raw, e.Record.Phase)
	if other {
		e.Newer = append(e.Newer, "the form of "+form.Field)
	}
	return nil
}
