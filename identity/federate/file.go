package federate

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"sallyport/identity/jose"
)

// fileKeys keeps the keys that stand in a file. The file is read each time, and understood anew
// when its bytes have changed: reading costs less than a signature, and misses no change.
type fileKeys struct {
	path string
	uses []string
	now  func() time.Time
	log  *slog.Logger

	mu   sync.Mutex // guards what follows
	data []byte     // the latest that was read, understood or not
	err  error      // why it was not
	set  jose.KeySet
	read time.Time // when set was last known to be what the file says
}

func (k *fileKeys) key(_ context.Context, kid string) (jose.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(); err != nil {
		return jose.Key{}, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	if key, ok := k.set.ByID[kid]; ok {
		return key, nil
	}
	return jose.Key{}, unknown(k.set, kid)
}

// refresh reads the file. One that is gone trusts nobody; one that cannot be understood leaves the
// keys that were there, for a day, since somebody may be writing it.
func (k *fileKeys) refresh() error {
	data, err := readKeys(k.path)
	if err != nil {
		return err
	}
	now := k.now().Round(0) // keys age while the machine sleeps, too
	if k.data == nil || !bytes.Equal(data, k.data) {
		k.data = data
		var set jose.KeySet
		if set, k.err = jose.ParseKeySet(data, k.uses...); k.err == nil {
			k.set = set
		} else {
			k.log.Warn("a file of keys cannot be understood; the keys it held before serve for a day", "file", k.path, "err", k.err)
		}
	}
	if k.err == nil {
		k.read = now
		return nil
	}
	if k.read.IsZero() || now.Sub(k.read) >= maxStale {
		return fmt.Errorf("%s: %w", k.path, k.err)
	}
	return nil
}

// readKeys reads a regular file of at most [jose.MaxSetSize] bytes. It never waits for a writer,
// as opening a pipe would.
func readKeys(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, jose.MaxSetSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > jose.MaxSetSize {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, jose.MaxSetSize)
	}
	return data, nil
}

func (k *fileKeys) probe(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(); err != nil {
		return err
	}
	if k.err != nil {
		return fmt.Errorf("%s: %w", k.path, k.err)
	}
	return nil
}

func (k *fileKeys) close() {}
