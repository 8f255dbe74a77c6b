package inputs

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"filippo.io/age"

	"sallyport/gateway/audit"
)

// Clear keeps inputs as they are.
type Clear struct{}

// Keep puts the document into the record.
func (Clear) Keep(r *audit.Record, doc []byte) { r.Input = doc }

// Readable reports that whoever reads the record reads the inputs.
func (Clear) Readable() bool { return true }

// Sealed keeps inputs so that only holders of an identity can read them. It is safe for concurrent
// use.
type Sealed struct {
	id      string
	wrapped string
	aead    cipher.AEAD
	nonces  atomic.Uint64 // used so far; the key is never used by another process
}

// Seal makes a data key for the recipients, as `age-keygen` prints them (age1…).
func Seal(recipients []string) (*Sealed, error) {
	to, err := parseRecipients(recipients)
	if err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	var wrapped bytes.Buffer
	w, err := age.Encrypt(&wrapped, to...)
	if err == nil {
		if _, err = w.Write(key); err == nil {
			err = w.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("wrap the key of inputs: %w", err)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return &Sealed{id: rand.Text()[:16], wrapped: base64.StdEncoding.EncodeToString(wrapped.Bytes()), aead: aead}, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("key of inputs: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("key of inputs: %w", err)
	}
	return aead, nil
}

// Keep puts the sealed document into the record, whose id is set.
func (s *Sealed) Keep(r *audit.Record, doc []byte) {
	// Counted, not random: the key is this process's alone, so that no nonce comes twice however
	// many records there are.
	sealed := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(doc)+s.aead.Overhead())
	binary.BigEndian.PutUint64(sealed[len(sealed)-8:], s.nonces.Add(1))
	sealed = s.aead.Seal(sealed, sealed, doc, []byte(r.ID))
	r.InputSealed, r.InputKey = base64.StdEncoding.EncodeToString(sealed), s.id
}

// Readable reports that a reader of the record does not read the inputs.
func (s *Sealed) Readable() bool { return false }

// Record is of phase `key`: it brings the wrapped key to whoever reads the segment that it begins.
func (s *Sealed) Record() *audit.Record {
	return &audit.Record{Phase: audit.PhaseKey, InputKey: s.id, WrappedKey: s.wrapped}
}

// CheckRecipients says which of the recipients is none.
func CheckRecipients(recipients []string) error {
	_, err := parseRecipients(recipients)
	return err
}

// errNoRecipient is said without the text: it may be the secret half.
var errNoRecipient = errors.New("there is no recipient; `age-keygen -o audit.key` makes an identity and prints its recipient (age1…)")

func parseRecipients(list []string) ([]age.Recipient, error) {
	if len(list) == 0 {
		return nil, errNoRecipient
	}
	out := make([]age.Recipient, 0, len(list))
	for i, text := range list {
		r, err := age.ParseX25519Recipient(strings.TrimSpace(text))
		if err != nil {
			what := "is no age recipient (age1…)"
			if strings.HasPrefix(strings.ToUpper(strings.TrimSpace(text)), "AGE-SECRET-KEY") {
				what = "is an identity, which opens inputs; keep it away from here and name its recipient: age-keygen -y FILE"
			}
			return nil, fmt.Errorf("recipient %d %s", i+1, what)
		}
		out = append(out, r)
	}
	return out, nil
}
