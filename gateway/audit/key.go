package audit

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// keyBytes is the length of the key of digests.
const keyBytes = 32

// keyPath is where the key of the digests in dir is: beside the record and not in it, since
// who may copy the record need not have what makes its digests guessable.
func keyPath(dir string) string {
	return filepath.Join(filepath.Dir(filepath.Clean(dir)), "keys", "audit-digest.key")
}

// digestKey reads the key of the arguments' digests, or makes it. Without a key, digests of
// short arguments could be guessed by trying.
func digestKey(path string) (key []byte, err error) {
	if err := makeDir(filepath.Dir(path), syncDir); err != nil {
		return nil, fmt.Errorf("make key directory: %w", err)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		key := make([]byte, keyBytes)
		_, _ = rand.Read(key) // never fails
		return key, writeKey(path, key)
	}
	if err != nil {
		return nil, fmt.Errorf("open digest key: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open digest key: %w", err)
	}
	if err := private(path, info, 0o600); err != nil {
		return nil, err
	}
	if key, err = io.ReadAll(io.LimitReader(f, keyBytes+1)); err != nil {
		return nil, fmt.Errorf("read digest key: %w", err)
	}
	if info.Size() != keyBytes || len(key) != keyBytes {
		return nil, fmt.Errorf("%s has %d bytes; want %d", path, info.Size(), keyBytes)
	}
	return key, nil
}

// writeKey makes the file whole or not at all, also over a power cut.
func writeKey(path string, key []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // not there after the rename
	_, err = f.Write(key)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	return nil
}

// Digest is the keyed digest of b, "hmac-sha256:" and 64 hex digits: equal for equal bytes, and
// of no use to who has not the key.
func (l *Log) Digest(b []byte) string {
	mac, ok := l.macs.Get().(hash.Hash)
	if !ok {
		mac = hmac.New(sha256.New, l.o.Key)
	}
	defer l.macs.Put(mac)
	mac.Reset()
	mac.Write(b)
	const prefix = "hmac-sha256:"
	var sum [sha256.Size]byte
	var out [len(prefix) + 2*sha256.Size]byte
	copy(out[:], prefix)
	hex.Encode(out[len(prefix):], mac.Sum(sum[:0]))
	return string(out[:])
}
