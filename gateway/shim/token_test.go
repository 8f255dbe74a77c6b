package shim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/gateway/wire"
)

func ping(id int) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"server/discover","params":{%s}}`, id, meta)
}

func pong(id int) string { return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{}}`, id) }

func TestTokenThatIsRefusedIsRenewedOnceUnnoticed(t *testing.T) {
	g := newFakeGateway(t, answerWith(`{"jsonrpc":"2.0","id":ID,"result":{}}`))
	c := g.talk(t.Context())
	for id := range 3 {
		c.say(ping(id))
		c.expect(pong(id))
		g.forget()
	}
	if err := c.end(); err != nil {
		t.Errorf("Serve = %v; want nil", err)
	}
	if g.tokens() != 3 {
		t.Errorf("tokens = %d; want 3", g.tokens())
	}
}

// A nonce is good for two minutes, of which the gateway and its client agree that they are over.
func TestNewNonceOfTheGatewayIsTakenUnnoticed(t *testing.T) {
	g := newFakeGateway(t, answerWith(`{"jsonrpc":"2.0","id":ID,"result":{}}`))
	c := g.talk(t.Context(), func(cfg *Config) {
		cfg.Now = g.now
		cfg.Source = sourceFunc(func(ctx context.Context, ask SourceAsk) (Token, error) {
			tok, err := g.Token(ctx, ask)
			tok.Expires = g.now().Add(5 * time.Minute)
			return tok, err
		})
	})
	c.say(ping(0))
	c.expect(pong(0))
	g.advance(140 * time.Second)
	c.say(ping(1))
	c.expect(pong(1))
	if n := g.tokens(); n != 1 {
		t.Errorf("tokens = %d; want 1: another nonce is no reason for another token", n)
	}
}

func TestRequestsInFlightShareOneToken(t *testing.T) {
	g := newFakeGateway(t, answerWith(`{"jsonrpc":"2.0","id":ID,"result":{}}`))
	c := g.talk(t.Context())
	c.say(ping(0))
	c.hear()
	g.forget()
	got := map[string]bool{}
	for id := range 50 {
		c.say(ping(id))
	}
	for range 50 {
		got[c.hear()] = true
	}
	for id := range 50 {
		if !got[pong(id)] {
			t.Errorf("no answer to request %d", id)
		}
	}
	if g.tokens() != 2 {
		t.Errorf("tokens = %d; want 2: renewals do not overlap", g.tokens())
	}
}

func TestEndedGrantIsSaidToEachRequestUntilTheInputEnds(t *testing.T) {
	g := newFakeGateway(t, answerWith(`{"jsonrpc":"2.0","id":ID,"result":{}}`))
	c := g.talk(t.Context())
	c.say(ping(1))
	c.hear()
	g.end("revoked by dana (lunch)")
	const words = `task grant gr_test has ended: revoked by dana (lunch); start the task again`
	for id := 2; id < 4; id++ {
		c.say(ping(id))
		c.expect(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"error":{"code":401,"message":"%s"}}`, id, words))
		c.say(`{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`) // dropped
	}
	err := c.end()
	if !errors.Is(err, ErrEnded) || err.Error() != words {
		t.Errorf("Serve = %v; want ErrEnded with %q", err, words)
	}
	if n := strings.Count(c.log.String(), words); n != 1 {
		t.Errorf("the log says it %d times; want once:\n%s", n, c.log)
	}
	if n := len(g.requests()); n != 1 {
		t.Errorf("the gateway saw %d requests; want 1", n)
	}
}

func TestTokenThatIsRefusedForEverIsSaidInWords(t *testing.T) {
	g := newFakeGateway(t, nil)
	other := newFakeGateway(t, nil)
	c := g.talk(t.Context(), func(cfg *Config) { cfg.Source = other }) // of another issuer
	c.say(ping(1))
	c.expect(`{"jsonrpc":"2.0","id":1,"error":{"code":401,"message":"the gateway refuses a token that has just been issued: look into its log; where several gateways share an address, they must share the state too"}}`)
}

func TestSourceThatFailsIsFatalAtFirstAndPassesLater(t *testing.T) {
	g := newFakeGateway(t, answerWith(`{"jsonrpc":"2.0","id":ID,"result":{}}`))
	var down error
	var mu sync.Mutex
	source := sourceFunc(func(ctx context.Context, ask SourceAsk) (Token, error) {
		mu.Lock()
		defer mu.Unlock()
		if down != nil {
			return Token{}, down
		}
		return g.Token(ctx, ask)
	})
	set := func(err error) { mu.Lock(); defer mu.Unlock(); down = err }

	set(errors.New(`there is no role "raeder"; did you mean "reader"?`))
	c := g.talk(t.Context(), func(cfg *Config) { cfg.Source = source })
	c.say(ping(1))
	c.expect(`{"jsonrpc":"2.0","id":1,"error":{"code":502,"message":"sallyport connect: there is no role \"raeder\"; did you mean \"reader\"?"}}`)
	if err := c.result(); !errors.Is(err, ErrStart) {
		t.Errorf("Serve = %v; want ErrStart", err)
	}
	if !strings.Contains(c.log.String(), "did you mean") {
		t.Errorf("log:\n%s\nwant the reason in it", c.log)
	}

	set(nil)
	c = g.talk(t.Context(), func(cfg *Config) { cfg.Source = source })
	c.say(ping(1))
	c.expect(pong(1))
	set(errors.New("the issuer sleeps"))
	g.forget()
	c.say(ping(2))
	c.expect(`{"jsonrpc":"2.0","id":2,"error":{"code":502,"message":"sallyport connect: the issuer sleeps"}}`)
	set(nil)
	c.say(ping(3))
	c.expect(pong(3))
	if err := c.end(); err != nil {
		t.Errorf("Serve = %v; want nil", err)
	}
}

func TestTokenIsRenewedFromHalfOfItsLifeOnWhileTheOldOneServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		k := &keeper{now: time.Now, log: slog.New(slog.DiscardHandler), proofs: &prover{}, source: sourceFunc(func(context.Context, SourceAsk) (Token, error) {
			asked++
			time.Sleep(100 * time.Millisecond)
			return Token{Value: fmt.Sprint(asked), Expires: time.Now().Add(10 * time.Second)}, nil
		})}
		get := func(want string, asks int) {
			t.Helper()
			tok, err := k.get(t.Context())
			if err != nil || tok.Value != want {
				t.Errorf("token = %q, %v; want %q", tok.Value, err, want)
			}
			synctest.Wait()
			if asked != asks {
				t.Errorf("the source was asked %d times; want %d", asked, asks)
			}
		}
		get("1", 1)
		time.Sleep(4900 * time.Millisecond)
		get("1", 1)
		time.Sleep(200 * time.Millisecond)
		get("1", 2) // half is over: nobody waits
		get("1", 2) // one at a time
		time.Sleep(200 * time.Millisecond)
		get("2", 2)
		time.Sleep(20 * time.Second)
		get("3", 3) // over: it is waited for
	})
}

func TestMeasuringIsAskedForEachTokenAndItsFailureIsNoToken(t *testing.T) {
	n := 0
	var got []string
	k := &keeper{now: time.Now, log: slog.New(slog.DiscardHandler), proofs: &prover{}, measure: func() (string, error) {
		if n++; n > 2 {
			return "", errors.New("AGENTS.md: over 64 MiB")
		}
		return fmt.Sprintf("sha256:%d", n), nil
	}, source: sourceFunc(func(_ context.Context, ask SourceAsk) (Token, error) {
		got = append(got, ask.Measured)
		return Token{Value: ask.Measured, Expires: time.Now()}, nil
	})}
	for range 2 {
		if _, err := k.get(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_, err := k.get(t.Context())
	if want := "measure the agent's files: AGENTS.md: over 64 MiB"; err == nil || err.Error() != want {
		t.Errorf("error = %v; want %s", err, want)
	}
	if fmt.Sprint(got) != "[sha256:1 sha256:2]" {
		t.Errorf("measured = %v; want each digest once", got)
	}
}

// A clock that is off by an hour either way: the gateway would refuse each proof.
func TestProofsAreDatedByTheGatewaysClock(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		g := newFakeGateway(t, answerWith(`{"jsonrpc":"2.0","id":ID,"result":{}}`))
		g.advance(off)
		c := g.talk(t.Context())
		for id := range 2 {
			c.say(ping(id))
			c.expect(pong(id))
		}
		if err := c.end(); err != nil {
			t.Errorf("Serve = %v; want nil", err)
		}
		if n := strings.Count(c.log.String(), "this machine's clock differs from the gateway's"); n != 1 {
			t.Errorf("clock off by %v: said %d times; want once:\n%s", off, n, c.log)
		}
		if n := g.tokens(); n != 1 {
			t.Errorf("clock off by %v: %d tokens; want 1", off, n)
		}
	}
}

func TestCapturedRequestIsRefusedTheSecondTime(t *testing.T) {
	g := newFakeGateway(t, answerWith(`{"jsonrpc":"2.0","id":ID,"result":{}}`))
	c := g.talk(t.Context())
	c.say(ping(1))
	c.hear()
	first := g.requests()[0]
	req, err := http.NewRequestWithContext(t.Context(), first.method, g.URL+"/mcp", strings.NewReader(first.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = first.header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	discard(resp)
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the same request again: %d; want 401", resp.StatusCode)
	}
}

func TestMirroredNameThatNoHeaderCanHoldIsSaid(t *testing.T) {
	_, bad := (&message{method: wire.MethodToolsCall, name: "get", version: "2026-07-28", args: []byte(`{"x":{}}`)}).
		modernHeaders([]wire.HeaderBinding{{Header: "Mcp-Param-X", Path: []string{"x"}}})
	if want := "invalid params: the argument for Mcp-Param-X cannot be mirrored in a header"; bad == nil || bad.text != want {
		t.Errorf("error = %v; want %s", bad, want)
	}
}

func TestCallThatIsCutOffWithItsGrantIsToldSo(t *testing.T) {
	var g *fakeGateway
	g = newFakeGateway(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.Header().Set("Content-Type", "text/event-stream")
		event(w, ": working\n\n")
		g.end("revoked by dana")
	})
	c := g.talk(t.Context())
	c.say(ping(1))
	c.expect(`{"jsonrpc":"2.0","id":1,"error":{"code":401,"message":"task grant gr_test has ended: revoked by dana; start the task again"}}`)
}
