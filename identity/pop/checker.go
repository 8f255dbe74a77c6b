package pop

import (
	"crypto/subtle"
	"fmt"
	"time"
)

const (
	defaultWindow = time.Minute
	// futureSlack is how far ahead of our clock a proof may say it was made.
	futureSlack      = 5 * time.Second
	maxAge           = 100 * 365 * 24 * 3600 // seconds; more would not fit a time.Duration for long
	defaultMaxPerKey = 1 << 16
	defaultMaxKeys   = 1 << 16
	// owners is how many owners it takes to fill the room for keys.
	owners = 16
)

// CheckerOptions are the bounds of a Checker. Zero fields take the defaults.
type CheckerOptions struct {
	Now    func() time.Time // default time.Now, which is needed for times that a set clock does not move
	Window time.Duration    // how old a proof may be; default 60 s

	// MaxPerKey and MaxKeys bound what is remembered: proofs of one key, and keys, in the two
	// minutes that a nonce can be used. Default 65,536 each. A proof that was remembered has cost
	// a signature check of about 0.1 ms, so the processor bounds the sum long before they do.
	//
	// One owner has at most a sixteenth of the keys.
	MaxPerKey, MaxKeys int

	// NonceKey makes the nonces; default is a random one, so that no proof that was made for
	// another process, or for this one before it was restarted, is worth anything.
	NonceKey []byte
}

// Checker checks DPoP proofs. It is safe for concurrent use.
type Checker struct {
	now     func() time.Time
	window  time.Duration
	nonces  nonces
	replays replays
}

// NewChecker returns a checker that has seen no proof.
func NewChecker(o CheckerOptions) *Checker {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Window <= 0 {
		o.Window = defaultWindow
	}
	if o.MaxPerKey <= 0 {
		o.MaxPerKey = defaultMaxPerKey
	}
	if o.MaxKeys <= 0 {
		o.MaxKeys = defaultMaxKeys
	}
	c := &Checker{now: o.Now, window: o.Window}
	c.nonces.init(o.NonceKey, o.Now())
	c.replays.init(o.MaxPerKey, o.MaxKeys)
	return c
}

// Want is what a proof must prove.
type Want struct {
	Method string // of the request
	URL    string // of the request as clients know it: public URL and path, no query
	Token  string // whose hash the proof must carry; empty at a token endpoint, where there is none yet
	JKT    string // thumbprint of the key that the token is bound to; empty: any key
	Owner  Owner  // who is known to ask; the zero Owner is nobody, and has no bound of its own
}

// Owner is whose keys are counted together, so that one holder of tokens does not take the room of all.
type Owner struct{ Issuer, Subject string }

// Proven is what a good proof has proven.
type Proven struct {
	JKT   string // RFC 7638 thumbprint of the key
	Nonce string // to be sent in DPoP-Nonce, where it is not the one that the proof had; else empty
}

// Check returns the thumbprint of the key that made the proof. The error wraps ErrProof,
// ErrNonce, ErrReplay or ErrFull. A proof is taken once: the same again is ErrReplay.
//
// At a token endpoint, check who is asking first: a proof proves only that somebody has some
// key, and each new key takes room.
func (c *Checker) Check(proof string, w Want) (jkt string, err error) {
	p, err := c.Prove(proof, w)
	return p.JKT, err
}

// Prove is [Checker.Check] that also returns the nonce for the answer.
func (c *Checker) Prove(proof string, w Want) (Proven, error) {
	cl, jkt, err := read(proof)
	if err != nil {
		return Proven{}, err
	}
	if w.JKT != "" && subtle.ConstantTimeCompare([]byte(jkt), []byte(w.JKT)) != 1 {
		return Proven{}, fmt.Errorf("%w: it is by another key than the token's", ErrProof)
	}
	now := c.now()
	if err := c.accept(cl, w, now); err != nil {
		return Proven{}, err
	}
	// The nonce last: whoever is told to ask again with another one must have no other fault.
	period := c.nonces.at(now)
	c.replays.begin(period.n)
	n, ok := period.find(cl.nonce)
	if !ok {
		return Proven{}, ErrNonce
	}
	if err := c.replays.take(jkt, cl.id, n, w.Owner); err != nil {
		return Proven{}, err
	}
	p := Proven{JKT: jkt}
	if n != period.n {
		p.Nonce = period.nonce
	}
	return p, nil
}

// accept holds the proof against the request.
func (c *Checker) accept(cl claims, w Want, now time.Time) error {
	age := time.Duration(min(max(now.Unix()-cl.issued, -maxAge), maxAge)) * time.Second // iat has no fractions
	switch {
	case cl.method != w.Method || w.Method == "":
		return fmt.Errorf("%w: htm is another method than the request's", ErrProof)
	case !sameURL(cl.url, w.URL):
		return fmt.Errorf("%w: htu is another URL than the request's; clients must use the configured publicURL", ErrProof)
	case w.Token != "" && subtle.ConstantTimeCompare([]byte(cl.hash), []byte(hash(w.Token))) != 1:
		return fmt.Errorf("%w: ath is not the hash of the request's token", ErrProof)
	case age < -futureSlack:
		return fmt.Errorf("%w: it was made %s in the future; set the clocks of both machines by NTP", ErrProof, -age)
	case age > c.window:
		return fmt.Errorf("%w: it was made %s ago; set the clocks of both machines by NTP", ErrProof, age)
	}
	return nil
}

// Nonce returns what a client must put into its proofs now, for DPoP-Nonce. It is no secret.
func (c *Checker) Nonce() string { return c.nonces.at(c.now()).nonce }
