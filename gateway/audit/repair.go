package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// tail is what a start finds at the end of the record.
type tail struct {
	next   uint64 // seq of the next record
	report string // what was mended; "" for nothing
}

// maxLine bounds how far back a start looks for the last whole line, in bytes. A record is
// smaller: arguments, its largest part, are bounded by the request's limit.
const maxLine = 64 << 20

// repair reads the end of the newest segment. A crash can leave a last line that is not
// whole; no call was made on it, since its decision was not acknowledged. It is moved beside
// the segment, so that the segment holds whole lines only and nothing is lost.
func repair(dir string) (tail, error) {
	names, err := segments(dir)
	if err != nil {
		return tail{}, err
	}
	if len(names) == 0 {
		return tail{next: 1}, nil
	}
	newest := names[len(names)-1]
	first, err := strconv.ParseUint(strings.TrimSuffix(newest, segmentSuffix), 10, 64)
	if err != nil {
		return tail{}, fmt.Errorf("audit segment %s: %w", newest, err)
	}
	path := filepath.Join(dir, newest)
	end, err := readEnd(path)
	if err != nil {
		return tail{}, fmt.Errorf("read audit segment: %w", err)
	}
	t := tail{next: first}
	whole := bytes.LastIndexByte(end, '\n') + 1
	if torn := end[whole:]; len(torn) > 0 {
		if err := moveTorn(path, torn); err != nil {
			return tail{}, fmt.Errorf("mend audit segment: %w", err)
		}
		t.report = fmt.Sprintf("the last line of %s was torn; its %d bytes are in %s.torn", newest, len(torn), newest)
	}
	if whole == 0 {
		return t, nil
	}
	line := end[bytes.LastIndexByte(end[:whole-1], '\n')+1 : whole-1]
	var rec struct {
		Seq *uint64 `json:"seq"`
	}
	if err := json.Unmarshal(line, &rec); err != nil || rec.Seq == nil || *rec.Seq < first {
		return tail{}, fmt.Errorf("the last line of %s is not a record, so the next number is unknown: "+
			"somebody has changed the file; move it away, keep it, and start again", path)
	}
	t.next = *rec.Seq + 1
	return t, nil
}

// readEnd returns the file's last maxLine bytes, from the start of a line where there is one.
func readEnd(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	for want := int64(64 << 10); ; want *= 8 {
		from := max(0, size-want)
		buf := make([]byte, size-from)
		if _, err := f.ReadAt(buf, from); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if from == 0 || bytes.Count(buf, []byte{'\n'}) >= 2 {
			return buf, nil
		}
		if want >= maxLine {
			return nil, fmt.Errorf("%s has a line of over %d bytes", path, maxLine)
		}
	}
}

func moveTorn(path string, torn []byte) error {
	aside, err := os.OpenFile(path+".torn", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = aside.Write(append(torn[:len(torn):len(torn)], '\n'))
	if err := errors.Join(err, aside.Sync(), aside.Close()); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		err = f.Truncate(info.Size() - int64(len(torn)))
	}
	return errors.Join(err, f.Sync(), f.Close(), syncDir(filepath.Dir(path)))
}
