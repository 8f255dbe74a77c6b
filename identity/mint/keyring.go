package mint

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/identity"
	"sallyport/identity/jose"
)

// Life of a signing key: next → active → retiring → deleted. A new key is published before it
// signs, twice as long as verifiers may cache the key set, so that none meets a signature by a
// key it has not seen. An old key verifies until the last token it signed has expired.
const (
	rotateAfter  = 24 * time.Hour
	publishAhead = 2 * keySetMaxAge
	keepAfter    = identity.MaxLifetime + time.Minute
	keySetMaxAge = 5 * time.Minute
)

// KeyState is where a key is in its life.
type KeyState string

// States of a key. A key that is in none of them is not there.
const (
	KeyNext     KeyState = "next"     // published, does not sign yet
	KeyActive   KeyState = "active"   // signs
	KeyRetiring KeyState = "retiring" // signs no more, verifies what it signed
)

// KeyInfo says what may be known of a signing key.
type KeyInfo struct {
	ID      string    `json:"kid"`
	State   KeyState  `json:"state"`
	Created time.Time `json:"created"`
}

// Keyring is the signing keys of one state directory. Several processes may share the
// directory: each sees a key that another made at its next Reload. It is an
// identity.KeySource and safe for concurrent use.
type Keyring struct {
	dir string
	now func() time.Time

	mu   sync.Mutex   // guards keys, and keeps this process to one change of the files at a time
	keys []signingKey // oldest first, at least one

	set atomic.Pointer[identity.KeySet]
}

type signingKey struct {
	jwk     jose.JWK
	created time.Time
	private ed25519.PrivateKey
}

// OpenKeyring opens the keys in dir (<state>/keys), making the directory (0700) and the first
// key (0600) where there are none. It refuses a directory or a key that others may read, and
// a key file that it cannot read. now may be nil for time.Now.
func OpenKeyring(dir string, now func() time.Time) (*Keyring, error) {
	if now == nil {
		now = time.Now
	}
	k := &Keyring{dir: dir, now: now}
	if err := PrivateDir(dir); err != nil {
		return nil, err
	}
	if err := k.Reload(); err != nil {
		return nil, err
	}
	return k, nil
}

// Keys returns the keys that verify tokens now.
func (k *Keyring) Keys() *identity.KeySet { return k.set.Load() }

// Reload reads the directory again and moves the keys on: it makes the next key when the
// newest is a day old, and deletes keys that no living token can need. A key whose file is
// gone verifies no more. On an error the keys known so far stay, and keep signing.
func (k *Keyring) Reload() error {
	return k.change(func(keys []signingKey, now time.Time) bool {
		return now.Sub(keys[len(keys)-1].created) >= rotateAfter
	})
}

// Rotate makes the next key now, unless one is waiting already. The old ones stay until their
// tokens have expired. To stop trusting a key at once, delete its file and Reload.
func (k *Keyring) Rotate() error {
	return k.change(func(keys []signingKey, now time.Time) bool { return active(keys, now) == len(keys)-1 })
}

// Watch reloads every so often until ctx ends. Errors go to report, and the keys known so far
// stay.
func (k *Keyring) Watch(ctx context.Context, every time.Duration, report func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := k.Reload(); err != nil {
				report(err)
			}
		}
	}
}

// change reads the directory, makes a key where there is none or due says so, deletes what is
// over, and publishes the rest.
func (k *Keyring) change(due func(keys []signingKey, now time.Time) bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	unlock, err := lockDir(k.dir)
	if err != nil {
		return fmt.Errorf("lock %s: %w", k.dir, err)
	}
	defer unlock()
	keys, err := readKeys(k.dir)
	if err != nil {
		return err
	}
	now := k.now()
	var failed error
	if len(keys) == 0 || due(keys, now) {
		next, err := createKey(k.dir, now)
		if err != nil {
			failed = err // with a full disk the old keys go on
		} else {
			keys = append(keys, next)
		}
	}
	if len(keys) == 0 {
		return failed
	}
	k.publish(k.expire(keys, now))
	return failed
}

func (k *Keyring) publish(keys []signingKey) {
	set := &identity.KeySet{ByID: make(map[string]jose.Key, len(keys))}
	for _, key := range keys {
		set.ByID[key.jwk.Kid] = jose.Key{ID: key.jwk.Kid, Alg: jose.EdDSA, Public: key.private.Public()}
	}
	if old := k.set.Load(); old != nil {
		set.Epoch = old.Epoch
		for id := range old.ByID {
			if _, still := set.ByID[id]; !still {
				set.Epoch++
				break
			}
		}
	}
	k.keys = keys
	k.set.Store(set)
}

// expire deletes each key whose successor has signed for longer than any token lives.
func (k *Keyring) expire(keys []signingKey, now time.Time) []signingKey {
	for len(keys) > 1 && now.Sub(keys[1].created) >= publishAhead+keepAfter {
		if err := os.Remove(keyPath(k.dir, keys[0].jwk.Kid)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			break // tried again at the next round; no living token needs it meanwhile
		}
		keys = keys[1:]
	}
	return keys
}

// active returns the place of the key that signs: the newest that has been published for long
// enough, else the oldest, since the first key has nobody to be announced to.
func active(keys []signingKey, now time.Time) int {
	for i, key := range slices.Backward(keys) {
		if now.Sub(key.created) >= publishAhead {
			return i
		}
	}
	return 0
}

func (k *Keyring) signer() (kid string, private ed25519.PrivateKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := k.keys[active(k.keys, k.now())]
	return key.jwk.Kid, key.private
}

// List returns the keys, oldest first.
func (k *Keyring) List() []KeyInfo {
	k.mu.Lock()
	defer k.mu.Unlock()
	signs := active(k.keys, k.now())
	infos := make([]KeyInfo, len(k.keys))
	for i, key := range k.keys {
		state := KeyActive
		if i < signs {
			state = KeyRetiring
		} else if i > signs {
			state = KeyNext
		}
		infos[i] = KeyInfo{ID: key.jwk.Kid, State: state, Created: key.created}
	}
	return infos
}

// jwks returns the JWK Set of all keys: one that does not sign yet is in it, so that verifiers
// know it by the time it does.
func (k *Keyring) jwks() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	doc := []byte(`{"keys":[`)
	for i, key := range k.keys {
		if i > 0 {
			doc = append(doc, ',')
		}
		doc = append(doc, key.jwk.Public()...)
	}
	return append(doc, "]}\n"...)
}
