package shim

import (
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// clockTolerance is how far this machine's clock may be off before proofs are dated by the
// gateway's: it accepts none from more than a few seconds ahead, and a Date has whole seconds.
const clockTolerance = 3 * time.Second

// prover makes proofs that the gateway accepts: with its newest nonce, dated by its clock.
type prover struct {
	key Key
	now func() time.Time
	log *slog.Logger

	mu     sync.Mutex // guards what follows
	nonces map[string]string
	offset time.Duration // the gateway's clock minus ours
	told   bool          // of a clock that is off
}

// thumbprint returns the key's, or "".
func (p *prover) thumbprint() string {
	if p.key == nil {
		return ""
	}
	return p.key.JKT()
}

// prove makes a proof for a request to u with the token; "" at a token endpoint.
func (p *prover) prove(method string, u *url.URL, token string) (string, error) {
	p.mu.Lock()
	nonce := p.nonces[origin(u)]
	p.mu.Unlock()
	return p.key.Proof(method, u.String(), token, nonce, p.time())
}

// time is the gateway's.
func (p *prover) time() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now().Add(p.offset)
}

// learn takes nonce and clock from an answer of u.
func (p *prover) learn(u *url.URL, h http.Header) {
	nonce := h.Get("DPoP-Nonce")
	date, err := http.ParseTime(h.Get("Date"))
	p.mu.Lock()
	defer p.mu.Unlock()
	if nonce != "" {
		p.nonces[origin(u)] = nonce
	}
	if err != nil {
		return
	}
	// Of the second that Date names, the middle is the best guess.
	off := date.Add(time.Second / 2).Sub(p.now())
	if off.Abs() <= clockTolerance {
		p.offset = 0
		return
	}
	p.offset = off
	if !p.told {
		p.told = true
		p.log.Warn("this machine's clock differs from the gateway's: proofs are dated by the gateway's; set the clock", "gateway_minus_ours", off.Round(time.Second))
	}
}

// origin names a server for the nonces it gives (RFC 9449, section 8.2).
func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }
