package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sallyport/identity/grant"
	"sallyport/identity/pop"
)

// tap is somebody on the way between clients and a gateway who keeps what passes.
type tap struct {
	url string

	mu   sync.Mutex // guards seen
	seen []http.Header
}

func newTap(t *testing.T, gateway string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := &url.URL{Scheme: "http", Host: gateway}
	w := &tap{url: "http://" + l.Addr().String()}
	proxy := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen = append(w.seen, r.In.Header.Clone())
	}}
	srv := &http.Server{Handler: proxy} // a test's own client needs no deadlines
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return w
}

// call returns the headers of the newest call.
func (w *tap) call(t *testing.T) (token, proof string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.seen) - 1; i >= 0; i-- {
		if h := w.seen[i]; h.Get("Mcp-Method") == "tools/call" {
			token, bound := strings.CutPrefix(h.Get("Authorization"), "DPoP ")
			if !bound || h.Get("DPoP") == "" {
				t.Fatalf("connect sent a call without a proof: %v", h)
			}
			return token, h.Get("DPoP")
		}
	}
	t.Fatal("no call has passed")
	return "", ""
}

// nonceOf reads the nonce in a proof.
func nonceOf(t *testing.T, proof string) string {
	t.Helper()
	var claims struct{ Nonce string }
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(proof, ".")[1])
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil || claims.Nonce == "" {
		t.Fatalf("the nonce of a proof: %q, %v", claims.Nonce, err)
	}
	return claims.Nonce
}

// TestWhatIsCopiedOfConnectIsWorthNothing copies the token and the proof of a call that a real
// connect has made, and sends them again from this process, on the same way and past it, in each
// form. None is accepted, and the server sees the one call.
func TestWhatIsCopiedOfConnectIsWorthNothing(t *testing.T) {
	up := newRecorder(t)
	g := newGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": up.url}})
	way := newTap(t, g.addr)
	g.publish(t, way.url)
	g.start(t)
	c := startConnect(t, way.url+"/mcp/files", "--config", g.config, "--role", "reader", "--task", "copied")
	if answer := c.read(t, 1); !strings.Contains(answer, "done") {
		t.Fatalf("call through connect: %s", answer)
	}
	token, proof := way.call(t)
	if n := len(up.seen()); n != 1 {
		t.Fatalf("%d calls reached the server; want connect's", n)
	}
	key, err := pop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	own, err := key.Proof(http.MethodPost, way.url+"/mcp/files", token, nonceOf(t, proof), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	passed := *g
	passed.addr = strings.TrimPrefix(way.url, "http://")
	for name, sent := range map[string]http.Header{
		"token and proof as they were":       {"Authorization": {"DPoP " + token}, "Dpop": {proof}},
		"the token alone":                    {"Authorization": {"DPoP " + token}},
		"the token alone under Bearer":       {"Authorization": {"Bearer " + token}},
		"token and proof under Bearer":       {"Authorization": {"Bearer " + token}, "Dpop": {proof}},
		"the token with a proof of the copy": {"Authorization": {"DPoP " + token}, "Dpop": {own}},
		"the proof for a token":              {"Authorization": {"DPoP " + proof}, "Dpop": {proof}},
	} {
		for by, g := range map[string]*gate{"on the same way": &passed, "past it": g} {
			for _, path := range []string{"/mcp/files", "/mcp"} {
				if a := g.mcp(t, path, sent); a.status != http.StatusUnauthorized {
					t.Errorf("%s, %s, at %s: %d %s; want 401", name, by, path, a.status, a.raw)
				}
			}
		}
	}
	if n := len(up.seen()); n != 1 {
		t.Errorf("%d calls reached the server; want connect's alone", n)
	}
	if answer := c.read(t, 2); !strings.Contains(answer, "done") {
		t.Errorf("connect's next call: %s; want it to go on", answer)
	}
	if code := c.end(t); code != 0 {
		t.Errorf("connect exits %d", code)
	}
	eventually(t, "the grant ends with connect", func() error {
		if all := g.grantsFor(t, "copied"); len(all) != 1 || all[0].State != grant.Completed {
			return fmt.Errorf("grants %+v", all)
		}
		return nil
	})
	token, proof = way.call(t)
	if a := g.mcp(t, "/mcp/files", http.Header{"Authorization": {"DPoP " + token}, "Dpop": {proof}}); a.status != http.StatusUnauthorized {
		t.Errorf("what was copied, after connect has ended: %d; want 401", a.status)
	}
}

// A gateway that has been started anew has forgotten which proofs were used, and takes none that
// was made before.
func TestAProofOfBeforeAStartIsWorthNothing(t *testing.T) {
	up := newRecorder(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": up.url}})
	key, err := pop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	h := g.holder(t, g.createGrant(t, "--key", key.JKT()).ID, key)
	prove := func(nonce string) http.Header {
		proof, err := key.Proof(http.MethodPost, g.url("/mcp/files"), h.token, nonce, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return http.Header{"Authorization": {"DPoP " + h.token}, "Dpop": {proof}}
	}
	nonce := g.mcp(t, "/mcp/files", prove("")).header.Get("DPoP-Nonce")
	used, spare := prove(nonce), prove(nonce)
	if a := g.mcp(t, "/mcp/files", used); a.status != http.StatusOK {
		t.Fatalf("call: %d %s", a.status, a.raw)
	}
	g.signal(syscall.SIGKILL)
	g.start(t)
	for name, sent := range map[string]http.Header{"used": used, "not used": spare} {
		a := g.mcp(t, "/mcp/files", sent)
		if a.status != http.StatusUnauthorized || !strings.Contains(strings.Join(a.header["Www-Authenticate"], " "), "use_dpop_nonce") {
			t.Errorf("a proof that was %s: %d %v; want 401 and a new nonce", name, a.status, a.header)
		}
		nonce = a.header.Get("DPoP-Nonce")
	}
	if a := g.mcp(t, "/mcp/files", prove(nonce)); a.status != http.StatusOK {
		t.Errorf("a new proof: %d %s; want the grant to live on", a.status, a.raw)
	}
	if n := len(up.seen()); n != 2 {
		t.Errorf("%d calls reached the server; want 2", n)
	}
}
