package mint

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/identity/jose"
	"sallyport/internal/strictjson"
)

const keySuffix = ".jwk"

// maxKeyFile bounds what is read of a key file, in bytes.
const maxKeyFile = 4 << 10

// PrivateDir makes dir and its parents with mode 0700, or checks that an existing dir is not
// wider.
func PrivateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make key directory: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("open key directory: %w", err)
	}
	return private(dir, info, 0o700)
}

func private(path string, info fs.FileInfo, want fs.FileMode) error {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o, so others could use what it holds; run: chmod %04o %s", path, mode, want, path)
	}
	return nil
}

// WritePrivate writes a file with mode 0600 so that it is there whole or not at all, also
// after a power cut.
func WritePrivate(path string, data []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // not there after the rename
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func keyPath(dir, kid string) string { return filepath.Join(dir, kid+keySuffix) }

func createKey(dir string, now time.Time) (signingKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails (crypto/rand)
	jwk := jose.NewEd25519(seed)
	// iat is not a registered JWK member; it dates the key where a copy loses the file's time.
	doc := jwk.Private()
	doc = append(doc[:len(doc)-1], `,"iat":`+strconv.FormatInt(now.Unix(), 10)+"}\n"...)
	if err := WritePrivate(keyPath(dir, jwk.Kid), doc); err != nil {
		return signingKey{}, fmt.Errorf("write signing key: %w", err)
	}
	return signingKey{jwk: jwk, created: time.Unix(now.Unix(), 0), private: ed25519.NewKeyFromSeed(seed)}, nil
}

// readKeys reads all keys of dir, oldest first. One that cannot be used is an error: leaving
// it out could bring an older key back to signing.
func readKeys(dir string) ([]signingKey, error) {
	if err := PrivateDir(dir); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	var keys []signingKey
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), keySuffix) {
			continue
		}
		key, err := readKey(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b signingKey) int {
		// The same order in every process that reads the directory.
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.jwk.Kid, b.jwk.Kid))
	})
	return keys, nil
}

func readKey(path string) (signingKey, error) {
	data, modified, err := readPrivate(path)
	if err != nil {
		return signingKey{}, err
	}
	jwk, err := jose.ParseJWK(data)
	if err != nil {
		return signingKey{}, fmt.Errorf("%s: %w", path, err)
	}
	private, err := jwk.Signer()
	if err != nil {
		return signingKey{}, fmt.Errorf("%s: %w", path, err)
	}
	if kid := jwk.Thumbprint(); jwk.Kid != kid || filepath.Base(path) != kid+keySuffix {
		return signingKey{}, fmt.Errorf("%s: the kid and the file's name must be the key's thumbprint, %s", path, kid)
	}
	created := modified
	if span, ok := strictjson.Find(data, "iat"); ok {
		sec, err := strconv.ParseInt(string(span.Of(data)), 10, 64)
		if err != nil || sec < 0 {
			return signingKey{}, fmt.Errorf("%s: iat is not a whole number of seconds", path)
		}
		created = time.Unix(sec, 0)
	}
	return signingKey{jwk: jwk, created: created, private: private}, nil
}

// readPrivate reads a file whose mode it has checked on the open file, so that nobody can
// change it in between.
func readPrivate(path string) (data []byte, modified time.Time, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read key: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, time.Time{}, fmt.Errorf("read key: %s is not a file", path)
	}
	if err := private(path, info, 0o600); err != nil {
		return nil, time.Time{}, err
	}
	if data, err = io.ReadAll(io.LimitReader(f, maxKeyFile+1)); err != nil {
		return nil, time.Time{}, fmt.Errorf("read key: %w", err)
	}
	if len(data) > maxKeyFile {
		return nil, time.Time{}, fmt.Errorf("%s is longer than %d bytes; that is no key", path, maxKeyFile)
	}
	return data, info.ModTime(), nil
}
