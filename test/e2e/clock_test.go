package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/identity/identitytest"
	"sallyport/identity/pop"
)

// TestAClockThatIsOffIsNamed uses a token and a proof that were made, with good keys, on machines
// whose clock is an hour ahead or behind. The gateway refuses both, and where an operator looks,
// in the log and in `token inspect`, it stands by how much they are off.
func TestAClockThatIsOffIsNamed(t *testing.T) {
	up := newRecorder(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": up.url}})
	id := g.alices(t)
	k := identitytest.NewProofKey(t)
	bound := g.thief(t, g.alices(t, "--key", k.JKT), time.Now).MintBound(k.JKT, "alice")
	w := pop.Want{Method: http.MethodPost, URL: g.url("/mcp/files"), Token: bound, JKT: k.JKT}
	proven := func(nonce string, at time.Time) http.Header {
		return identitytest.ProofHeader(bound, k.Proof(w, nonce, at))
	}
	nonce := g.mcp(t, "/mcp/files", proven("", time.Now())).header.Get("DPoP-Nonce")

	for _, tt := range []struct {
		off                     time.Duration
		token, inspected, proof string
	}{
		{-time.Hour, "token has expired", "it ended 55m", "s ago; set the clocks of both machines by NTP"},
		{time.Hour + 30*time.Second, "token is not valid yet", "; set the clocks of both machines by NTP", "s in the future; set the clocks of both machines by NTP"},
	} {
		now := func() time.Time { return time.Now().Add(tt.off) }
		token := g.thief(t, id, now).Mint("alice")
		said := g.log.String()
		if a := g.mcp(t, "/mcp/files", identitytest.Header(token)); a.status != http.StatusUnauthorized {
			t.Errorf("token by a clock that is %v off: %d %s; want 401", tt.off, a.status, a.raw)
		}
		g.explains(t, "token of a clock that is off", said, tt.token, token)
		out, _, code := sallyport(t, "token", "inspect", "--config", g.config, token)
		if code != 3 || !strings.Contains(out, tt.token) || !strings.Contains(out, tt.inspected) {
			t.Errorf("token inspect, %v off: exit %d:\n%s", tt.off, code, out)
		}
		said = g.log.String()
		if a := g.mcp(t, "/mcp/files", proven(nonce, now())); a.status != http.StatusUnauthorized {
			t.Errorf("proof by a clock that is %v off: %d %s; want 401", tt.off, a.status, a.raw)
		}
		g.explains(t, "proof of a clock that is off", said, "it was made 1h0m", "") // and some seconds
		g.explains(t, "proof of a clock that is off", said, tt.proof, "")
	}
	if n := len(up.seen()); n != 0 {
		t.Errorf("%d calls reached the server", n)
	}
	if a := g.mcp(t, "/mcp/files", proven(nonce, time.Now())); a.status != http.StatusOK {
		t.Errorf("by a clock that is right: %d %s; the rest proves nothing", a.status, a.raw)
	}
}
