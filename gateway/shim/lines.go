package shim

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"sync"
)

// line is one line of the client, or why there is none.
type line struct {
	text []byte
	long bool // over the limit; text is its first and last bytes
	err  error
}

// readLines sends the lines of in until it ends or nobody takes them any more.
func readLines(in io.Reader, limit int, lines chan<- line, done <-chan struct{}) {
	r := bufio.NewReaderSize(in, 64<<10)
	for {
		l := readLine(r, limit)
		if len(bytes.TrimSpace(l.text)) > 0 {
			select {
			case lines <- l:
			case <-done:
				return
			}
		}
		if l.err != nil {
			close(lines)
			return
		}
	}
}

// keptOfLong is what is kept of each end of a line over the limit: its id may stand there.
const keptOfLong = 1 << 10

// readLine reads to the next line end. A line without one before the end of in counts too.
func readLine(r *bufio.Reader, limit int) line {
	var l line
	for {
		part, err := r.ReadSlice('\n')
		l.text = append(l.text, part...)
		l.long = l.long || len(bytes.TrimRight(l.text, "\r\n")) > limit
		if l.long && len(l.text) > 2*keptOfLong {
			l.text = slices.Delete(l.text, keptOfLong, len(l.text)-keptOfLong)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		l.text = bytes.TrimRight(l.text, "\r\n")
		l.err = err
		return l
	}
}

// An id that is the first or second member of the outermost object, or its last. Within valid
// JSON nothing else reads like this: what stands before a closing brace at the end is never
// inside a string.
var (
	firstID = regexp.MustCompile(`^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(-?[0-9]{1,20}|"[^"\\]{0,256}")\s*,`)
	lastID  = regexp.MustCompile(`[,{]\s*"id"\s*:\s*(-?[0-9]{1,20}|"[^"\\]{0,256}")\s*\}\s*$`)
)

// id looks for the id of a line that is too long to be read, so that whoever waits hears of it.
func (l line) id() []byte {
	for _, re := range []*regexp.Regexp{firstID, lastID} {
		if found := re.FindSubmatch(l.text); found != nil {
			return found[1]
		}
	}
	return nil
}

// writer writes whole lines.
type writer struct {
	mu     sync.Mutex
	w      io.Writer // guarded by mu
	broken func(error)
}

// line writes a message. Where that fails the client has gone, and with it all that it asked for.
func (w *writer) line(raw []byte) {
	raw = append(bytes.Clone(oneLine(raw)), '\n')
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.w.Write(raw); err != nil {
		w.broken(err)
	}
}
