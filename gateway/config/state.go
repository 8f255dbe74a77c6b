package config

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sallyport/identity/mint"
)

// Below the state directory.
const (
	keysDir = "keys"       // signing keys and the key of request states
	logDir  = "audit"      // the record of a running gateway, which alone writes it
	actsDir = "audit-acts" // the record of what commands did
)

// OpenState makes the state directory, or checks that others cannot read it and we can write
// it. Everything that must stay secret is below.
func (c *Config) OpenState() error {
	dir := c.State
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make state directory %s: %w; %s", dir, unwrapPath(err), otherState)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("open state directory %s: %w; %s", dir, unwrapPath(err), otherState)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("state directory %s has mode %04o, so others could use the keys in it; run: chmod 0700 %s, or set state to a new directory below it", dir, mode, dir)
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("write to state directory %s: %w; %s", dir, unwrapPath(err), otherState)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return fmt.Errorf("write to state directory %s: %w; %s", dir, unwrapPath(err), otherState)
	}
	return ignoreInGit(dir)
}

const otherState = "set state (SALLYPORT_STATE) to a directory that this user may write"

// ignoreInGit keeps the keys out of a repository that somebody adds whole.
func ignoreInGit(dir string) error {
	path := filepath.Join(dir, ".gitignore")
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // theirs, whatever it says
	}
	if err := os.WriteFile(path, []byte("*\n"), 0o600); err != nil {
		return fmt.Errorf("write to state directory %s: %w; %s", dir, unwrapPath(err), otherState)
	}
	return nil
}

// requestStateKey returns the key that seals multi-round-trip state, made at the first start.
func (c *Config) requestStateKey() ([]byte, error) {
	path := filepath.Join(c.State, keysDir, "request-state.key")
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		if err := mint.WritePrivate(path, key); err != nil {
			return nil, fmt.Errorf("write %s: %w", path, err)
		}
		return key, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read request state key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, so others could read it; run: chmod 0600 %s", path, mode, path)
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read request state key: %w", err)
	}
	if len(key) != 32 {
		return nil, fmt.Errorf("%s has %d bytes; want 32. Delete it: only calls that wait for an answer of their user are lost", path, len(key))
	}
	return key, nil
}

// OpenKeys opens the signing keys, and makes the first.
func (c *Config) OpenKeys() (*mint.Keyring, error) {
	if err := c.OpenState(); err != nil {
		return nil, err
	}
	return mint.OpenKeyring(filepath.Join(c.State, keysDir), nil)
}

// Issuer returns what makes this installation's tokens. It fails where the public URL is not
// fixed, since a token is for one URL.
func (c *Config) Issuer(keys *mint.Keyring) (*mint.Issuer, error) {
	if c.PublicURL == "" {
		return nil, errors.New("listen takes any free port, so the URL that tokens are for is not known; set publicURL (SALLYPORT_PUBLIC_URL)")
	}
	return mint.NewIssuer(mint.IssuerConfig{URL: c.PublicURL, Audience: c.Audience(), Keys: keys, TTL: c.Identity.TokenTTL.Std()}), nil
}

// Audience is what tokens are for.
func (c *Config) Audience() string { return c.PublicURL + "/mcp" }
