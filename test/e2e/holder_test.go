package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/gateway/admin"
	"sallyport/identity/grant"
	"sallyport/identity/mint"
	"sallyport/identity/pop"
)

// createGrant makes a grant with the binary's own command.
func (g *gate) createGrant(t *testing.T, args ...string) grant.Grant {
	t.Helper()
	args = append([]string{"grant", "create", "--config", g.config, "--role", "reader", "-o", "json"}, args...)
	out, stderr, code := sallyport(t, args...)
	var made grant.Grant
	if err := json.Unmarshal([]byte(out), &made); code != 0 || err != nil {
		t.Fatalf("sallyport %s: exit %d, %v: %s", strings.Join(args, " "), code, err, stderr)
	}
	return made
}

// holder is a client with a token, and the key that it is bound to where it is.
type holder struct {
	g     *gate
	token string
	key   *pop.Key // or nil
}

// holder gets a token of a grant. With a key it is bound to that.
func (g *gate) holder(t *testing.T, id string, key *pop.Key) *holder {
	t.Helper()
	ask := mint.TokenAsk{Grant: id}
	if key != nil {
		ask.JKT = key.JKT()
	}
	socket := admin.Dial(filepath.Join(g.state, admin.SocketName))
	defer socket.Close()
	answer, err := socket.Token(t.Context(), ask)
	if err != nil {
		t.Fatalf("a token of %s: %v", id, err)
	}
	return &holder{g, answer.Token, key}
}

// open sends a request and returns the answer's head, its body still open. header is of pairs.
func (h *holder) open(ctx context.Context, method, path, body string, header ...string) (*http.Response, error) {
	nonce := ""
	for {
		req, err := http.NewRequestWithContext(ctx, method, h.g.url(path), strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		req.Header.Set("Authorization", "Bearer "+h.token)
		if h.key != nil {
			proof, err := h.key.Proof(method, h.g.url(path), h.token, nonce, time.Now())
			if err != nil {
				return nil, err
			}
			req.Header.Set("Authorization", "DPoP "+h.token)
			req.Header.Set("DPoP", proof)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil || h.key == nil || nonce != "" || resp.StatusCode != http.StatusUnauthorized {
			return resp, err
		}
		if nonce = resp.Header.Get("DPoP-Nonce"); nonce == "" {
			return resp, nil
		}
		_ = resp.Body.Close() // it only asked for another proof
	}
}
