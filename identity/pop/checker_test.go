package pop_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport/identity/identitytest"
	"sallyport/identity/jose"
	"sallyport/identity/pop"
)

// clock is a time that a test moves.
type clock struct{ time.Time }

func (c *clock) now() time.Time       { return c.Time }
func (c *clock) pass(d time.Duration) { c.Time = c.Add(d) }

// newClock begins as a nonce does, so that a test knows when that one ends.
func newClock() *clock { return &clock{time.Unix(1_800_000_000, 0)} }

const (
	testURL   = "https://gw.example/mcp"
	testToken = "the.access.token"
)

func newKey(t testing.TB) *pop.Key {
	t.Helper()
	k, err := pop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func want(jkt string) pop.Want {
	return pop.Want{Method: "POST", URL: testURL, Token: testToken, JKT: jkt}
}

func mustProve(t testing.TB, k *pop.Key, nonce string, now time.Time) string {
	t.Helper()
	p, err := k.Proof("POST", testURL, testToken, nonce, now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestHostileProofsAreRefused(t *testing.T) {
	clk, k := newClock(), identitytest.NewProofKey(t)
	for _, token := range []string{identitytest.At(t, clk.now).MintBound(k.JKT, "alice"), ""} {
		c := pop.NewChecker(pop.CheckerOptions{Now: clk.now})
		w := want(k.JKT)
		if w.Token = token; token == "" {
			w.JKT = ""
		}
		for _, h := range identitytest.HostileProofs(t, k, w, c.Nonce(), clk.now()) {
			if len(h.Proofs) != 1 {
				continue // the verifier's affair, which sees the headers
			}
			if h.First != "" {
				if _, err := c.Check(h.First, w); err != nil {
					t.Errorf("%s: the proof before: %v", h.Name, err)
				}
			}
			jkt, err := c.Check(h.Proofs[0], w)
			if jkt != "" || !errors.Is(err, h.Err) || !strings.HasPrefix(err.Error(), h.Message) {
				t.Errorf("%s: %q, %v; want %v, %q", h.Name, jkt, err, h.Err, h.Message)
			}
		}
		// What was refused has used nothing up.
		if jkt, err := c.Check(k.Proof(w, c.Nonce(), clk.now()), w); err != nil || jkt != k.JKT {
			t.Errorf("a good proof: %q, %v", jkt, err)
		}
	}
}

func TestErrorsHoldNothingOfTheProof(t *testing.T) {
	clk, k := newClock(), identitytest.NewProofKey(t)
	c := pop.NewChecker(pop.CheckerOptions{Now: clk.now})
	const secret = "s3cretvalue"
	proofs := []string{secret, k.Sign(`{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"`+secret+`","kid":"`+secret+`"}}`, "{}")}
	for _, name := range []string{"htm", "htu", "ath", "nonce", "iat"} {
		proofs = append(proofs, k.With(k.Claims(want(k.JKT), c.Nonce(), clk.now()), map[string]any{name: secret}))
	}
	for _, proof := range proofs {
		if _, err := c.Check(proof, want(k.JKT)); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("error %v; want one without the value", err)
		}
	}
}

func TestTimeOfAProofMayBeOffByThisMuch(t *testing.T) {
	clk, k := newClock(), newKey(t)
	c := pop.NewChecker(pop.CheckerOptions{Now: clk.now})
	for _, tt := range []struct {
		off time.Duration
		ok  bool
	}{{-60 * time.Second, true}, {-61 * time.Second, false}, {5 * time.Second, true}, {6 * time.Second, false}, {0, true}} {
		if _, err := c.Check(mustProve(t, k, c.Nonce(), clk.now().Add(tt.off)), want(k.JKT())); (err == nil) != tt.ok {
			t.Errorf("made at %s: %v; want accepted: %v", tt.off, err, tt.ok)
		}
	}
}

func TestURLMayBeSpelledAsAProxyWould(t *testing.T) {
	clk, k := newClock(), identitytest.NewProofKey(t)
	c := pop.NewChecker(pop.CheckerOptions{Now: clk.now})
	for _, tt := range []struct {
		ours, htu string
		ok        bool
	}{
		{"https://gw.example/mcp", "HTTPS://GW.Example:443/mcp", true},
		{"https://gw.example:443/mcp", "https://gw.example/mcp", true},
		{"http://gw.example/mcp", "http://gw.example:80/mcp", true},
		{"http://127.0.0.1:8080/mcp", "http://localhost:8080/mcp", true},
		{"http://localhost:8080/mcp", "http://[::1]:8080/mcp", true},
		{"https://gw.example", "https://gw.example/", true},
		{"https://gw.example:8443/mcp", "https://gw.example/mcp", false},
		{"https://gw.example/mcp", "http://gw.example:443/mcp", false},
		{"https://gw.example/mcp", "https://gw.example/MCP", false},
		{"https://gw.example/mcp", "https://gw.example/x/../mcp", false},
		{"https://gw.example/mcp", "https://gw.example.:443/mcp", false},
		{"https://gw.example/mcp", "https://gw.example/mcp\n", false},
		{"https://gw.example/mcp?a=b", "https://gw.example/mcp?a=b", false},
		{"gw.example/mcp", "gw.example/mcp/", false},
		{"", "", false},
	} {
		w := pop.Want{Method: "POST", URL: tt.ours}
		if _, err := c.Check(k.With(k.Claims(w, c.Nonce(), clk.now()), map[string]any{"htu": tt.htu}), w); (err == nil) != tt.ok {
			t.Errorf("%s for %s: %v; want accepted: %v", tt.htu, tt.ours, err, tt.ok)
		}
	}
}

func TestNonceServesForOneToTwoMinutes(t *testing.T) {
	clk, k := newClock(), newKey(t)
	c := pop.NewChecker(pop.CheckerOptions{Now: clk.now})
	first := c.Nonce()
	try := func() (pop.Proven, error) { return c.Prove(mustProve(t, k, first, clk.now()), want(k.JKT())) }
	if p, err := try(); err != nil || p.Nonce != "" {
		t.Errorf("at once: %+v, %v; want no other nonce", p, err)
	}
	clk.pass(59 * time.Second)
	if p, err := try(); err != nil || p.Nonce != "" || c.Nonce() != first {
		t.Errorf("in its own minute: %+v, %v; want no other nonce", p, err)
	}
	clk.pass(time.Second)
	if p, err := try(); err != nil || p.Nonce != c.Nonce() || p.Nonce == first {
		t.Errorf("in the next: %+v, %v; want it accepted, and the new nonce told", p, err)
	}
	clk.pass(time.Minute)
	if _, err := try(); !errors.Is(err, pop.ErrNonce) {
		t.Errorf("after two: %v; want ErrNonce", err)
	}
}

// A proof made in advance, or captured before a restart, is worth nothing afterwards.
func TestNonceIsOfOneProcess(t *testing.T) {
	clk, k := newClock(), newKey(t)
	before, after := pop.NewChecker(pop.CheckerOptions{Now: clk.now}), pop.NewChecker(pop.CheckerOptions{Now: clk.now})
	proof := mustProve(t, k, before.Nonce(), clk.now())
	if _, err := after.Check(proof, want(k.JKT())); !errors.Is(err, pop.ErrNonce) {
		t.Errorf("in another process: %v; want ErrNonce", err)
	}
	one := pop.NewChecker(pop.CheckerOptions{Now: clk.now, NonceKey: []byte("shared")})
	two := pop.NewChecker(pop.CheckerOptions{Now: clk.now, NonceKey: []byte("shared")})
	if one.Nonce() != two.Nonce() {
		t.Error("two checkers with one key have two nonces")
	}
}

func TestAFullCheckerRefusesAndForgetsNothing(t *testing.T) {
	clk := newClock()
	c := pop.NewChecker(pop.CheckerOptions{Now: clk.now, MaxPerKey: 2, MaxKeys: 2})
	a, b, third := newKey(t), newKey(t), newKey(t)
	check := func(k *pop.Key, proof string) error {
		_, err := c.Check(proof, want(k.JKT()))
		return err
	}
	var taken []string
	for range 2 {
		taken = append(taken, mustProve(t, a, c.Nonce(), clk.now()))
		if err := check(a, taken[len(taken)-1]); err != nil {
			t.Fatal(err)
		}
	}
	const full = "no room to remember another proof of possession: "
	more := mustProve(t, a, c.Nonce(), clk.now())
	if err := check(a, more); !errors.Is(err, pop.ErrFull) || err.Error() != full+"this key has sent 2 in the last two minutes" {
		t.Errorf("a third proof of a key: %v", err)
	}
	if err := check(b, mustProve(t, b, c.Nonce(), clk.now())); err != nil {
		t.Errorf("another key: %v; one that sends too much must not shut it out", err)
	}
	if err := check(third, mustProve(t, third, c.Nonce(), clk.now())); !errors.Is(err, pop.ErrFull) || err.Error() != full+"2 keys have sent proofs in the last two minutes" {
		t.Errorf("a third key: %v", err)
	}
	for _, proof := range taken {
		if err := check(a, proof); !errors.Is(err, pop.ErrReplay) {
			t.Errorf("a proof from before, when full: %v; want ErrReplay", err)
		}
	}
	// In the next minute they can still be used, so they are still there.
	clk.pass(time.Minute)
	if err := check(a, mustProve(t, a, c.Nonce(), clk.now())); !errors.Is(err, pop.ErrFull) {
		t.Errorf("a minute later: %v; want ErrFull", err)
	}
	clk.pass(time.Minute)
	for _, k := range []*pop.Key{third, a} {
		if err := check(k, mustProve(t, k, c.Nonce(), clk.now())); err != nil {
			t.Errorf("two minutes later: %v; want room", err)
		}
	}
}

// However proofs are sent again, in whatever order, with the time going on or being set back or
// forth: each is accepted once at most.
func TestNoProofIsEverTakenTwice(t *testing.T) {
	keys := []*pop.Key{newKey(t), newKey(t)}
	rapid.Check(t, func(rt *rapid.T) {
		clk := newClock()
		c := pop.NewChecker(pop.CheckerOptions{Now: clk.now, MaxPerKey: 6, MaxKeys: rapid.IntRange(1, 2).Draw(rt, "keys")})
		type made struct {
			proof string
			jkt   string
			taken bool
		}
		var all []*made
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0:
				k := rapid.SampledFrom(keys).Draw(rt, "key")
				all = append(all, &made{proof: mustProve(t, k, c.Nonce(), clk.now()), jkt: k.JKT()})
			case 1:
				clk.pass(time.Duration(rapid.IntRange(-150, 150).Draw(rt, "seconds")) * time.Second)
			default:
				if len(all) == 0 {
					continue
				}
				p := rapid.SampledFrom(all).Draw(rt, "proof")
				if _, err := c.Check(p.proof, want(p.jkt)); err != nil {
					continue
				}
				if p.taken {
					rt.Fatalf("taken twice")
				}
				p.taken = true
			}
		}
	})
}

func TestOfManyWhoSendAProofOneIsBelieved(t *testing.T) {
	k := newKey(t)
	c := pop.NewChecker(pop.CheckerOptions{})
	for range 20 {
		proof := mustProve(t, k, c.Nonce(), time.Now())
		var taken atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := c.Check(proof, want(k.JKT())); err == nil {
					taken.Add(1)
				}
			})
		}
		wg.Wait()
		if taken.Load() != 1 {
			t.Fatalf("taken %d times; want once", taken.Load())
		}
	}
}

func TestEd25519ProofsAreTaken(t *testing.T) {
	clk := newClock()
	c := pop.NewChecker(pop.CheckerOptions{Now: clk.now})
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	jwk := jose.NewEd25519(private.Seed())
	enc := base64.RawURLEncoding.EncodeToString
	for _, alg := range []string{"EdDSA", "Ed25519"} {
		header := `{"typ":"dpop+jwt","alg":"` + alg + `","jwk":{"kty":"OKP","crv":"Ed25519","x":"` + jwk.X + `"}}`
		claims := fmt.Sprintf(`{"jti":%q,"htm":"GET","htu":%q,"iat":%d,"nonce":%q}`, alg, testURL, clk.now().Unix(), c.Nonce())
		input := enc([]byte(header)) + "." + enc([]byte(claims))
		jkt, err := c.Check(input+"."+enc(ed25519.Sign(private, []byte(input))), pop.Want{Method: "GET", URL: testURL})
		if err != nil || jkt != jwk.Thumbprint() {
			t.Errorf("%s: %q, %v", alg, jkt, err)
		}
	}
}

func TestZeroWantIsNeverProven(t *testing.T) {
	clk, k := newClock(), identitytest.NewProofKey(t)
	c := pop.NewChecker(pop.CheckerOptions{Now: clk.now})
	for _, w := range []pop.Want{{}, {Method: "POST"}, {URL: testURL}} {
		if _, err := c.Check(k.Proof(w, c.Nonce(), clk.now()), w); !errors.Is(err, pop.ErrProof) {
			t.Errorf("%+v: %v; want ErrProof", w, err)
		}
	}
}
