package agent

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sallyport/identity/jose"
)

// Key signs approvals. The keys of tokens live for a day and could not: an approval stands until
// the next.
type Key struct {
	id      string
	private ed25519.PrivateKey
}

// OpenKey reads the key in file, a private JWK of mode 0600, and makes it where there is none.
func OpenKey(file string) (*Key, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		raw, err = makeKey(file)
	}
	if err != nil {
		return nil, fmt.Errorf("key of approvals: %w", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("key of approvals: %s can be read by others; `chmod 600` it, and approve again if they may have", file)
	}
	jwk, err := jose.ParseJWK(raw)
	var private ed25519.PrivateKey
	if err == nil {
		private, err = jwk.Signer()
	}
	if err != nil {
		return nil, fmt.Errorf("key of approvals: %s: %w", file, err)
	}
	return &Key{id: jwk.Thumbprint(), private: private}, nil
}

func makeKey(file string) ([]byte, error) {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // it never fails
	raw := jose.NewEd25519(seed).Private()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	return raw, writeWhole(file, raw)
}

// signed is the type of an approval: it can be taken for no token.
const signed = "sallyport-approval+jws"

// sign returns payload as a compact JWS (RFC 7515, section 7.1).
func (k *Key) sign(payload []byte) string {
	header, _ := json.Marshal(map[string]string{"alg": jose.EdDSA, "kid": k.id, "typ": signed}) // strings alone
	input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	return input + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(k.private, []byte(input)))
}

// open returns the payload of what this key has signed. The header must be the one that sign
// writes, byte for byte, so there is nothing in it to be led by.
func (k *Key) open(jws string) ([]byte, error) {
	header, _, _ := strings.Cut(k.sign(nil), ".")
	dot := strings.LastIndexByte(jws, '.')
	head, payload, ok := strings.Cut(jws[:max(dot, 0)], ".")
	if !ok {
		return nil, errors.New("it is not a signed manifest")
	}
	if head != header {
		return nil, errors.New("it was not signed with this gateway's key of approvals")
	}
	signature, err := base64.RawURLEncoding.DecodeString(jws[dot+1:])
	if err != nil || !ed25519.Verify(k.private.Public().(ed25519.PublicKey), []byte(jws[:dot]), signature) {
		return nil, errors.New("its signature is false: it was changed after it was approved")
	}
	return base64.RawURLEncoding.DecodeString(payload)
}
