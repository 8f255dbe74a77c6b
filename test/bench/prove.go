package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"sallyport/gateway/admin"
	"sallyport/identity/mint"
	"sallyport/identity/pop"
)

// grantSpec says of which grant a load gets its token: one that it asks for at the gateway's
// socket, since a token that is bound to a key is of use only to the process that has the key.
type grantSpec struct {
	Socket string
	Role   string
}

// authorize gets the load's token, and the key that it is bound to where that is wanted.
func (s *loadSpec) authorize() (*pop.Key, error) {
	if s.Grant == nil {
		return nil, nil
	}
	var key *pop.Key
	jkt := ""
	if s.Call.Bound {
		var err error
		if key, err = pop.NewKey(); err != nil {
			return nil, err
		}
		jkt = key.JKT()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var err error
	_, s.Call.Token, err = newGrant(ctx, admin.Dial(s.Grant.Socket), s.Grant.Role, jkt)
	return key, err
}

// newGrant makes a grant and a token of it, which outlives one measurement.
func newGrant(ctx context.Context, c *admin.Client, role, jkt string) (id, token string, err error) {
	g, err := c.Grant(ctx, mint.Ask{Roles: []string{role}, Task: "bench", JKT: jkt})
	if err != nil {
		return "", "", fmt.Errorf("make a grant: %w", err)
	}
	t, err := c.Token(ctx, mint.TokenAsk{Grant: g.ID, TTL: 15 * time.Minute, JKT: jkt})
	if err != nil {
		return "", "", fmt.Errorf("get a token: %w", err)
	}
	return g.ID, t.Token, nil
}

// prover adds proofs to the requests of one caller.
type prover struct {
	spec callSpec
	key  *pop.Key // nil: requests go as they are
	used string   // nonce of the last request
	buf  []byte
}

func (p *prover) request(r *rendered, nonce string) ([]byte, error) {
	if p.key == nil {
		return r.bytes, nil
	}
	proof, err := p.key.Proof(http.MethodPost, "http://"+p.spec.Host+p.spec.Path, p.spec.Token, nonce, time.Now())
	if err != nil {
		return nil, err
	}
	p.used = nonce
	p.buf = append(append(append(append(p.buf[:0], r.bytes[:r.proof]...), "DPoP: "...), proof...), "\r\n"...)
	p.buf = append(p.buf, r.bytes[r.proof:]...)
	return p.buf, nil
}

// again reports whether a call was refused only because its proof lacked the nonce that came
// with the refusal.
func (p *prover) again(status int, nonce string) bool {
	return p.key != nil && status == http.StatusUnauthorized && nonce != p.used
}
