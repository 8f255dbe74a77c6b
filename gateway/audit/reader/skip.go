package reader

import (
	"bufio"
	"encoding/json"
	"time"
)

// late is how much earlier than its line a record may be timed: it waits for the disk, and the
// clock of a machine is set now and then.
const late = 10 * time.Minute

// skipped is how many of the oldest segments hold nothing since then. Lines are written one after
// the other, so that all of a segment was written before the next one's first line.
func skipped(list []segment, since time.Time) int {
	if since.IsZero() {
		return 0
	}
	n := 0
	for i := 1; i < len(list); i++ {
		if began, ok := list[i].began(); ok {
			if began.After(since.Add(-late)) {
				break
			}
			n = i
		}
	}
	return n
}

// began is the time of the first record, where that can be read.
func (s segment) began() (time.Time, bool) {
	if s.damaged {
		return time.Time{}, false
	}
	f, err := s.open()
	if err != nil {
		return time.Time{}, false
	}
	defer func() { _ = f.Close() }() // only read
	line, err := readLine(bufio.NewReaderSize(f, 4<<10))
	if err != nil {
		return time.Time{}, false
	}
	var r struct{ Time time.Time }
	err = json.Unmarshal(line, &r)
	return r.Time, err == nil && !r.Time.IsZero()
}
