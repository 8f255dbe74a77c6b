package pop

import (
	"errors"
	"testing"
	"time"
)

// clock is a time that a test moves.
type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }
func newClock() *clock          { return &clock{time.Unix(1_800_000_000, 0)} }

const (
	testURL   = "https://gw.example/mcp"
	testToken = "the.access.token"
)

func newKey(t testing.TB) *Key {
	t.Helper()
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustProve(t testing.TB, k *Key, nonce string, now time.Time) string {
	t.Helper()
	p, err := k.Proof("POST", testURL, testToken, nonce, now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func want(k *Key) Want { return Want{Method: "POST", URL: testURL, Token: testToken, JKT: k.JKT()} }

func TestAProofIsTakenOnce(t *testing.T) {
	clk, k := newClock(), newKey(t)
	c := NewChecker(CheckerOptions{Now: clk.now})
	proof := mustProve(t, k, c.Nonce(), clk.now())
	if jkt, err := c.Check(proof, want(k)); err != nil || jkt != k.JKT() {
		t.Fatalf("the first time: %q, %v; want the key's thumbprint", jkt, err)
	}
	for range 2 {
		if jkt, err := c.Check(proof, want(k)); jkt != "" || !errors.Is(err, ErrReplay) || err.Error() != "proof of possession was used before" {
			t.Errorf("again: %q, %v; want ErrReplay", jkt, err)
		}
	}
}
