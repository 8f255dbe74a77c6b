package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sallyport/gateway/audit"
)

// journal reads the audit log of the running gateway, each time from where it stopped: what
// the story tells of a decision is what is on disk.
type journal struct {
	dir       string
	segment   string // the newest that was read
	offset    int64
	decisions int // records read that let a request through
}

// next returns the records that are new.
func (j *journal) next() ([]audit.Record, error) {
	segments, err := filepath.Glob(filepath.Join(j.dir, "*.jsonl")) // sorted by name, hence by time
	if err != nil {
		return nil, fmt.Errorf("list the audit log: %w", err)
	}
	var list []audit.Record
	for _, segment := range segments {
		if segment < j.segment {
			continue
		}
		if segment != j.segment {
			j.segment, j.offset = segment, 0
		}
		records, err := j.rest()
		if err != nil {
			return nil, err
		}
		list = append(list, records...)
	}
	return list, nil
}

// rest reads the whole lines of the segment that are new.
func (j *journal) rest() ([]audit.Record, error) {
	data, err := os.ReadFile(j.segment)
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	data = data[min(j.offset, int64(len(data))):]
	data = data[:bytes.LastIndexByte(data, '\n')+1] // the rest is being written
	j.offset += int64(len(data))
	var list []audit.Record
	for line := range bytes.Lines(data) {
		var r audit.Record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("read the audit log: %w", err)
		}
		if r.Phase == audit.PhaseDecision {
			j.decisions++
		}
		list = append(list, r)
	}
	return list, nil
}

// Refusals are not waited for by the gateway, so they may come a moment after the answer.
const (
	recordTime = 5 * time.Second
	recordPoll = 2 * time.Millisecond
)

// decision returns the record of a tool call made since then: the decision, or the refusal.
// found is false where none comes.
func (j *journal) decision(ctx context.Context, since time.Time, server, tool string) (rec audit.Record, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, recordTime)
	defer cancel()
	since = since.Truncate(time.Millisecond) // the log may not keep more
	for {
		records, err := j.next()
		if err != nil {
			return audit.Record{}, false, err
		}
		for _, r := range records {
			if decides(r) && r.Server == server && r.Tool == tool && !r.Time.Before(since) {
				return r, true, nil
			}
		}
		select {
		case <-ctx.Done():
			return audit.Record{}, false, nil
		case <-time.After(recordPoll):
		}
	}
}

// decides reports whether a record says what became of a tool call at the gate.
func decides(r audit.Record) bool {
	return r.Method == "tools/call" && (r.Phase == audit.PhaseDecision || r.Phase == audit.PhaseRefusal)
}
