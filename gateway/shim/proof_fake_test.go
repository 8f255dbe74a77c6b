package shim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

type fakeKey struct{ n atomic.Int64 }

func (k *fakeKey) JKT() string { return "thumb" }

type fakeProof struct {
	Method, URL, Token, Nonce, JTI string
	IAT                            int64
}

func (k *fakeKey) Proof(method, url, token, nonce string, now time.Time) (string, error) {
	b, err := json.Marshal(fakeProof{method, url, token, nonce, strconv.FormatInt(k.n.Add(1), 10), now.Unix()})
	return string(b), err
}

type fakeProofs struct {
	key *fakeKey
	now func() time.Time
	mu  sync.Mutex
	n   int
	had map[string]bool
}

func newFakeProofs(*testing.T) *fakeProofs {
	return &fakeProofs{key: &fakeKey{}, now: time.Now, had: map[string]bool{}, n: 1}
}

func (p *fakeProofs) nonce() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("nonce-%d", p.n)
}

func (p *fakeProofs) turn() { p.mu.Lock(); defer p.mu.Unlock(); p.n++ }

func (p *fakeProofs) check(r *http.Request, url, token string) string {
	var f fakeProof
	_ = json.Unmarshal([]byte(r.Header.Get("DPoP")), &f)
	if f.Nonce != p.nonce() {
		return `, error="use_dpop_nonce"`
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	age := p.now().Unix() - f.IAT
	if f.Method != r.Method || f.URL != url || f.Token != token || p.had[f.JTI] || age > 60 || age < -5 {
		return `, error="invalid_dpop_proof"`
	}
	p.had[f.JTI] = true
	return ""
}
