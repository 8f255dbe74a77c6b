package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// ErrEventTooLarge is returned when a server-sent event passes the reader's limit.
var ErrEventTooLarge = errors.New("server-sent event over the size limit")

// Event is one server-sent event with the bytes it came in. Comments, ids, retry values and
// fields nobody knows are in Raw and stay there.
type Event struct {
	Raw        []byte // the exact bytes, through the blank line that ends the event
	Data       []byte // the data lines joined by LF; nil when there is none
	HasData    bool
	Incomplete bool // the stream ended without the blank line; clients ignore such an event
	lines      []line
}

type line struct {
	start, end int // of the line in Raw, without its line end
	next       int // start of the next line
	data       bool
}

// EventReader splits a stream into events. Line ends may be LF, CRLF or CR, mixed.
type EventReader struct {
	br  *bufio.Reader
	max int
}

// NewEventReader reads from r; no event may be larger than limit bytes.
func NewEventReader(r io.Reader, limit int) *EventReader {
	return &EventReader{br: bufio.NewReaderSize(r, 4<<10), max: limit}
}

// Buffered reports whether more of the stream has already arrived.
func (e *EventReader) Buffered() bool { return e.br.Buffered() > 0 }

// Next returns the next event. At the end of the stream the error is io.EOF; bytes after the
// last blank line come first, as an Incomplete event.
func (e *EventReader) Next() (Event, error) {
	var ev Event
	for {
		start := len(ev.Raw)
		n, err := e.readLine(&ev)
		if err != nil {
			if errors.Is(err, io.EOF) && len(ev.Raw) > 0 {
				ev.Incomplete = true
				if len(ev.Raw) > start {
					ev.lines = append(ev.lines, line{start: start, end: len(ev.Raw), next: len(ev.Raw)})
				}
				return ev, nil
			}
			return Event{}, err
		}
		l := line{start: start, end: start + n, next: len(ev.Raw)}
		if n == 0 {
			ev.finish()
			return ev, nil
		}
		ev.lines = append(ev.lines, l)
	}
}

// readLine appends one line with its end to ev.Raw and returns its length without the end.
func (e *EventReader) readLine(ev *Event) (int, error) {
	n := 0
	for {
		c, err := e.br.ReadByte()
		if err != nil {
			return n, err
		}
		if len(ev.Raw) >= e.max {
			return n, ErrEventTooLarge
		}
		ev.Raw = append(ev.Raw, c)
		switch c {
		case '\n':
			return n, nil
		case '\r':
			// A CR that is the last byte so far may be half of a CRLF; waiting for the next
			// byte would hold the event back, so it is looked at only when it is there.
			if e.br.Buffered() > 0 {
				if next, err := e.br.Peek(1); err == nil && next[0] == '\n' {
					_, _ = e.br.Discard(1)
					ev.Raw = append(ev.Raw, '\n')
				}
			}
			return n, nil
		}
		n++
	}
}

var bom = []byte("\xef\xbb\xbf")

func (ev *Event) finish() {
	for i := range ev.lines {
		l := &ev.lines[i]
		text := bytes.TrimPrefix(ev.Raw[l.start:l.end], bom)
		value, ok := bytes.CutPrefix(text, []byte("data"))
		if !ok || len(value) > 0 && value[0] != ':' {
			continue
		}
		l.data = true
		value = bytes.TrimPrefix(bytes.TrimPrefix(value, []byte(":")), []byte(" "))
		if ev.HasData {
			ev.Data = append(append(ev.Data, '\n'), value...)
			continue
		}
		ev.HasData = true
		ev.Data = value[:len(value):len(value)]
	}
}

// ReplaceData returns the event's bytes with data, which must not hold a line end, in place
// of its data lines. Every other line stays.
func (ev *Event) ReplaceData(data []byte) []byte {
	out := make([]byte, 0, len(ev.Raw)+len(data))
	done, copied := false, 0
	for _, l := range ev.lines {
		if !l.data {
			continue
		}
		out = append(out, ev.Raw[copied:l.start]...)
		if !done {
			out = append(out, "data: "...)
			out = append(out, data...)
			out = append(out, ev.Raw[l.end:l.next]...)
			done = true
		}
		copied = l.next
	}
	return append(out, ev.Raw[copied:]...)
}

// AppendEvent appends a message of the gateway's own as an event.
func AppendEvent(dst, data []byte) []byte {
	dst = append(dst, "event: message\ndata: "...)
	dst = append(dst, data...)
	return append(dst, "\n\n"...)
}
