package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// maxSecret is more than any key file has, in bytes.
const maxSecret = 4096

// readSecret reads a small file that only its owner may read.
func readSecret(path string) (data []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	if err := private(path, info, 0o600); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, maxSecret))
}

// makeCheckpointKey makes the key, whose name is the log's origin: what it is called, and sixteen
// random digits, so that no two logs of the world have one.
func makeCheckpointKey(dir string) ([]byte, error) {
	if err := makeDir(filepath.Dir(CheckpointKey(dir)), syncDir); err != nil {
		return nil, err
	}
	var unique [8]byte
	_, _ = rand.Read(unique[:]) // never fails
	name := "sallyport/" + originName(dir) + "/" + hex.EncodeToString(unique[:])
	private, _, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return nil, err
	}
	text := []byte(private + "\n")
	return text, writeKey(CheckpointKey(dir), text)
}

// originName leaves of a directory's name what a note allows in the name of a key.
func originName(dir string) string {
	base := strings.TrimSuffix(filepath.Base(CheckpointKey(dir)), "-checkpoint.key")
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, base)
}

// publicOf is the verifier's form of a signer's key: PRIVATE+KEY+name+hash+base64(1, seed).
func publicOf(private string) (string, error) {
	parts := strings.SplitN(strings.TrimSpace(private), "+", 5)
	if len(parts) != 5 {
		return "", errors.New("not a signer's key")
	}
	seed, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return "", errors.New("not a signer's key")
	}
	public, ok := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", errors.New("not a signer's key")
	}
	return note.NewEd25519VerifierKey(parts[2], public)
}
