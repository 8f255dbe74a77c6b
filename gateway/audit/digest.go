package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
)

// Digester returns what makes the digests of arguments that stand in the record in dir, for one who
// has its key: whether some bytes are those that were sent can be told by it. It is safe for
// concurrent use. The error wraps fs.ErrNotExist where the key is not beside the record.
func Digester(dir string) (func([]byte) string, error) {
	f, err := os.Open(keyPath(dir))
	if err != nil {
		return nil, fmt.Errorf("open digest key: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	key, err := io.ReadAll(io.LimitReader(f, keyBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read digest key: %w", err)
	}
	if len(key) != keyBytes {
		return nil, fmt.Errorf("%s has %d bytes; want %d", keyPath(dir), len(key), keyBytes)
	}
	return func(b []byte) string {
		mac := hmac.New(sha256.New, key)
		mac.Write(b)
		return "hmac-sha256:" + hex.EncodeToString(mac.Sum(nil))
	}, nil
}
