package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// lineReader reads lines of bounded length. Of a longer one it keeps the two ends and reads on after
// it, so that one endless line costs one line.
type lineReader struct {
	r    *bufio.Reader
	most int64
	long []byte
}

// ends is how much is kept of each end of a line that is too long.
const ends = 512

func newLineReader(r io.Reader, most int64) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 64<<10), most: most}
}

// next returns a line without its end. whole is false for one that was too long, of which line
// holds the beginning and the end. line is valid until the next call. At the end of the input err
// is not nil; what stood there without a line end comes with it.
func (l *lineReader) next() (line []byte, whole bool, err error) {
	part, err := l.r.ReadSlice('\n')
	if err == nil && int64(len(part)) <= l.most+1 {
		return trimEnd(part), true, nil
	}
	if !errors.Is(err, bufio.ErrBufferFull) && int64(len(part)) <= l.most {
		return trimEnd(part), true, err
	}
	// ReadSlice's bytes are overwritten by its next call.
	l.long = append(l.long[:0], part...)
	whole = true
	for errors.Is(err, bufio.ErrBufferFull) {
		part, err = l.r.ReadSlice('\n')
		l.long = append(l.long, part...)
		if whole = whole && int64(len(l.long)) <= l.most+1; !whole {
			tail := l.long[max(ends, len(l.long)-ends):]
			l.long = append(l.long[:ends:ends], tail...)
		}
	}
	if whole = whole && int64(len(l.long)) <= l.most+1; !whole && len(l.long) > 2*ends {
		l.long = append(l.long[:ends:ends], l.long[len(l.long)-ends:]...)
	}
	line = trimEnd(l.long)
	if cap(l.long) > 1<<20 {
		l.long = nil // a large line is kept by who asked for it, not by us
	}
	return line, whole, err
}

func trimEnd(line []byte) []byte {
	return bytes.TrimRight(line, "\r\n")
}
