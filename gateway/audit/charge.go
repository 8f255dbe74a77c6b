package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
)

// Charge is what a record changes in the counters of its grant: the log is their journal, so that
// a call is charged by the write that records it.
type Charge struct {
	Seq    uint64
	Grant  string
	Server string
	Tool   string
	Calls  int64    // negative: given back
	Bytes  int64    // of arguments, where somebody counts them; negative: given back
	Labels []string // of the grant's tree from now on; nil where it has none
}

func (c *Charge) empty() bool { return c.Calls == 0 && c.Labels == nil }

func (r *Record) charge() Charge {
	c := Charge{Grant: r.Grant, Server: r.Server, Tool: r.Tool, Calls: r.Calls, Bytes: r.Bytes}
	// Also where they are as before: the record of the call that added them may have failed.
	if r.Phase == PhaseDecision && len(r.LabelsAfter) > 0 {
		c.Labels = slices.Clone(r.LabelsAfter)
	}
	return c
}

// Replay tells each of the charges that are in the log of a directory behind the number after, in
// their order. It is for the time before the first Decide, and for looking at a log that nobody
// writes. A segment that was moved aside as damaged cannot be read, and is named in the error once
// all others have been.
func Replay(dir string, after uint64, each func(Charge)) error {
	list, err := segments(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was ever recorded
	}
	if err != nil {
		return err
	}
	var errs []error
	for i, s := range list {
		if i+1 < len(list) && list[i+1].first <= after+1 {
			continue // all of its numbers are below the next one's first
		}
		if s.damaged {
			errs = append(errs, fmt.Errorf("%s is damaged: what it charged is not counted", s.name))
			continue
		}
		if err := s.replay(after, each); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

var (
	hasCalls  = []byte(`,"calls":`)
	hasLabels = []byte(`"labels_after":["`)
)

func (s segment) replay(after uint64, each func(Charge)) error {
	f, err := s.open()
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	for r := bufio.NewReaderSize(f, 1<<20); ; {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read audit segment: %w", err)
		}
		if !bytes.Contains(line, hasCalls) && !bytes.Contains(line, hasLabels) { // most lines
			continue
		}
		var rec Record
		if json.Unmarshal(line, &rec) != nil || rec.Seq <= after {
			continue // what is no record has been reported by the start
		}
		if c := rec.charge(); !c.empty() {
			c.Seq = rec.Seq
			each(c)
		}
	}
}
