package credential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"
)

// FileConfig says where a secret is kept.
type FileConfig struct {
	// Path of a file that holds the secret and nothing else; white space around it does not count.
	Path string
	// AllowReadable takes a file that others on the machine may read, where its mode cannot be
	// set, as on some mounts. It does not take one that others may write.
	AllowReadable bool
	Log           *slog.Logger // default: discard
}

// fileEvery is how long a read counts: a rotated file is picked up after at most this.
const fileEvery = time.Second

// warnEvery is how often one that cannot be read any more is complained about.
const warnEvery = time.Minute

type file struct {
	named
	cfg FileConfig

	mu     sync.Mutex // guards all below
	value  string     // of the last read that succeeded
	read   time.Time  // the last time it was tried
	warned time.Time
}

// File returns the secret in a file. The file is read at use, at most once a second, so one that
// was replaced is picked up without further ado.
//
// Get fails when the file is missing, no regular file, empty, over 64 KiB, of more than one
// line, or open to others: readable by everybody, writable by group or everybody. A file that
// was good once and is not now does not fail: the last good secret serves on and the log says
// what is wrong, so that a moment between two writes is no outage.
func File(cfg FileConfig) (Source, error) {
	if cfg.Path == "" {
		return nil, errors.New("credential: the path of the file is missing")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &file{named: named("credential in file " + cfg.Path), cfg: cfg}, nil
}

func (f *file) Get(context.Context, Who) (Secret, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if f.value != "" && now.Sub(f.read) < fileEvery {
		return Secret{Value: f.value}, nil
	}
	value, err := readSecretFile("credential", f.cfg.Path, f.cfg.AllowReadable)
	if err == nil {
		value = string(bytes.TrimSpace([]byte(value)))
		if bad := checkValue(value); bad != nil {
			err = fmt.Errorf("credential %s %w", f.cfg.Path, bad)
		}
	}
	f.read = now
	switch {
	case err == nil:
		if f.value != value {
			warnShort(f.cfg.Log, f.named, value)
		}
		f.value = value
	case f.value == "":
		return Secret{}, err
	case now.Sub(f.warned) >= warnEvery:
		f.warned = now
		f.cfg.Log.Warn("credential not read again; the one before serves on", slog.Any("error", err))
	}
	return Secret{Value: f.value}, nil
}

// Refused makes the next Get look at the file at once.
func (f *file) Refused(_ Who, refused Secret) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.value == refused.Value {
		f.read = time.Time{}
	}
}

// readSecretFile reads a file that nobody else may read; what says what it is, for the error.
func readSecretFile(what, path string, allowReadable bool) (string, error) {
	// A pipe would block the open, so the kind is looked at before. The mode is that of what was
	// opened, which may be another file by then.
	if info, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("read %s %s: %w", what, path, withoutPath(err))
	} else if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s %s is not a regular file", what, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read %s %s: %w", what, path, withoutPath(err))
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("read %s %s: %w", what, path, withoutPath(err))
	}
	if err := checkMode(info.Mode().Perm(), allowReadable); err != nil {
		return "", fmt.Errorf("%s %s %w", what, path, err)
	}
	if info.Size() > maxSecret {
		return "", fmt.Errorf("%s %s has over %d bytes; that is no credential", what, path, maxSecret)
	}
	data := make([]byte, maxSecret+1)
	n := 0
	for n < len(data) && err == nil {
		var m int
		m, err = f.Read(data[n:])
		n += m
	}
	if n > maxSecret {
		return "", fmt.Errorf("%s %s has over %d bytes; that is no credential", what, path, maxSecret)
	}
	return string(data[:n]), nil
}

func checkMode(mode fs.FileMode, allowReadable bool) error {
	switch {
	case runtime.GOOS == "windows": // modes there say nothing about others
		return nil
	case mode&0o022 != 0:
		return fmt.Errorf("can be written by others (mode %04o); chmod 0600 it", mode)
	case mode&0o004 != 0 && !allowReadable:
		return fmt.Errorf("can be read by everybody on this machine (mode %04o); chmod 0600 it, or 0640 with a group of its own", mode)
	}
	return nil
}

// withoutPath returns what an error of the file system says beside the path.
func withoutPath(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Err
	}
	return err
}
