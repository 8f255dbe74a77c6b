package audit

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// world is a disk that knows what a power cut would leave. Files are real, so that a reader finds
// them; syncs are not, since nothing but this code takes the power away. It is of one directory
// for as long as a test lasts, over many openings of the log.
type world struct {
	mu    sync.Mutex
	rand  *rand.Rand
	files map[string]*state

	ops    int // that changed something, or would have
	killAt int // the op with which the process dies; 0 for none
	dead   bool
	fail   int // one op in so many fails; 0 for none
}

// state is what is known of a file. Its content is what a reader finds.
type state struct {
	durable []byte   // what a power cut cannot take
	there   bool     // the name is durable
	cut     [][]byte // contents that were cut off without a sync: a part of one may be there again
	older   [][]byte // what the name was of, one of which it may be of still
	gone    bool     // removed, and the directory not synced
	tainted bool     // a sync failed: the kernel may have dropped what was written before
}

var errDead = errors.New("the process is dead")

// op counts, and says whether the process lives. Half is for writes.
func (w *world) op() (half bool, err error) {
	if w.dead {
		return false, errDead
	}
	w.ops++
	if w.ops == w.killAt {
		w.dead = true
		return true, errDead
	}
	if w.fail > 0 && w.rand.IntN(w.fail) == 0 {
		return true, []error{syscall.EIO, syscall.ENOSPC}[w.rand.IntN(2)]
	}
	return false, nil
}

func (w *world) of(path string) *state {
	s := w.files[path]
	if s == nil {
		s = &state{}
		w.files[path] = s
	}
	return s
}

func content(path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return data
}

func (w *world) open(path string, flag int) (file, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.op(); err != nil {
		return nil, err
	}
	s := w.of(path)
	if flag&os.O_TRUNC != 0 {
		s.cut = append(s.cut, content(path))
		s.durable, s.tainted = nil, false
	}
	f, err := os.OpenFile(path, flag|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if flag&os.O_TRUNC == 0 {
		s.there = true // the real one waits for the directory
	}
	if flag&os.O_EXCL != 0 {
		*s = state{there: true}
	}
	return &worldFile{f, w, s, path}, nil
}

func (w *world) Create(path string) (file, error)    { return w.open(path, os.O_EXCL|os.O_APPEND) }
func (w *world) Append(path string) (file, error)    { return w.open(path, os.O_APPEND) }
func (w *world) Overwrite(path string) (file, error) { return w.open(path, os.O_TRUNC) }

func (w *world) Rename(from, to string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.op(); err != nil {
		return err
	}
	old, s := w.of(to), w.of(from)
	if old.there {
		s.older = append(old.older, old.durable)
	}
	s.there = old.there
	delete(w.files, from)
	w.files[to] = s
	return os.Rename(from, to)
}

func (w *world) Remove(path string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.op(); err != nil {
		return err
	}
	w.of(path).gone = true
	return os.Remove(path)
}

func (w *world) SyncDir(dir string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.op(); err != nil {
		return err
	}
	for path, s := range w.files {
		if filepath.Dir(path) == dir {
			s.there, s.older = !s.gone, nil
			if s.gone {
				delete(w.files, path)
			}
		}
	}
	return nil
}

func (w *world) Settle(path string, from, to int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.op(); err != nil {
		return err
	}
	s := w.of(path)
	*s = state{durable: content(path), there: true} // with the part before, which a checkpoint covers
	return nil
}

type worldFile struct {
	f    *os.File
	w    *world
	s    *state
	path string
}

func (f *worldFile) Write(p []byte) (int, error) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	half, err := f.w.op()
	if err != nil {
		if half {
			n, _ := f.f.Write(p[:f.w.rand.IntN(len(p)+1)])
			return n, err
		}
		return 0, err
	}
	return f.f.Write(p)
}

func (f *worldFile) Sync() error {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	if _, err := f.w.op(); err != nil {
		f.s.tainted = f.s.tainted || !errors.Is(err, errDead) && len(content(f.path)) > len(f.s.durable)
		return err
	}
	if !f.s.tainted { // else the kernel says that all is well, and it is not
		f.s.durable, f.s.cut = content(f.path), nil
	}
	return nil
}

func (f *worldFile) Reserve(int64, int64) error {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	_, err := f.w.op()
	return err
}

func (f *worldFile) Truncate(size int64) error {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	if _, err := f.w.op(); err != nil {
		return err
	}
	if data := content(f.path); int64(len(data)) > size {
		f.s.cut = append(f.s.cut, data)
		// What is written from here on is written anew, be it the same bytes.
		if int64(len(f.s.durable)) >= size {
			f.s.durable, f.s.tainted = f.s.durable[:size:size], false
		}
	}
	return f.f.Truncate(size)
}

func (f *worldFile) Close() error { return f.f.Close() }

// restart lets the process live again.
func (w *world) restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead, w.killAt, w.ops = false, 0, 0
}

// mended takes note of what a start has cut from segments, and synced.
func (w *world) mended() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for path, s := range w.files {
		if data := content(path); data != nil && len(data) < len(s.durable) {
			*s = state{durable: data, there: true}
		}
	}
}

// cutPower makes of each file what the disk may have had of it.
func (w *world) cutPower() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for path, s := range w.files {
		data, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		switch {
		case err != nil && (!s.there || w.rand.IntN(2) == 0), err == nil && !s.there && w.rand.IntN(2) == 0:
			delete(w.files, path)
			if err := os.RemoveAll(path); err != nil {
				return err
			}
			continue
		case err != nil: // the name is there again
			data = s.durable
		case len(s.older) > 0 && w.rand.IntN(2) == 0:
			data = s.older[w.rand.IntN(len(s.older))]
		default:
			data = w.surviving(s, data)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return err
		}
		w.files[path] = &state{durable: data, there: true}
	}
	return nil
}

// surviving is what is durable, and a part of what was written after it, maybe with a hole.
func (w *world) surviving(s *state, data []byte) []byte {
	if n := len(s.cut); n > 0 && w.rand.IntN(2) == 0 {
		data = s.cut[w.rand.IntN(n)]
	}
	if !bytes.HasPrefix(data, s.durable) {
		data = s.durable
	}
	data = bytes.Clone(data[:len(s.durable)+w.rand.IntN(len(data)-len(s.durable)+1)])
	if more := data[len(s.durable):]; len(more) > 0 && w.rand.IntN(3) == 0 { // one page came to the disk and another did not
		from := w.rand.IntN(len(more))
		clear(more[from : from+w.rand.IntN(len(more)-from)+1])
	}
	return data
}
