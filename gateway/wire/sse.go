package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// ErrEventTooLarge is returned when a server-sent event passes the reader's limit.
var ErrEventTooLarge = errors.New("server-sent event over the size limit")

// Event is one server-sent event with the bytes it came in. Comments, ids, retry values and
// fields nobody knows are in Raw and stay there.
type Event struct {
	Raw  []byte // the exact bytes, through the blank line that ends the event
	Data []byte // the data lines joined by LF; nil when there is none

	// DataStart and DataEnd are where Data lies in Raw, if exactly one data line holds it; else
	// both are -1.
	DataStart, DataEnd int

	HasData    bool
	ID         string // of the last id line; "" also when there is none
	HasID      bool
	Incomplete bool // the stream ended before the blank line; the protocol has clients ignore such an event

	dataLines []dataLine
}

// dataLine is a line of Raw from start to next, its line end beginning at end.
type dataLine struct{ start, end, next int }

// EventReader splits a stream into events. Line ends may be LF, CRLF or CR, mixed, and the
// events are the same however the stream is cut into reads.
type EventReader struct {
	r     io.Reader
	limit int
	buf   []byte // bytes read and not yet returned
	seen  int    // how many of them are known to hold no whole event
	begun bool   // an event was returned: a BOM counts at the start of the stream only
	cr    bool   // the last event ended in CR, so that an LF at the start of buf belongs to it
	err   error  // from r, once buf is used up
}

// NewEventReader reads from r; no event may be larger than limit bytes.
func NewEventReader(r io.Reader, limit int) *EventReader {
	return &EventReader{r: r, limit: limit}
}

// Buffered reports whether another whole event has already been read, so that a caller who
// writes events on can put off flushing.
func (e *EventReader) Buffered() bool {
	_, ok := blankLine(e.buf, e.skipLF())
	return ok
}

// Next returns the next event, whose bytes are its own. At the end of the stream the error is
// io.EOF; bytes after the last blank line come first, as an Incomplete event. After any other
// error the reader is of no more use.
func (e *EventReader) Next() (Event, error) {
	for {
		if n, ok := e.whole(); ok {
			return e.take(n, false)
		}
		if len(e.buf) > e.limit {
			return Event{}, ErrEventTooLarge
		}
		if e.err != nil {
			if errors.Is(e.err, io.EOF) && len(e.buf) > 0 {
				return e.take(len(e.buf), true)
			}
			return Event{}, e.err
		}
		e.fill()
	}
}

// fill reads once. The buffer starts small, since most streams are idle.
func (e *EventReader) fill() {
	const least = 2 << 10
	if cap(e.buf)-len(e.buf) < least/2 {
		grown := make([]byte, len(e.buf), max(least, 2*cap(e.buf)))
		copy(grown, e.buf)
		e.buf = grown
	}
	n, err := e.r.Read(e.buf[len(e.buf):cap(e.buf)])
	e.buf = e.buf[:len(e.buf)+n]
	e.err = err
}

// whole looks for an event that has arrived in full, starting where the last look ended.
func (e *EventReader) whole() (int, bool) {
	start := max(e.skipLF(), e.seen)
	n, ok := blankLine(e.buf, start)
	if !ok {
		e.seen = n
		return 0, false
	}
	return n, true
}

// skipLF is where lines begin: after the LF of a CRLF whose CR ended the last event.
func (e *EventReader) skipLF() int {
	if e.cr && len(e.buf) > 0 && e.buf[0] == '\n' {
		return 1
	}
	return 0
}

// blankLine looks for a blank line from the start of a line on. It returns the end of the
// event, or, if there is none yet, the start of the last unfinished line.
func blankLine(buf []byte, i int) (int, bool) {
	for i < len(buf) {
		end, next := lineEnd(buf, i)
		if next == 0 || end > i && next == len(buf) && buf[end] == '\r' {
			// A CR at the end of what has arrived may be half of a CRLF. It ends a blank line all
			// the same, or the event would be held back; an LF that follows goes with the next.
			return i, false
		}
		if end == i {
			return next, true
		}
		i = next
	}
	return i, false
}

// lineEnd returns where the line's text ends and where the next line starts; next is 0 if the
// line is not complete.
func lineEnd(buf []byte, i int) (end, next int) {
	j := bytes.IndexByte(buf[i:], '\n')
	if j < 0 {
		j = len(buf) - i
	}
	if k := bytes.IndexByte(buf[i:i+j], '\r'); k >= 0 {
		if k+1 == j && i+j < len(buf) {
			return i + k, i + k + 2
		}
		return i + k, i + k + 1
	}
	if i+j == len(buf) {
		return i + j, 0
	}
	return i + j, i + j + 1
}

// take cuts the first n bytes off the buffer and parses them.
func (e *EventReader) take(n int, incomplete bool) (Event, error) {
	if n > e.limit {
		return Event{}, ErrEventTooLarge
	}
	ev := Event{Raw: bytes.Clone(e.buf[:n]), DataStart: -1, DataEnd: -1, Incomplete: incomplete}
	ev.parse(e.skipLF(), !e.begun)
	e.begun, e.seen = true, 0
	e.cr = ev.Raw[n-1] == '\r'
	e.buf = e.buf[:copy(e.buf, e.buf[n:])]
	const keep = 64 << 10
	if len(e.buf) == 0 && cap(e.buf) > keep {
		e.buf = nil // one large event must not cost an idle stream its memory
	}
	return ev, nil
}

func (ev *Event) parse(i int, atStart bool) {
	for i < len(ev.Raw) {
		end, next := lineEnd(ev.Raw, i)
		if next == 0 {
			next = len(ev.Raw)
		}
		from := i
		if atStart {
			from += len(ev.Raw[i:end]) - len(bytes.TrimPrefix(ev.Raw[i:end], []byte("\xef\xbb\xbf")))
			atStart = false
		}
		ev.field(from, dataLine{i, end, next})
		i = next
	}
	if len(ev.dataLines) > 1 {
		ev.DataStart, ev.DataEnd = -1, -1
	}
}

// field reads one line, whose text begins at from.
func (ev *Event) field(from int, l dataLine) {
	name, value, _ := bytes.Cut(ev.Raw[from:l.end], []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "data":
		if ev.HasData {
			ev.Data = append(append(ev.Data[:len(ev.Data):len(ev.Data)], '\n'), value...)
		} else {
			ev.DataStart, ev.DataEnd = l.end-len(value), l.end
			ev.Data = ev.Raw[ev.DataStart:ev.DataEnd:ev.DataEnd]
		}
		ev.HasData = true
		ev.dataLines = append(ev.dataLines, l)
	case "id":
		if bytes.IndexByte(value, 0) < 0 { // such ids are ignored, says the SSE specification
			ev.ID, ev.HasID = string(value), true
		}
	}
}

// ReplaceData returns the event's bytes with data in place of its data lines; every other line
// stays as it is. Line ends in data become further data lines. An event without data is
// returned unchanged.
func (ev Event) ReplaceData(data []byte) []byte {
	if len(ev.dataLines) == 0 {
		return ev.Raw
	}
	out := make([]byte, 0, len(ev.Raw)+len(data)+len("data: \n"))
	copied := 0
	for i, l := range ev.dataLines {
		out = append(out, ev.Raw[copied:l.start]...)
		if i == 0 {
			out = appendData(out, data, ev.Raw[l.end:l.next])
		}
		copied = l.next
	}
	return append(out, ev.Raw[copied:]...)
}

// appendData appends data lines that end as the line did that they replace.
func appendData(dst, data, end []byte) []byte {
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			if len(end) == 0 {
				dst = append(dst, '\n')
			}
			dst = append(dst, end...)
		}
		dst = append(dst, "data: "...)
		dst = append(dst, line...)
	}
	return append(dst, end...)
}

// AppendEvent appends a message of the gateway's own as an event. data must not hold line ends.
func AppendEvent(dst, data []byte) []byte {
	dst = append(dst, "event: message\ndata: "...)
	dst = append(dst, data...)
	return append(dst, "\n\n"...)
}
