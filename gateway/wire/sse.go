package wire

import (
	"bytes"
	"errors"
	"io"
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

	from int // where the text of the first line begins in Raw
}

// EventReader splits a stream into events. Line ends may be LF, CRLF or CR, mixed, and what the
// events say is the same however the stream is cut into reads. It looks at each byte once or
// twice, whatever the sender does.
type EventReader struct {
	r     io.Reader
	limit int
	buf   []byte // bytes read; those before off have been returned
	off   int

	// What is known of buf[off:], as indexes into buf.
	ready int // the end of a whole event, or 0
	line  int // the start of the line that is looked at
	scan  int // no line ends in buf[line:scan]
	lf    int // the first LF from scan on, if there is one there

	begun bool  // an event was returned: a BOM counts at the start of the stream only
	cr    bool  // the last event ended in CR, so that an LF at buf[off] belongs to it
	err   error // from r, once buf is used up
}

// NewEventReader reads from r; no event may be larger than limit bytes.
func NewEventReader(r io.Reader, limit int) *EventReader {
	return &EventReader{r: r, limit: limit}
}

// Buffered reports whether another whole event has already been read, so that a caller who
// writes events on can put off flushing.
func (e *EventReader) Buffered() bool { return e.whole() }

// Next returns the next event, whose bytes are its own. At the end of the stream the error is
// io.EOF; bytes after the last blank line come first, as an Incomplete event. After any other
// error the reader is of no more use.
func (e *EventReader) Next() (Event, error) {
	for {
		if e.whole() {
			return e.take(e.ready, false)
		}
		rest := len(e.buf) - e.off
		if rest > e.limit {
			return Event{}, ErrEventTooLarge
		}
		if e.err != nil {
			if errors.Is(e.err, io.EOF) && rest > 0 {
				// The LF of a CRLF that ended the last event completes it; nothing is cut off.
				return e.take(len(e.buf), e.off+e.half() < len(e.buf))
			}
			return Event{}, e.err
		}
		e.fill()
	}
}

// fill reads once. The buffer starts small, since most streams are idle.
func (e *EventReader) fill() {
	const least, keep = 2 << 10, 64 << 10
	if e.off == len(e.buf) && cap(e.buf) > keep {
		e.buf = nil // one large event must not cost an idle stream its memory
	}
	if cap(e.buf)-len(e.buf) < least/2 {
		e.makeRoom(least)
	}
	n, err := e.r.Read(e.buf[len(e.buf):cap(e.buf)])
	e.buf, e.err = e.buf[:len(e.buf)+n], err
}

// makeRoom moves the bytes that are left to the front, of a larger buffer if need be.
func (e *EventReader) makeRoom(least int) {
	rest := e.buf[min(e.off, len(e.buf)):]
	to := e.buf[:0]
	if cap(e.buf)-len(rest) < least/2 {
		to = make([]byte, 0, max(least, 2*cap(e.buf)))
	}
	e.buf = append(to, rest...)
	e.line, e.scan, e.lf, e.off = e.line-e.off, e.scan-e.off, max(e.lf-e.off, 0), 0
}

// half is 1 if the bytes left begin with the LF of a CRLF whose CR ended the last event.
func (e *EventReader) half() int {
	if e.cr && e.off < len(e.buf) && e.buf[e.off] == '\n' {
		return 1
	}
	return 0
}

// whole looks for an event that has arrived in full, from where the last look ended.
func (e *EventReader) whole() bool {
	if e.ready > 0 {
		return true
	}
	e.line = max(e.line, e.off+e.half())
	for {
		e.scan = max(e.scan, e.line)
		end, next := nextLine(e.buf, e.scan, &e.lf)
		if next == 0 || next == len(e.buf) && e.buf[end] == '\r' && end > e.line {
			// A CR at the end of what has arrived may be half of a CRLF. It ends a blank line all
			// the same, or the event would be held back; an LF that follows goes with the next.
			e.scan = end
			return false
		}
		blank := end == e.line
		e.line = next
		if blank {
			e.ready = next
			return true
		}
	}
}

// nextLine returns where the text of the line ends that goes on at i, and where the next line
// starts: 0 if the line is not complete. *lf remembers the next LF, so that a stream of lone CRs
// is not searched to its end for every line.
func nextLine(buf []byte, i int, lf *int) (end, next int) {
	if *lf < i || *lf >= len(buf) || buf[*lf] != '\n' {
		from := max(i, min(*lf, len(buf)))
		if *lf = bytes.IndexByte(buf[from:], '\n'); *lf < 0 {
			*lf = len(buf) - from
		}
		*lf += from
	}
	end = *lf
	if k := bytes.IndexByte(buf[i:end], '\r'); k >= 0 {
		if end = i + k; end+1 == *lf && *lf < len(buf) {
			return end, end + 2
		}
		return end, end + 1
	}
	if end == len(buf) {
		return end, 0
	}
	return end, end + 1
}

// take cuts the bytes up to n off the buffer and parses them.
func (e *EventReader) take(n int, incomplete bool) (Event, error) {
	if n-e.off > e.limit {
		return Event{}, ErrEventTooLarge
	}
	ev := Event{Raw: bytes.Clone(e.buf[e.off:n]), DataStart: -1, DataEnd: -1, from: e.half(), Incomplete: incomplete}
	if !e.begun && bytes.HasPrefix(ev.Raw, []byte(bom)) {
		ev.from = len(bom)
	}
	ev.parse()
	e.begun, e.cr = true, ev.Raw[len(ev.Raw)-1] == '\r'
	e.off, e.ready = n, 0
	return ev, nil
}

const bom = "\xef\xbb\xbf"

// dataLine is a line of an event from start to next, its line end beginning at end.
type dataLine struct{ start, end, next int }

// eachLine calls f for every line.
func (ev *Event) eachLine(f func(dataLine)) {
	lf := 0
	for i := ev.from; i < len(ev.Raw); {
		end, next := nextLine(ev.Raw, i, &lf)
		if next == 0 {
			next = len(ev.Raw)
		}
		f(dataLine{i, end, next})
		i = next
	}
}

// field splits a line; the value of a line without a colon is empty.
func (ev *Event) field(l dataLine) (name, value []byte) {
	name, value, _ = bytes.Cut(ev.Raw[l.start:l.end], []byte(":"))
	return name, bytes.TrimPrefix(value, []byte(" "))
}

func (ev *Event) parse() {
	joined := false
	ev.eachLine(func(l dataLine) {
		switch name, value := ev.field(l); string(name) {
		case "data":
			switch {
			case !ev.HasData:
				ev.DataStart, ev.DataEnd = l.end-len(value), l.end
				ev.Data = ev.Raw[ev.DataStart:ev.DataEnd:ev.DataEnd]
			case !joined:
				joined = true
				ev.DataStart, ev.DataEnd = -1, -1
				fallthrough // with a Data of no spare room, so that Raw is not written to
			default:
				ev.Data = append(append(ev.Data, '\n'), value...)
			}
			ev.HasData = true
		case "id":
			if bytes.IndexByte(value, 0) < 0 { // such ids are ignored, says the SSE specification
				ev.ID, ev.HasID = string(value), true
			}
		}
	})
}

// ReplaceData returns the event's bytes with data in place of its data lines; every other line
// stays as it is. Line ends in data become further data lines. An event without data is
// returned unchanged.
func (ev Event) ReplaceData(data []byte) []byte {
	if !ev.HasData {
		return ev.Raw
	}
	out := make([]byte, 0, len(ev.Raw)+len(data)+len("data: \n"))
	copied, first := 0, true
	ev.eachLine(func(l dataLine) {
		if name, _ := ev.field(l); string(name) != "data" {
			return
		}
		out = join(out, ev.Raw[copied:l.start])
		if first {
			out = appendData(out, data, ev.Raw[l.end:l.next])
		}
		copied, first = l.next, false
	})
	return join(out, ev.Raw[copied:])
}

// join appends lines after others that did not stand next to them. A CR before and an LF after
// the gap were two line ends and would become one.
func join(dst, lines []byte) []byte {
	if n := len(dst); n > 0 && len(lines) > 0 && dst[n-1] == '\r' && lines[0] == '\n' {
		dst[n-1] = '\n'
	}
	return append(dst, lines...)
}

// appendData appends data lines that end as the line did that they replace.
func appendData(dst, data, end []byte) []byte {
	lf := 0
	for i := 0; ; {
		stop, next := nextLine(data, i, &lf)
		dst = append(dst, "data: "...)
		dst = append(dst, data[i:stop]...)
		if next == 0 {
			return append(dst, end...)
		}
		if len(end) == 0 {
			dst = append(dst, '\n')
		}
		dst = append(dst, end...)
		i = next
	}
}

// AppendEvent appends a message of the gateway's own as an event. Line ends in data become
// further data lines, so that it cannot end the event or begin another.
func AppendEvent(dst, data []byte) []byte {
	dst = append(dst, "event: message\n"...)
	dst = appendData(dst, data, []byte("\n"))
	return append(dst, '\n')
}
