package inputs

import (
	"bytes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"filippo.io/age"

	"sallyport/gateway/audit"
)

// Why an input cannot be had.
var (
	ErrNotRecorded = errors.New("the record holds no input")
	ErrSealed      = errors.New("the input is sealed, and none of the identities opens it")
	ErrNoKey       = errors.New("the input is sealed with a key that no record before it brings")
	ErrAltered     = errors.New("the sealed input is not what was written into this record")
)

// Opener gives back the inputs of records that are read in their order. The zero Opener opens what
// stands in clear. It is not safe for concurrent use.
type Opener struct {
	identities []age.Identity
	keys       map[string]cipher.AEAD // by id; nil where no identity opens it
}

// NewOpener returns what opens records that are sealed for one of the identities.
func NewOpener(identities ...age.Identity) *Opener { return &Opener{identities: identities} }

// ReadIdentities reads a file of identities as `age-keygen` writes it.
func ReadIdentities(path string) ([]age.Identity, error) {
	f, err := os.Open(path)
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		return nil, fmt.Errorf("identities %s: %w", path, err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	list, err := age.ParseIdentities(f)
	if err != nil {
		// Not the library's own text, which may hold a line of the file.
		return nil, fmt.Errorf("identities %s: this is no file of age identities; `age-keygen -o FILE` makes one", path)
	}
	return list, nil
}

// Learn takes the key from a record of phase `key`, and passes over others. A key that none of the
// identities opens is no error: what is sealed with it says so.
func (o *Opener) Learn(r *audit.Record) error {
	if r.Phase != audit.PhaseKey || r.InputKey == "" {
		return nil
	}
	if _, known := o.keys[r.InputKey]; known {
		return nil // it stands at the start of each segment
	}
	if o.keys == nil {
		o.keys = map[string]cipher.AEAD{}
	}
	o.keys[r.InputKey] = nil
	wrapped, err := base64.StdEncoding.DecodeString(r.WrappedKey)
	if err != nil {
		return fmt.Errorf("key %s of inputs: not base64", r.InputKey)
	}
	if len(o.identities) == 0 {
		return nil
	}
	plain, err := age.Decrypt(bytes.NewReader(wrapped), o.identities...)
	if _, mismatch := errors.AsType[*age.NoIdentityMatchError](err); mismatch {
		return nil
	}
	if err != nil {
		return fmt.Errorf("key %s of inputs: %w", r.InputKey, err)
	}
	key, err := io.ReadAll(io.LimitReader(plain, 64))
	if err != nil || len(key) != 32 {
		return fmt.Errorf("key %s of inputs: %d bytes; want 32", r.InputKey, len(key))
	}
	o.keys[r.InputKey], err = newAEAD(key)
	return err
}

// Input returns the policy's input of a record, as a JSON document. The error wraps one of those
// above.
func (o *Opener) Input(r *audit.Record) ([]byte, error) {
	if r.InputSealed == "" {
		if len(r.Input) == 0 {
			return nil, ErrNotRecorded
		}
		return r.Input, nil
	}
	aead, known := o.keys[r.InputKey]
	switch {
	case !known:
		return nil, ErrNoKey
	case aead == nil:
		return nil, ErrSealed
	}
	sealed, err := base64.StdEncoding.DecodeString(r.InputSealed)
	if err != nil || len(sealed) < aead.NonceSize() {
		return nil, ErrAltered
	}
	doc, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], []byte(r.ID))
	if err != nil {
		return nil, ErrAltered
	}
	return doc, nil
}
