package audit

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
)

// packLevel is the fastest: the lines repeat themselves so much that others gain little
// (docs/adr/0014).
const packLevel = gzip.BestSpeed

// tidyLock keeps those apart who remove segments: the packer, and commands that prune.
func tidyLock(dir string) (free func(), err error) {
	f, err := lockFile(dir, "lock.tidy")
	if err != nil {
		return nil, err
	}
	return func() { _ = f.Close() }, nil // which frees it
}

// packer compresses segments to which nothing more comes. It looks at nothing but the directory,
// so it does after a crash what it did not get to before.
type packer struct {
	dir     string
	o       *Options
	wake    chan struct{} // holds at most one wake-up
	left    map[string]bool
	cancel  context.CancelFunc
	stopped sync.WaitGroup
}

func startPacker(dir string, o *Options) *packer {
	ctx, cancel := context.WithCancel(context.Background())
	p := &packer{dir: dir, o: o, wake: make(chan struct{}, 1), left: map[string]bool{}, cancel: cancel}
	p.stopped.Go(func() { p.run(ctx) })
	return p
}

func (p *packer) close() {
	p.cancel()
	p.stopped.Wait()
}

// look makes the packer look at the directory. It waits for nothing.
func (p *packer) look() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *packer) run(ctx context.Context) {
	for {
		select {
		case <-p.wake:
		case <-ctx.Done():
			return
		}
		if err := p.all(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, ErrLocked) {
			p.o.Logger.Warn("audit segment not compressed", slog.Any("error", err)) // the next look tries again
		}
	}
}

// all compresses the segments that are closed, large enough to gain by it, and under a checkpoint.
func (p *packer) all(ctx context.Context) error {
	if list, err := segments(p.dir); err != nil || !slices.ContainsFunc(list, p.worth) {
		return err
	}
	free, err := tidyLock(p.dir)
	if err != nil {
		return err
	}
	defer free()
	t, err := OpenTree(p.dir)
	if err != nil {
		return err
	}
	defer func() { _ = t.Close() }() // only read
	list, err := readLayout(p.dir)
	if err != nil {
		return err
	}
	for _, s := range list {
		n := slices.IndexFunc(t.Segments, func(o TreeStart) bool { return o.First == s.first })
		if !p.worth(s.segment) || n < 0 || n+1 == len(t.Segments) || t.Segments[n+1].Leaf > t.Checkpoint.Size {
			continue
		}
		if err := p.pack(ctx, s, t, t.Segments[n].Leaf, t.Segments[n+1].Leaf); err != nil {
			return err
		}
	}
	return nil
}

func (p *packer) worth(s segment) bool {
	return !s.packed && !s.damaged && s.size >= p.o.packOver && !p.left[s.name]
}

// pack puts the compressed segment in the place of the plain one, once what was written has been
// read again and found to be what the tree has, all of it. That says the same of what it was made from.
func (p *packer) pack(ctx context.Context, s placed, t *Tree, from, to int64) error {
	temp, path := s.path+packedSuffix+".new", s.path+packedSuffix
	if err := p.write(ctx, s, temp); err != nil {
		return errors.Join(fmt.Errorf("compress %s: %w", s.name, err), p.o.disk.Remove(temp))
	}
	made := s
	made.path, made.name, made.packed = temp, s.name+packedSuffix, true
	if x, err := made.agrees(t, from, to); err != nil || !x.whole() {
		return errors.Join(p.leave(s, t, from, to, err), p.o.disk.Remove(temp))
	}
	if err := errors.Join(p.o.disk.Rename(temp, path), p.o.disk.SyncDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("compress %s: %w", s.name, err)
	}
	return p.o.disk.Remove(s.path)
}

// leave says what is wrong with a segment that cannot be compressed, and says it once. Where nothing is,
// compressing failed with err, and the next look tries again.
func (p *packer) leave(s placed, t *Tree, from, to int64, err error) error {
	x, wrong := s.agrees(t, from, to)
	if wrong != nil || !x.whole() { // the latter is what a failure left, for who looks into it
		p.left[s.name] = true
		return wrong
	}
	return fmt.Errorf("compress %s: %w", s.name, err)
}

func (p *packer) write(ctx context.Context, s placed, temp string) (err error) {
	r, err := s.open()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // only read
	f, err := p.o.disk.Overwrite(temp)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := gzip.NewWriterLevel(f, packLevel)
	if err != nil {
		return err
	}
	if _, err := io.Copy(z, &stoppable{ctx, r}); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Sync()
}

// stoppable is a reader that ends with its context, so that a gateway that stops need not wait
// for a large segment.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}
