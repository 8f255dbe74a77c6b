package upstream

import (
	"bytes"
	"time"
)

// leastRate is how many bytes a second a server owes once an answer, or an event of a stream, has
// been on its way for longer than the server may be silent. Silence alone is no bound: a byte at a
// time would hold a call, its connection and its place under its grant for months.
const leastRate = 1 << 10

// pace is how fast the piece comes that is being read: a body, or one event of a stream.
type pace struct {
	since time.Time // when the first wait for it began; zero before
	got   int64     // bytes since
}

// late reports whether the piece should be here by now.
func (p *pace) late(now time.Time, patience time.Duration) bool {
	if p.since.IsZero() {
		p.since = now
	}
	return now.Sub(p.since) > patience+time.Duration(p.got)*(time.Second/leastRate)
}

// eventEnd finds the ends of events in a stream that is read in parts.
type eventEnd struct{ after bool } // the last byte so far ended a line

// in reports whether an event ends in the next part.
func (l *eventEnd) in(part []byte) bool {
	begins := l.after && (part[0] == '\n' || part[0] == '\r')
	l.after = part[len(part)-1] == '\n'
	return begins || bytes.Contains(part, []byte("\n\n")) || bytes.Contains(part, []byte("\n\r\n"))
}
