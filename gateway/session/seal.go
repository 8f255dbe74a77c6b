package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrSeal is returned for a sealed state that is not ours, not this caller's, not for this
// call, or too old. Which of these is not said.
var ErrSeal = errors.New("state is not valid for this call")

// sealPrefix tells a sealed state from anything else and names its form.
const sealPrefix = "sp1."

// StateLife is how long a client may take to answer a round trip.
const StateLife = time.Hour

// Binding is whom and what a state belongs to.
type Binding struct{ Owner, Server, Method, Name string }

func (b Binding) bytes() []byte {
	var out []byte
	for _, s := range []string{b.Owner, b.Server, b.Method, b.Name} {
		out = strconv.AppendInt(out, int64(len(s)), 10)
		out = append(out, ':')
		out = append(out, s...)
	}
	return out
}

// Sealer wraps the state that a server gives a client to keep, so that it comes back only from
// the same principal for the same call. Behind one injected credential the server could not
// tell our callers apart itself.
type Sealer struct {
	aead cipher.AEAD
	now  func() time.Time
}

// NewSealer makes a sealer from a 32-byte key.
func NewSealer(key []byte, now func() time.Time) (*Sealer, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("state key has %d bytes; want 32", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make state cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make state cipher: %w", err)
	}
	return &Sealer{aead: aead, now: now}, nil
}

// NewKey returns a fresh key for [NewSealer].
func NewKey() ([]byte, error) {
	key := make([]byte, 32)
	_, err := rand.Read(key)
	return key, err
}

// Seal wraps state for b.
func (s *Sealer) Seal(b Binding, state string) string {
	plain := binary.BigEndian.AppendUint64(nil, uint64(s.now().Add(StateLife).Unix())) // not before 1970
	plain = append(plain, state...)
	return sealPrefix + base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, plain, b.bytes()))
}

// Open unwraps what Seal made for the same binding, or returns ErrSeal.
func (s *Sealer) Open(b Binding, sealed string) (string, error) {
	// The decoder skips line ends, and would read one state in many spellings.
	if len(sealed) < len(sealPrefix) || sealed[:len(sealPrefix)] != sealPrefix || strings.ContainsAny(sealed, "\r\n") {
		return "", ErrSeal
	}
	box, err := base64.RawURLEncoding.Strict().DecodeString(sealed[len(sealPrefix):])
	if err != nil {
		return "", ErrSeal
	}
	plain, err := s.aead.Open(nil, nil, box, b.bytes())
	if err != nil || len(plain) < 8 {
		return "", ErrSeal
	}
	if exp := binary.BigEndian.Uint64(plain); uint64(s.now().Unix()) >= exp { // not before 1970
		return "", ErrSeal
	}
	return string(plain[8:]), nil
}
