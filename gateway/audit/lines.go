package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// lineReader reads whole lines of any length. It is bufio.Reader for lines that are looked at
// and not kept.
type lineReader struct {
	r          io.Reader
	buf        []byte
	start, end int   // of what is read and not given
	offset     int64 // of the next line, from where reading began
}

// maxLine bounds a line, in bytes: more than any record, whose arguments are at most one request. A
// longer one is no record, and a small file can be a very long line once it is unpacked.
const maxLine = 512 << 20

// errLongLine is of a line that is no record of ours.
var errLongLine = fmt.Errorf("a line of more than %d bytes, which is no record", maxLine)

// newLineReader reads r in pieces of a size, until a line needs more.
func newLineReader(r io.Reader, size int64) *lineReader {
	return &lineReader{r: r, buf: make([]byte, min(max(size, 512), 256<<10))}
}

// next returns a line without its newline, which is good until the next call. It returns io.EOF
// where no whole line follows; rest is then what does.
func (l *lineReader) next() ([]byte, error) {
	searched := l.start
	for {
		if i := bytes.IndexByte(l.buf[searched:l.end], '\n'); i >= 0 {
			line := l.buf[l.start : searched+i]
			l.start = searched + i + 1
			l.offset += int64(len(line)) + 1
			return line, nil
		}
		if l.start > 0 {
			copy(l.buf, l.buf[l.start:l.end])
			l.start, l.end = 0, l.end-l.start
		}
		searched = l.end
		if l.end >= maxLine {
			return nil, errLongLine
		}
		if l.end == len(l.buf) {
			l.buf = append(l.buf, make([]byte, len(l.buf))...)
		}
		n, err := l.r.Read(l.buf[l.end:])
		l.end += n
		if n == 0 && err != nil {
			return nil, err
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
}

// rest is what follows the last whole line, once next has returned io.EOF.
func (l *lineReader) rest() []byte { return l.buf[l.start:l.end] }
