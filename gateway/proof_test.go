package gateway

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/identity/identitytest"
	"sallyport/identity/pop"
)

// The way of a client that holds a key: the first answer gives it a nonce, and with that it is
// served, once for each proof.
func TestBoundTokenIsServedOnceForEachProof(t *testing.T) {
	f, k := newFixture(t), identitytest.NewProofKey(t)
	token := f.issuer.MintBound(k.JKT, "alice", "reader")
	send := func(scheme, proof string) (int, http.Header) {
		r := f.request(http.MethodPost, "", legacyCall("read_file", `{"path":"/srv/a"}`))
		r.Header["Authorization"] = []string{scheme + " " + token}
		r.Header["Dpop"] = []string{proof}
		w := f.serve(r)
		return w.Code, w.Header()
	}
	prove := func(nonce string) string {
		return k.Proof(pop.Want{Method: "POST", URL: identitytest.Audience, Token: token}, nonce, time.Now())
	}
	const bearer = `Bearer resource_metadata="http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp"`
	status, h := send("DPoP", prove(""))
	nonce := h.Get("DPoP-Nonce")
	if diff := cmp.Diff([]string{bearer, `DPoP algs="ES256 EdDSA", error="use_dpop_nonce"`}, h["Www-Authenticate"]); status != 401 || nonce == "" || diff != "" {
		t.Fatalf("without a nonce: %d, nonce %q, challenge (-want +got):\n%s", status, nonce, diff)
	}
	proof := prove(nonce)
	if status, _ := send("DPoP", proof); status != 200 {
		t.Errorf("with the nonce: %d; want 200", status)
	}
	for _, tt := range []struct{ name, scheme, proof string }{
		{"the same proof again", "DPoP", proof}, {"a token copied without its key", "Bearer", ""}, {"a good proof under Bearer", "Bearer", prove(nonce)},
	} {
		status, h := send(tt.scheme, tt.proof)
		if diff := cmp.Diff([]string{bearer, `DPoP algs="ES256 EdDSA"`}, h["Www-Authenticate"]); status != 401 || h["Dpop-Nonce"] != nil || diff != "" {
			t.Errorf("%s: %d, nonce %q, challenge (-want +got):\n%s", tt.name, status, h["Dpop-Nonce"], diff)
		}
	}
	if n := len(f.up.requests()); n != 1 {
		t.Errorf("%d requests reached the upstream; want the one that was proven", n)
	}
}
