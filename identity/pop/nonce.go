package pop

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// noncePeriod is how long one nonce is given out. It is taken for as long again, so a client
// that uses a nonce at once has 1 to 2 minutes.
const noncePeriod = time.Minute

// nonces makes nonces that it need not remember: each is a MAC of the number of its period. All
// clients have the same one, for it proves only that a proof was made lately and for this
// process.
type nonces struct {
	key   []byte
	start time.Time
	cur   atomic.Pointer[period]
}

// period is a span of time with one nonce.
type period struct {
	n         int64
	nonce     string
	lastNonce string // of the period before
}

func (s *nonces) init(key []byte, now time.Time) {
	s.key, s.start = key, now
	if s.key == nil {
		s.key = make([]byte, 32)
		_, _ = rand.Read(s.key) // never fails
	}
}

// at returns the period of now. It goes by the time that has passed since the start: where now
// comes from time.Now that is the monotonic clock, so that setting the wall clock back does not
// bring back a period whose proofs have been forgotten.
func (s *nonces) at(now time.Time) *period {
	n := (s.start.Unix() + int64(now.Sub(s.start)/time.Second)) / int64(noncePeriod/time.Second)
	p := s.cur.Load()
	if p == nil || p.n != n {
		p = &period{n: n, nonce: s.mac(n), lastNonce: s.mac(n - 1)}
		s.cur.Store(p)
	}
	return p
}

func (s *nonces) mac(n int64) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write(binary.BigEndian.AppendUint64([]byte("sallyport dpop nonce "), uint64(n)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// find returns the number of the period whose nonce this is, if it may still be used.
func (p *period) find(nonce string) (n int64, ok bool) {
	switch {
	case hmac.Equal([]byte(nonce), []byte(p.nonce)):
		return p.n, true
	case hmac.Equal([]byte(nonce), []byte(p.lastNonce)):
		return p.n - 1, true
	}
	return 0, false
}
