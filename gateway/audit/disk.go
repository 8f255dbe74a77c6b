package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// file is what the writer needs of a segment; tests put a failing disk in its place.
type file interface {
	Write(p []byte) (int, error)
	Sync() error
	Truncate(size int64) error
	// Reserve takes room on the disk for n bytes from an offset on, and leaves the size as it is, so that
	// no reader sees it. What was not written to is given back by Close.
	Reserve(from, n int64) error
	Close() error
}

// disk is all that changes the directory while a log is open.
type disk interface {
	// Create makes a file that must not exist, and its directory entry durable. On failure it
	// leaves no file, as far as the disk lets it.
	Create(path string) (file, error)
	// Append opens a file to add to it, or makes it; the entry of one that is made is durable.
	Append(path string) (file, error)
	// Overwrite makes a file, or empties it. A power cut may take it.
	Overwrite(path string) (file, error)
	// Rename puts a file in the place of another, which is there until the new one is. It waits
	// for nothing: a power cut leaves one of them.
	Rename(from, to string) error
	Remove(path string) error
	SyncDir(dir string) error
	// Settle writes a part of a file as it reads once more, and waits for it to be on disk.
	Settle(path string, from, to int64) error
}

type realDisk struct{}

func (realDisk) Create(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return &realFile{File: f}, nil
}

func (realDisk) Append(path string) (file, error) {
	_, missing := os.Stat(path)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if missing != nil {
		if err := syncDir(filepath.Dir(path)); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return &realFile{File: f}, nil
}

func (realDisk) Overwrite(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return &realFile{File: f}, nil
}

func (realDisk) Rename(from, to string) error { return os.Rename(from, to) }
func (realDisk) Remove(path string) error     { return os.Remove(path) }
func (realDisk) SyncDir(dir string) error     { return syncDir(dir) }

func (realDisk) Settle(path string, from, to int64) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buf := make([]byte, min(1<<20, to-from))
	for at := from; at < to; at += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), to-at)]
		if _, err := f.ReadAt(buf, at); err != nil {
			return err
		}
		if _, err := f.WriteAt(buf, at); err != nil {
			return err
		}
	}
	return f.Sync()
}

type realFile struct {
	*os.File
	reserved bool
}

// Sync waits for the data and for the metadata that is needed to read it.
func (f *realFile) Sync() error { return dataSync(f.File) }

func (f *realFile) Reserve(from, n int64) error {
	f.reserved = true // also where it fails, which may leave a part
	return reserve(f.File, from, n)
}

// Close cuts the file to the size that it has, which frees what is reserved behind it.
func (f *realFile) Close() error {
	if !f.reserved {
		return f.File.Close()
	}
	info, err := f.Stat()
	if err == nil {
		err = f.Truncate(info.Size())
	}
	return errors.Join(err, f.File.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// makeDir makes dir and its parents with mode 0700, and their entries durable: a power cut that
// took the directory would take every record in it.
func makeDir(dir string, sync func(dir string) error) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	var parents []string // of those that are made
	for p := dir; ; p = filepath.Dir(p) {
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		parents = append(parents, filepath.Dir(p))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, p := range parents {
		if err := sync(p); err != nil {
			return err
		}
	}
	return nil
}

// privateDir makes dir with mode 0700, or refuses one that is wider.
func privateDir(dir string) error {
	if err := makeDir(dir, syncDir); err != nil {
		return fmt.Errorf("make audit directory: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("open audit directory: %w", err)
	}
	return private(dir, info, 0o700)
}

// private refuses what others than the owner could read.
func private(path string, info fs.FileInfo, want fs.FileMode) error {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o, so others could use what it holds; run: chmod %04o %s", path, mode, want, path)
	}
	return nil
}
